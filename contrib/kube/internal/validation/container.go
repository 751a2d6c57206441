package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func checkContainers(pod *corev1.PodSpec, volumes map[string]*corev1.VolumeSource, path *field.Path) field.ErrorList {
	if len(pod.Containers) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	names := make(map[string]bool, len(pod.Containers))
	for i := range pod.Containers {
		c, at := &pod.Containers[i], path.Index(i)
		errs = append(errs, checkContainer(c, volumes, at)...)
		if names[c.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		}
		names[c.Name] = true
		errs = append(errs, checkRestartRules(c, at)...)
		errs = append(errs, checkProbes(c, at)...)
	}
	return append(errs, checkHostPorts(pod.Containers, path)...)
}

func checkInitContainers(pod *corev1.PodSpec, volumes map[string]*corev1.VolumeSource,
	path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make(map[string]bool, len(pod.Containers))
	for _, c := range pod.Containers {
		names[c.Name] = true
	}
	for i := range pod.InitContainers {
		c, at := &pod.InitContainers[i], path.Index(i)
		errs = append(errs, checkContainer(c, volumes, at)...)
		if names[c.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		} else if c.Name != "" {
			names[c.Name] = true
		}
		errs = append(errs, checkInitRestartRules(c, at)...)
		errs = append(errs, checkHostPorts(pod.InitContainers[i:i+1], path)...)
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			errs = append(errs, checkHelpless(c, at)...)
		} else {
			errs = append(errs, checkProbes(c, at)...)
		}
	}
	return errs
}

