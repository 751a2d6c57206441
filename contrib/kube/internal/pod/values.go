package pod

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// Values are what config maps and secrets hold for the variables of containers.
type Values struct{ configMaps, secrets map[string]map[string]string }

// NewValues returns the values of objects; of two with one name, the last one counts.
func NewValues(configMaps []*corev1.ConfigMap, secrets []*corev1.Secret) Values {
	v := Values{make(map[string]map[string]string), make(map[string]map[string]string)}
	for _, c := range configMaps {
		v.configMaps[c.Name] = maps.Collect(maps.All(c.Data))
	}
	for _, s := range secrets {
		values := make(map[string]string, len(s.Data)+len(s.StringData))
		for key, value := range s.Data {
			values[key] = string(value)
		}
		maps.Copy(values, s.StringData)
		v.secrets[s.Name] = values
	}
	return v
}

// HasConfigMap reports whether there is a config map of that name.
func (v Values) HasConfigMap(name string) bool { return v.configMaps[name] != nil }

// HasSecret reports whether there is a secret of that name.
func (v Values) HasSecret(name string) bool { return v.secrets[name] != nil }

// Of is the value of a key of a config map or secret.
func (v Values) Of(from *corev1.EnvVarSource) (value string, ok bool) {
	if ref := from.ConfigMapKeyRef; ref != nil {
		value, ok = v.configMaps[ref.Name][ref.Key]
	}
	if ref := from.SecretKeyRef; ref != nil {
		value, ok = v.secrets[ref.Name][ref.Key]
	}
	return value, ok
}

// all are the values of a config map or secret.
func (v Values) all(from *corev1.EnvFromSource) map[string]string {
	if from.ConfigMapRef != nil {
		return v.configMaps[from.ConfigMapRef.Name]
	}
	return v.secrets[from.SecretRef.Name]
}
