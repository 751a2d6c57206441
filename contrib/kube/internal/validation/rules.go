package validation

import (
	"math"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A checker collects what is wrong with an object.
type checker struct{ errs field.ErrorList }

func (c *checker) add(errs ...*field.Error) { c.errs = append(c.errs, errs...) }

// A rule says what is wrong with the value of one field.
type rule func(value reflect.Value, at *field.Path) field.ErrorList

// fieldRules are those of fields that need nothing else to be looked at, by the types of
// the objects that have them and their names in a manifest.
type fieldRules map[reflect.Type]map[string]rule

// of is a type as the key of a table.
func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// required wants a value, and then what the other rules want.
func required(others ...rule) rule {
	return func(v reflect.Value, at *field.Path) (errs field.ErrorList) {
		if v.IsZero() {
			return field.ErrorList{field.Required(at, "")}
		}
		for _, other := range others {
			errs = append(errs, other(v, at)...)
		}
		return errs
	}
}

// optional is a rule for values that are there.
func optional(other rule) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		if v.IsZero() {
			return nil
		}
		return other(reflect.Indirect(v), at)
	}
}

// text is a check of package util/validation for texts, and number one for numbers.
func text(check func(string) []string) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		return invalidEach(at, v.String(), check(v.String()))
	}
}

func number(check func(int) []string) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		return invalidEach(at, v.Int(), check(int(v.Int())))
	}
}

func nonNegative(v reflect.Value, at *field.Path) field.ErrorList {
	return validation.ValidateNonnegativeField(v.Int(), at)
}

// known wants one of the values of an enumeration; an empty one is just another wrong
// one, where it is not required.
func known[T ~string](values ...T) rule {
	return func(v reflect.Value, at *field.Path) field.ErrorList {
		if slices.Contains(values, T(v.String())) {
			return nil
		}
		return field.ErrorList{field.NotSupported(at, T(v.String()), values)}
	}
}

// fields looks at all fields of an object that the table has rules for, and of the objects
// in it, in their order. Types that opaque has are not looked into.
func (c *checker) fields(object any, at *field.Path) {
	c.object(reflect.ValueOf(object).Elem(), reflect.TypeOf(object).Elem(), at)
}

func (c *checker) object(v reflect.Value, owner reflect.Type, at *field.Path) {
	for f, value := range v.Fields() {
		switch name, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case name == "" && f.Anonymous && value.Kind() == reflect.Struct:
			c.object(value, owner, at)
		case name != "" && name != "-":
			child := at.Child(name)
			if rule := podRules[owner][name]; rule != nil {
				c.add(rule(value, child)...)
			}
			c.within(value, child)
		}
	}
}

func (c *checker) within(v reflect.Value, at *field.Path) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.within(v.Elem(), at)
		}
	case reflect.Struct:
		if t := v.Type(); !opaque[t] {
			c.object(v, t, at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.within(v.Index(i), at.Index(i))
		}
	}
}

var (
	label      = text(utilvalidation.IsDNS1123Label)
	subdomain  = text(utilvalidation.IsDNS1123Subdomain)
	envName    = text(utilvalidation.IsRelaxedEnvVarName)
	configKey  = text(utilvalidation.IsConfigMapKey)
	portNumber = number(utilvalidation.IsValidPortNum)
)

// refName is a name; that it may be one to be generated is a habit of the API server.
func refName(v reflect.Value, at *field.Path) field.ErrorList {
	return invalidEach(at, v.String(), utilvalidation.IsDNS1123Subdomain(strings.TrimSuffix(v.String(), "-")))
}

