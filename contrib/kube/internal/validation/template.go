package validation

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkTemplate checks what nearly all pod templates consist of. What only a
// cluster can make sense of is not looked at; package kube says what that is.
func checkTemplate(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(template.Labels, path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	errs = append(errs, checkPod(&template.Spec, path.Child("spec"))...)
	if len(template.Spec.EphemeralContainers) > 0 {
		errs = append(
			errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"),
		)
	}
	return errs
}

func checkPod(pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	volumes, errs := checkVolumes(pod.Volumes, path.Child("volumes"))
	errs = append(errs, checkContainers(pod, volumes, path.Child("containers"))...)
	errs = append(errs, checkInitContainers(pod, volumes, path.Child("initContainers"))...)
	if pod.TerminationGracePeriodSeconds == nil {
		errs = append(errs, field.Required(path.Child("terminationGracePeriodSeconds"), ""))
	}
	if n := pod.ActiveDeadlineSeconds; n != nil && (*n < 1 || *n > math.MaxInt32) {
		errs = append(
			errs, field.Invalid(path.Child("activeDeadlineSeconds"), *n, utilvalidation.InclusiveRangeError(1, math.MaxInt32)),
		)
	}
	errs = append(errs, checkPodPolicies(pod, path)...)
	errs = append(errs, checkPodNames(pod, path)...)
	errs = append(errs, metavalidation.ValidateLabels(pod.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, checkHosts(pod, path)...)
	return append(errs, checkTolerations(pod.Tolerations, path.Child("tolerations"))...)
}

func checkPodPolicies(pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := known(pod.RestartPolicy, path.Child("restartPolicy"),
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	errs = append(errs, known(pod.DNSPolicy, path.Child("dnsPolicy"),
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, checkDNS(pod, path.Child("dnsConfig"))...)
	if pod.PreemptionPolicy != nil {
		errs = append(errs, known(*pod.PreemptionPolicy, path.Child("preemptionPolicy"),
			corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if pod.OS != nil {
		errs = append(errs, checkOS(pod.OS, path.Child("os"))...)
	}
	return errs
}

// checkDNS wants name servers if there are to be none but those of the pod.
func checkDNS(pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	switch {
	case pod.DNSPolicy != corev1.DNSNone:
		return nil
	case pod.DNSConfig == nil:
		return field.ErrorList{field.Required(path, "must provide `dnsConfig` when `dnsPolicy` is None")}
	case len(pod.DNSConfig.Nameservers) == 0:
		return field.ErrorList{
			field.Required(path.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"),
		}
	}
	return nil
}

// known wants one of the values of an enumeration; a missing value has no text
// of its own.
func known[T ~string](value T, path *field.Path, values ...T) field.ErrorList {
	if slices.Contains(values, value) {
		return nil
	}
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return field.ErrorList{field.NotSupported(path, value, values)}
}

func checkOS(os *corev1.PodOS, path *field.Path) field.ErrorList {
	if os.Name == "" {
		return field.ErrorList{field.Required(path.Child("name"), "")}
	}
	return known(os.Name, path, corev1.Linux, corev1.Windows)
}

func checkPodNames(pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range []struct {
		field, value string
		wrong        func(string) []string
	}{
		{"hostname", pod.Hostname, utilvalidation.IsDNS1123Label},
		{"subdomain", pod.Subdomain, utilvalidation.IsDNS1123Label},
		{"serviceAccountName", pod.ServiceAccountName, utilvalidation.IsDNS1123Subdomain},
		{"nodeName", pod.NodeName, utilvalidation.IsDNS1123Subdomain},
		{"priorityClassName", pod.PriorityClassName, utilvalidation.IsDNS1123Subdomain},
	} {
		if name.value != "" {
			errs = append(errs, invalidEach(path.Child(name.field), name.value, name.wrong(name.value))...)
		}
	}
	if name := pod.RuntimeClassName; name != nil {
		errs = append(errs, invalidEach(path.Child("runtimeClassName"), *name, utilvalidation.IsDNS1123Subdomain(*name))...)
	}
	for i, gate := range pod.ReadinessGates {
		errs = append(
			errs,
			checkQualifiedName(string(gate.ConditionType), path.Child("readinessGates").Index(i).Child("conditionType"))...,
		)
	}
	return errs
}

func checkHosts(pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if share := pod.ShareProcessNamespace; share != nil && *share && pod.HostPID {
		errs = append(
			errs,
			field.Invalid(path.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"),
		)
	}
	for i, alias := range pod.HostAliases {
		at := path.Child("hostAliases").Index(i)
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(at.Child("ip"), alias.IP, false, nil)...)
		for j, name := range alias.Hostnames {
			errs = append(errs, invalidEach(at.Child("hostnames").Index(j), name, utilvalidation.IsDNS1123Subdomain(name))...)
		}
	}
	return errs
}

func checkTolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range tolerations {
		t, at := &tolerations[i], path.Index(i)
		if t.Key != "" {
			errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		} else if t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(
				errs, field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
			)
		}
		errs = append(errs, checkTolerated(t, at.Child("operator"))...)
		if t.Effect != "" {
			errs = append(errs, known(t.Effect, at.Child("effect"),
				corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		}
	}
	return errs
}

func checkTolerated(t *corev1.Toleration, path *field.Path) field.ErrorList {
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if wrong := utilvalidation.IsValidLabelValue(t.Value); len(wrong) > 0 {
			return field.ErrorList{field.Invalid(path, t.Value, strings.Join(wrong, ";"))}
		}
		return nil
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return field.ErrorList{field.Invalid(path, t.Value, "value must be empty when `operator` is 'Exists'")}
		}
		return nil
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // comparisons are behind a feature gate
		return field.ErrorList{field.NotSupported(path, t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt})}
	default:
		return field.ErrorList{field.NotSupported(path, t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists})}
	}
}

// checkVolumes returns the volumes that can be mounted.
func checkVolumes(volumes []corev1.Volume, path *field.Path) (map[string]*corev1.VolumeSource, field.ErrorList) {
	var errs field.ErrorList
	good := make(map[string]*corev1.VolumeSource, len(volumes))
	for i := range volumes {
		volume, at := &volumes[i], path.Index(i)
		wrong := checkVolumeSource(&volume.VolumeSource, at)
		wrong = append(wrong, checkLabelName(volume.Name, at.Child("name"))...)
		if good[volume.Name] != nil {
			wrong = append(wrong, field.Duplicate(at.Child("name"), volume.Name))
		}
		if len(wrong) == 0 {
			good[volume.Name] = &volume.VolumeSource
		}
		errs = append(errs, wrong...)
	}
	return good, errs
}

// checkLabelName wants the name of a container, or volume.
func checkLabelName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalidEach(path, name, utilvalidation.IsDNS1123Label(name))
}

// checkVolumeSource wants exactly one source.
func checkVolumeSource(source *corev1.VolumeSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := VolumeKinds(source)
	if len(kinds) == 0 {
		errs = append(errs, field.Required(path, "must specify a volume type"))
	}
	for _, kind := range kinds[min(1, len(kinds)):] {
		errs = append(errs, field.Forbidden(path.Child(kind), "may not specify more than 1 volume type"))
	}
	if dir := source.EmptyDir; dir != nil && dir.SizeLimit != nil && dir.SizeLimit.Sign() < 0 {
		errs = append(
			errs, field.Forbidden(path.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"),
		)
	}
	if claim := source.PersistentVolumeClaim; claim != nil && claim.ClaimName == "" {
		errs = append(errs, field.Required(path.Child("persistentVolumeClaim", "claimName"), ""))
	}
	if secret := source.Secret; secret != nil && secret.SecretName == "" {
		errs = append(errs, field.Required(path.Child("secret", "secretName"), ""))
	}
	if config := source.ConfigMap; config != nil && config.Name == "" {
		errs = append(errs, field.Required(path.Child("configMap", "name"), ""))
	}
	if host := source.HostPath; host != nil && host.Path == "" {
		errs = append(errs, field.Required(path.Child("hostPath", "path"), ""))
	}
	return errs
}

func checkMounts(c *corev1.Container, volumes map[string]*corev1.VolumeSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[string]bool, len(c.VolumeMounts))
	for i, mount := range c.VolumeMounts {
		at := path.Index(i)
		if mount.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
		if volumes[mount.Name] == nil {
			errs = append(errs, field.NotFound(at.Child("name"), mount.Name))
		}
		if mount.MountPath == "" {
			errs = append(errs, field.Required(at.Child("mountPath"), ""))
		}
		if seen[mount.MountPath] {
			errs = append(errs, field.Invalid(at.Child("mountPath"), mount.MountPath, "must be unique"))
		}
		seen[mount.MountPath] = true
		errs = append(errs, checkSubPaths(mount, at, path)...)
	}
	return errs
}

// checkSubPaths reports sub-paths without the mount's index, as the API server
// does.
func checkSubPaths(mount corev1.VolumeMount, at, list *field.Path) field.ErrorList {
	errs := checkDescending(mount.SubPath, list.Child("subPath"))
	if mount.SubPath != "" && mount.SubPathExpr != "" {
		errs = append(
			errs, field.Invalid(at.Child("subPathExpr"), mount.SubPathExpr, "subPathExpr and subPath are mutually exclusive"),
		)
	}
	return append(errs, checkDescending(mount.SubPathExpr, list.Child("subPathExpr"))...)
}

// checkPorts wants ports that a container may have.
func checkPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make(map[string]bool, len(ports))
	for i, port := range ports {
		at := path.Index(i)
		errs = append(errs, checkPortName(port.Name, names, at.Child("name"))...)
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(
				errs,
				invalidEach(
					at.Child("containerPort"), port.ContainerPort, utilvalidation.IsValidPortNum(int(port.ContainerPort)),
				)...,
			)
		}
		if port.HostPort != 0 {
			errs = append(
				errs, invalidEach(at.Child("hostPort"), port.HostPort, utilvalidation.IsValidPortNum(int(port.HostPort)))...,
			)
		}
		errs = append(
			errs, known(port.Protocol, at.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...,
		)
	}
	return errs
}

// checkPortName wants a good name that is not among those seen, and adds it.
func checkPortName(name string, seen map[string]bool, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	errs := invalidEach(path, name, utilvalidation.IsValidPortName(name))
	if len(errs) == 0 && seen[name] {
		errs = append(errs, field.Duplicate(path, name))
	}
	seen[name] = seen[name] || len(errs) == 0
	return errs
}

// checkHostPorts wants each port of the machine once.
func checkHostPorts(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[string]bool)
	for i, c := range containers {
		for j, port := range c.Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if seen[key] {
				errs = append(errs, field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			seen[key] = true
		}
	}
	return errs
}
