package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fieldPaths are those that an environment variable may refer to, besides single
// labels and annotations.
var fieldPaths = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

// envSource wants exactly one source of a variable.
func (c *checker) envSource(v *corev1.EnvVar, path *field.Path) {
	from, sources := v.ValueFrom, 0
	for _, given := range []bool{from.FieldRef != nil, from.ResourceFieldRef != nil, from.ConfigMapKeyRef != nil,
		from.SecretKeyRef != nil, from.FileKeyRef != nil} {
		if given {
			sources++
		}
	}
	if from.FieldRef != nil {
		c.add(checkFieldRef(from.FieldRef, path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		c.add(checkResourceRef(from.ResourceFieldRef, path.Child("resourceFieldRef"))...)
	}
	switch {
	case sources == 0:
		c.add(field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		c.add(field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		c.add(field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
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