// podRules are those of the API server for what nearly all pod templates consist of. What
// only a cluster can make sense of is not looked at; package kube says what that is.
var podRules = fieldRules{
	of[corev1.PodSpec](): {
		"restartPolicy": required(known(corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure,
			corev1.RestartPolicyNever)),
		"dnsPolicy": required(known(corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault,
			corev1.DNSNone)),
		"preemptionPolicy":              optional(required(known(corev1.PreemptLowerPriority, corev1.PreemptNever))),
		"terminationGracePeriodSeconds": required(),
		"activeDeadlineSeconds":         optional(inDeadline),
		"hostname":                      optional(label),
		"subdomain":                     optional(label),
		"serviceAccountName":            optional(subdomain),
		"nodeName":                      optional(subdomain),
		"priorityClassName":             optional(subdomain),
		"runtimeClassName":              optional(subdomain),
	},
	of[corev1.PodReadinessGate](): {"conditionType": text(utilvalidation.IsQualifiedName)},
	of[corev1.HostAlias](): {
		"ip": func(v reflect.Value, at *field.Path) field.ErrorList {
			return utilvalidation.IsValidIPForLegacyField(at, v.String(), false, nil)
		},
		"hostnames": each(subdomain),
	},
	of[corev1.Toleration](): {"effect": optional(known(
		corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute))},
	of[corev1.Container](): {
		"name":  required(label),
		"image": required(),
		"terminationMessagePolicy": required(known(corev1.TerminationMessageReadFile,
			corev1.TerminationMessageFallbackToLogsOnError)),
		"imagePullPolicy": required(known(corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)),
		"restartPolicy": optional(known(corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever,
			corev1.ContainerRestartPolicyOnFailure)),
	},
	of[corev1.ContainerRestartRule](): {
		"action": known(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers),
	},
	of[corev1.ContainerRestartRuleOnExitCodes](): {
		"operator": known(corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn),
	},
	of[corev1.ContainerPort](): {
		"name":          optional(text(utilvalidation.IsValidPortName)),
		"containerPort": required(portNumber),
		"hostPort":      optional(portNumber),
		"protocol":      required(known(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
	},
	of[corev1.VolumeMount]():                       {"name": required(), "mountPath": required()},
	of[corev1.EnvVar]():                            {"name": required(envName)},
	of[corev1.EnvFromSource]():                     {"prefix": optional(envName)},
	of[corev1.ConfigMapEnvSource]():                {"name": required(refName)},
	of[corev1.SecretEnvSource]():                   {"name": required(refName)},
	of[corev1.ConfigMapKeySelector]():              {"name": subdomain, "key": required(configKey)},
	of[corev1.SecretKeySelector]():                 {"name": subdomain, "key": required(configKey)},
	of[corev1.PersistentVolumeClaimVolumeSource](): {"claimName": required()},
	of[corev1.SecretVolumeSource]():                {"secretName": required()},
	of[corev1.ConfigMapVolumeSource]():             {"name": required()},
	of[corev1.HostPathVolumeSource]():              {"path": required()},
	of[corev1.Probe](): {
		"initialDelaySeconds": nonNegative, "timeoutSeconds": nonNegative, "periodSeconds": nonNegative,
		"successThreshold": nonNegative, "failureThreshold": nonNegative,
	},
}

// opaque are the types that the walk does not look into: they are looked at as a whole, if
// at all.
var opaque = map[reflect.Type]bool{
	of[corev1.Container](): true, of[corev1.Probe](): true, of[corev1.Lifecycle](): true, of[corev1.Volume](): true,
	of[corev1.EphemeralContainer](): true, of[corev1.Affinity](): true, of[corev1.ContainerRestartRule](): true,
}

func inDeadline(v reflect.Value, at *field.Path) field.ErrorList {
	if n := v.Int(); n < 1 || n > math.MaxInt32 {
		return field.ErrorList{field.Invalid(at, n, utilvalidation.InclusiveRangeError(1, math.MaxInt32))}
	}
	return nil
}

// each is a rule for the items of a list.
func each(item rule) rule {
	return func(v reflect.Value, at *field.Path) (errs field.ErrorList) {
		for i := range v.Len() {
			errs = append(errs, item(v.Index(i), at.Index(i))...)
		}
		return errs
	}
}

func checkTemplate(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	var c checker
	c.add(metavalidation.ValidateLabels(template.Labels, path.Child("labels"))...)
	c.add(validation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	path = path.Child("spec")
	c.pod(&template.Spec, path)
	if len(template.Spec.EphemeralContainers) > 0 {
		c.add(field.Forbidden(path.Child("ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return c.errs
}

func (c *checker) pod(pod *corev1.PodSpec, path *field.Path) {
	volumes := c.volumes(pod.Volumes, path.Child("volumes"))
	c.containers(pod, volumes, path)
	c.fields(pod, path)
	c.add(metavalidation.ValidateLabels(pod.NodeSelector, path.Child("nodeSelector"))...)
	c.dns(pod, path.Child("dnsConfig"))
	if os := pod.OS; os != nil && os.Name == "" {
		c.add(field.Required(path.Child("os", "name"), ""))
	} else if os != nil {
		c.add(known(corev1.Linux, corev1.Windows)(reflect.ValueOf(os.Name), path.Child("os"))...)
	}
	if share := pod.ShareProcessNamespace; share != nil && *share && pod.HostPID {
		c.add(field.Invalid(path.Child("shareProcessNamespace"), true,
			"ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	for i := range pod.Tolerations {
		c.toleration(&pod.Tolerations[i], path.Child("tolerations").Index(i))
	}
}

// dns wants name servers if there are to be none but those of the pod.
func (c *checker) dns(pod *corev1.PodSpec, path *field.Path) {
	switch {
	case pod.DNSPolicy != corev1.DNSNone:
	case pod.DNSConfig == nil:
		c.add(field.Required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
	case len(pod.DNSConfig.Nameservers) == 0:
		c.add(field.Required(path.Child("nameservers"),
			"must provide at least one DNS nameserver when `dnsPolicy` is None"))
	}
}

func (c *checker) toleration(t *corev1.Toleration, at *field.Path) {
	operator := at.Child("operator")
	if t.Key != "" {
		c.add(metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
	} else if t.Operator != corev1.TolerationOpExists {
		c.add(field.Invalid(operator, t.Operator,
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		c.add(field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	supported := []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}
	switch wrong := utilvalidation.IsValidLabelValue(t.Value); t.Operator {
	case corev1.TolerationOpEqual, "":
		if len(wrong) > 0 {
			c.add(field.Invalid(operator, t.Value, strings.Join(wrong, ";")))
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			c.add(field.Invalid(operator, t.Value, "value must be empty when `operator` is 'Exists'"))
		}
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // comparisons are behind a feature gate
		c.add(field.NotSupported(operator, t.Operator,
			append(supported, corev1.TolerationOpLt, corev1.TolerationOpGt)))
	default:
		c.add(field.NotSupported(operator, t.Operator, supported))
	}
}

// volumes returns the volumes that can be mounted.
func (c *checker) volumes(volumes []corev1.Volume, path *field.Path) map[string]bool {
	good := make(map[string]bool, len(volumes))
	for i := range volumes {
		volume, at, before := &volumes[i], path.Index(i), len(c.errs)
		c.volumeSource(&volume.VolumeSource, at)
		c.add(required(label)(reflect.ValueOf(volume.Name), at.Child("name"))...)
		if good[volume.Name] {
			c.add(field.Duplicate(at.Child("name"), volume.Name))
		} else if len(c.errs) == before {
			good[volume.Name] = true
		}
	}
	return good
}

// volumeSource wants exactly one source.
func (c *checker) volumeSource(source *corev1.VolumeSource, path *field.Path) {
	kinds := VolumeKinds(source)
	if len(kinds) == 0 {
		c.add(field.Required(path, "must specify a volume type"))
	}
	for _, kind := range kinds[min(1, len(kinds)):] {
		c.add(field.Forbidden(path.Child(kind), "may not specify more than 1 volume type"))
	}
	if dir := source.EmptyDir; dir != nil && dir.SizeLimit != nil && dir.SizeLimit.Sign() < 0 {
		c.add(field.Forbidden(path.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	c.fields(source, path)
}

// VolumeKinds are the names of the sources that a volume has, as in a manifest,
// in the order of the type's fields. A good volume has one.
func VolumeKinds(source *corev1.VolumeSource) []string {
	var kinds []string
	value := reflect.ValueOf(*source)
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			kinds = append(kinds, name)
		}
	}
	return kinds
}
