package validation

import (
	"reflect"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// podDefaults are the values of fields that a pod leaves out, by the types of the objects
// that have them and their names in a manifest.
var podDefaults = map[reflect.Type]map[string]any{
	of[corev1.PodSpec](): {"dnsPolicy": corev1.DNSClusterFirst, "restartPolicy": corev1.RestartPolicyAlways,
		"securityContext": corev1.PodSecurityContext{}, "schedulerName": corev1.DefaultSchedulerName,
		"terminationGracePeriodSeconds": int64(corev1.DefaultTerminationGracePeriodSeconds)},
	of[corev1.Container]():                     containerDefaults,
	of[corev1.EphemeralContainerCommon]():      containerDefaults,
	of[corev1.ContainerPort]():                 {"protocol": corev1.ProtocolTCP},
	of[corev1.ObjectFieldSelector]():           {"apiVersion": "v1"},
	of[corev1.FileKeySelector]():               {"optional": false},
	of[corev1.GRPCAction]():                    {"service": ""},
	of[corev1.HTTPGetAction]():                 {"path": "/", "scheme": corev1.URISchemeHTTP},
	of[corev1.HostPathVolumeSource]():          {"type": corev1.HostPathUnset},
	of[corev1.SecretVolumeSource]():            {"defaultMode": corev1.SecretVolumeSourceDefaultMode},
	of[corev1.ConfigMapVolumeSource]():         {"defaultMode": corev1.ConfigMapVolumeSourceDefaultMode},
	of[corev1.DownwardAPIVolumeSource]():       {"defaultMode": corev1.DownwardAPIVolumeSourceDefaultMode},
	of[corev1.ProjectedVolumeSource]():         {"defaultMode": corev1.ProjectedVolumeSourceDefaultMode},
	of[corev1.ServiceAccountTokenProjection](): {"expirationSeconds": int64(3600)},
	of[corev1.PersistentVolumeClaimSpec]():     {"volumeMode": corev1.PersistentVolumeFilesystem},
	of[corev1.ISCSIVolumeSource]():             {"iscsiInterface": "default"},
	of[corev1.RBDVolumeSource]():               {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
	of[corev1.ScaleIOVolumeSource]():           {"storageMode": "ThinProvisioned", "fsType": "xfs"},
	of[corev1.AzureDiskVolumeSource](): {"cachingMode": corev1.AzureDataDiskCachingReadWrite, "fsType": "ext4",
		"readOnly": false, "kind": corev1.AzureSharedBlobDisk},
	of[corev1.Probe](): {"timeoutSeconds": int32(1), "periodSeconds": int32(10), "successThreshold": int32(1),
		"failureThreshold": int32(3)},
}

var containerDefaults = map[string]any{"terminationMessagePath": corev1.TerminationMessagePathDefault,
	"terminationMessagePolicy": corev1.TerminationMessageReadFile}

// defaultTemplate fills in the pod of a template. The restart policy becomes
// Always, which a job then rejects.
func defaultTemplate(spec *corev1.PodSpec) {
	orValue(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	fillIn(reflect.ValueOf(spec).Elem())
}

// fillIn sets all fields of a value, and of those in it, that have a default and no value.
func fillIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillIn(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillIn(v.Index(i))
		}
	case reflect.Map:
		if list, ok := v.Interface().(corev1.ResourceList); ok {
			roundUp(list)
		}
	case reflect.Struct:
		fillInFields(v, podDefaults[v.Type()])
	}
}

func fillInFields(v reflect.Value, defaults map[string]any) {
	switch o := v.Addr().Interface().(type) {
	case *resource.Quantity:
		return
	case *corev1.Container:
		orValue(&o.ImagePullPolicy, pullPolicy(o.Image))
	case *corev1.EphemeralContainerCommon:
		orValue(&o.ImagePullPolicy, pullPolicy(o.Image))
	case *corev1.ImageVolumeSource:
		orValue(&o.PullPolicy, pullPolicy(o.Reference))
	case *corev1.VolumeSource:
		if *o == (corev1.VolumeSource{}) {
			o.EmptyDir = new(corev1.EmptyDirVolumeSource)
		}
	}
	for f, value := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if usual, ok := defaults[name]; ok && value.IsZero() {
			setField(value, reflect.ValueOf(usual))
		}
		if f.IsExported() {
			fillIn(value)
		}
	}
}

func setField(field, value reflect.Value) {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	field.Set(value.Convert(field.Type()))
}

// imageName is what comes last in the path of an image.
var imageName = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$`)

// pullPolicy is Always for an image whose tag is latest, or that has neither a
// tag nor a digest. What is no image has no such tag.
func pullPolicy(image string) corev1.PullPolicy {
	path, _, hasDigest := strings.Cut(image, "@")
	name, tag, hasTag := strings.Cut(path[strings.LastIndex(path, "/")+1:], ":")
	if imageName.MatchString(name) && (tag == "latest" || !hasTag && !hasDigest) {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// roundUp drops what is finer than a thousandth from each quantity.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}