// checkHelpless forbids what an init container that ends cannot have.
func checkHelpless(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, part := range []struct {
		field string
		set   bool
	}{
		{"lifecycle", c.Lifecycle != nil},
		{"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil},
		{"startupProbe", c.StartupProbe != nil},
	} {
		if part.set {
			errs = append(
				errs, field.Forbidden(path.Child(part.field), "may not be set for init containers without restartPolicy=Always"),
			)
		}
	}
	return errs
}

func checkContainer(c *corev1.Container, volumes map[string]*corev1.VolumeSource, path *field.Path) field.ErrorList {
	errs := checkLabelName(c.Name, path.Child("name"))
	if c.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	errs = append(errs, known(c.TerminationMessagePolicy, path.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, checkPorts(c.Ports, path.Child("ports"))...)
	errs = append(errs, checkEnv(c.Env, path.Child("env"))...)
	errs = append(errs, checkEnvFrom(c.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, checkMounts(c, volumes, path.Child("volumeMounts"))...)
	errs = append(errs, known(c.ImagePullPolicy, path.Child("imagePullPolicy"),
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	return append(errs, checkResources(&c.Resources, path.Child("resources"))...)
}

// checkInitRestartRules does not look at rules that cannot be there.
func checkInitRestartRules(c *corev1.Container, path *field.Path) field.ErrorList {
	if c.RestartPolicy == nil && len(c.RestartPolicyRules) > 0 {
		return field.ErrorList{
			field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"),
		}
	}
	return checkRestartRules(c, path)
}

// checkRestartRules wants rules that a container may have.
func checkRestartRules(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case c.RestartPolicy == nil && len(c.RestartPolicyRules) > 0:
		errs = append(
			errs, field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"),
		)
	case c.RestartPolicy != nil:
		errs = append(errs, knownOrEmpty(*c.RestartPolicy, path.Child("restartPolicy"),
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	}
	path = path.Child("restartPolicyRules")
	errs = append(errs, atMost(len(c.RestartPolicyRules), 20, path)...)
	for i, rule := range c.RestartPolicyRules {
		at := path.Index(i)
		errs = append(errs, knownOrEmpty(rule.Action, at.Child("action"),
			corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)...)
		if rule.ExitCodes == nil {
			errs = append(errs, field.Required(at.Child("exitCodes"), "must be specified"))
			continue
		}
		errs = append(errs, knownOrEmpty(rule.ExitCodes.Operator, at.Child("exitCodes", "operator"),
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		errs = append(errs, atMost(len(rule.ExitCodes.Values), maxExitCodes, at.Child("exitCodes", "values"))...)
	}
	return errs
}

// knownOrEmpty is known for a field whose empty value is just another wrong one.
func knownOrEmpty[T ~string](value T, path *field.Path, values ...T) field.ErrorList {
	if slices.Contains(values, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, values)}
}

// fieldPaths are those that an environment variable may refer to, besides single
// labels and annotations.
var fieldPaths = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

func checkEnv(env []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range env {
		at := path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalidEach(at.Child("name"), v.Name, utilvalidation.IsRelaxedEnvVarName(v.Name))...)
		}
		if v.ValueFrom != nil {
			errs = append(errs, checkEnvSource(&v, at.Child("valueFrom"))...)
		}
	}
	return errs
}

func checkEnvSource(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	from, sources := v.ValueFrom, 0
	var errs field.ErrorList
	if from.FieldRef != nil {
		sources++
		errs = append(errs, checkFieldRef(from.FieldRef, path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		sources++
		errs = append(errs, checkResourceRef(from.ResourceFieldRef, path.Child("resourceFieldRef"))...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		sources++
		errs = append(errs, checkKeyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := from.SecretKeyRef; ref != nil {
		sources++
		errs = append(errs, checkKeyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if from.FileKeyRef != nil {
		sources++
	}
	switch {
	case sources == 0:
		errs = append(
			errs,
			field.Invalid(
				path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
			),
		)
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func checkKeyRef(name, key string, path *field.Path) field.ErrorList {
	errs := invalidEach(path.Child("name"), name, utilvalidation.IsDNS1123Subdomain(name))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, invalidEach(path.Child("key"), key, utilvalidation.IsConfigMapKey(key))...)
}

// checkFieldRef wants a field of a pod that is known before it runs.
func checkFieldRef(ref *corev1.ObjectFieldSelector, path *field.Path) field.ErrorList {
	at := path.Child("fieldPath")
	switch {
	case ref.APIVersion == "":
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	case ref.FieldPath == "":
		return field.ErrorList{field.Required(at, "")}
	case ref.APIVersion != "v1":
		return field.ErrorList{
			field.Invalid(at, ref.FieldPath, "error converting fieldPath: unsupported pod version: "+ref.APIVersion),
		}
	}
	if list, key, ok := Subscript(ref.FieldPath); ok {
		return checkSubscript(list, key, ref.FieldPath, path)
	}
	switch {
	case slices.Contains(fieldPaths, ref.FieldPath), ref.FieldPath == "spec.host": // the name of spec.nodeName of old
		return nil
	case slices.Contains(otherFieldPaths, ref.FieldPath):
		return field.ErrorList{field.NotSupported(at, ref.FieldPath, fieldPaths)}
	}
	return field.ErrorList{
		field.Invalid(at, ref.FieldPath, "error converting fieldPath: field label not supported: "+ref.FieldPath),
	}
}

// otherFieldPaths are those that only volumes may refer to, and selectors.
var otherFieldPaths = []string{
	"metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"}

func checkSubscript(list, key, whole string, path *field.Path) field.ErrorList {
	switch list {
	case "metadata.annotations":
		return checkQualifiedName(strings.ToLower(key), path)
	case "metadata.labels":
		return checkQualifiedName(key, path)
	}
	return field.ErrorList{field.Invalid(path.Child("fieldPath"), whole,
		"error converting fieldPath: field label does not support subscript: "+whole)}
}

// Subscript takes a path such as metadata.labels['app'] apart.
func Subscript(fieldPath string) (list, key string, ok bool) {
	rest, ok := strings.CutSuffix(fieldPath, "']")
	if !ok {
		return "", "", false
	}
	list, key, ok = strings.Cut(rest, "['")
	return list, key, ok && list != ""
}

var resourcePaths = []string{
	"limits.cpu", "limits.ephemeral-storage", "limits.memory",
	"requests.cpu", "requests.ephemeral-storage", "requests.memory"}

var (
	divisorsOfCPU    = []string{"1", "1m"}
	divisorsOfMemory = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
)

func checkResourceRef(ref *corev1.ResourceFieldSelector, path *field.Path) field.ErrorList {
	_, name, _ := strings.Cut(ref.Resource, ".")
	huge := strings.HasPrefix(ref.Resource, "limits.hugepages-") || strings.HasPrefix(ref.Resource, "requests.hugepages-")
	var errs field.ErrorList
	switch {
	case ref.Resource == "":
		errs = append(errs, field.Required(path.Child("resource"), ""))
	case !huge && !slices.Contains(resourcePaths, ref.Resource):
		return field.ErrorList{field.NotSupported(path.Child("resource"), ref.Resource, resourcePaths)}
	}
	divisors, kind := divisorsOfMemory, name
	switch {
	case name == "cpu":
		divisors = divisorsOfCPU
	case name == "ephemeral-storage":
		kind = "local ephemeral storage"
	case huge:
		kind = "hugepages"
	}
	if ref.Resource == "" || ref.Divisor.IsZero() || slices.Contains(divisors, ref.Divisor.String()) {
		return errs
	}
	list := strings.Join(divisors, ", ")
	if name == "cpu" {
		list = "1m and 1"
	}
	return append(errs, field.Invalid(path.Child("divisor"), ref.Resource,
		fmt.Sprintf("only divisor's values %s are supported with the %s resource", list, kind)))
}

func checkEnvFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, source := range sources {
		at := path.Index(i)
		if source.Prefix != "" {
			errs = append(
				errs, invalidEach(at.Child("prefix"), source.Prefix, utilvalidation.IsRelaxedEnvVarName(source.Prefix))...,
			)
		}
		if source.ConfigMapRef != nil {
			errs = append(errs, checkRefName(source.ConfigMapRef.Name, at.Child("configMapRef"))...)
		}
		if source.SecretRef != nil {
			errs = append(errs, checkRefName(source.SecretRef.Name, at.Child("secretRef"))...)
		}
		switch {
		case source.ConfigMapRef == nil && source.SecretRef == nil:
			errs = append(errs, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		case source.ConfigMapRef != nil && source.SecretRef != nil:
			errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

// checkRefName wants a name; that it may be one to be generated is a habit of
// the API server.
func checkRefName(name string, path *field.Path) field.ErrorList {
	path = path.Child("name")
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalidEach(path, name, utilvalidation.IsDNS1123Subdomain(strings.TrimSuffix(name, "-")))
}

// checkDescending wants a path that stays below where it starts.
func checkDescending(to string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(to) {
		errs = append(errs, field.Invalid(at, to, "must be a relative path"))
	}
	if slices.Contains(strings.Split(to, "/"), "..") {
		errs = append(errs, field.Invalid(at, to, "must not contain '..'"))
	}
	return errs
}
