package validation

import (
	"reflect"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateUpdate returns everything that the API server finds wrong with a
// defaulted job that is to take the place of old, which has its labels, its
// selector and its status: what is wrong with it by itself, and what may not change.
func ValidateUpdate(updated, old *batchv1.Job) field.ErrorList {
	errs := validation.ValidateObjectMetaUpdate(&updated.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, checkSpec(&updated.Spec)...)
	errs = append(errs, checkSpecUpdate(&updated.Spec, old)...)
	return once(append(errs, checkIndexedName(updated)...))
}

func checkSpecUpdate(spec *batchv1.JobSpec, oldJob *batchv1.Job) field.ErrorList {
	path, old := field.NewPath("spec"), &oldJob.Spec
	errs := checkCompletionsUpdate(spec, old, path.Child("completions"))
	errs = append(errs, validation.ValidateImmutableField(spec.Selector, old.Selector, path.Child("selector"))...)
	errs = append(errs, checkTemplateUpdate(spec, oldJob, path.Child("template"))...)
	for _, part := range []struct {
		name        string
		value, from any
	}{
		{"completionMode", spec.CompletionMode, old.CompletionMode},
		{"podFailurePolicy", inMemory(spec.PodFailurePolicy), inMemory(old.PodFailurePolicy)},
		{"backoffLimitPerIndex", spec.BackoffLimitPerIndex, old.BackoffLimitPerIndex},
		{"managedBy", spec.ManagedBy, old.ManagedBy},
		{"successPolicy", inMemory(spec.SuccessPolicy), inMemory(old.SuccessPolicy)},
	} {
		errs = append(errs, validation.ValidateImmutableField(part.value, part.from, path.Child(part.name))...)
	}
	return errs
}

// checkCompletionsUpdate lets an Indexed job be as large as its parallelism.
func checkCompletionsUpdate(spec, old *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch {
	case !indexed(spec):
		return validation.ValidateImmutableField(spec.Completions, old.Completions, path)
	case spec.Completions == nil: // reported already, as missing
		return nil
	case apiequality.Semantic.DeepEqual(spec.Completions, old.Completions),
		apiequality.Semantic.DeepEqual(spec.Completions, spec.Parallelism):
		return nil
	}
	return field.ErrorList{field.Invalid(path, spec.Completions, "can only be modified in tandem with spec.parallelism")}
}

// checkTemplateUpdate lets labels, annotations, the places for pods and the resources
// of containers change while the template is open.
func checkTemplateUpdate(spec *batchv1.JobSpec, old *batchv1.Job, path *field.Path) field.ErrorList {
	updated, before := &spec.Template, &old.Spec.Template
	if !isOpen(old) {
		return validation.ValidateImmutableField(updated, before, path)
	}
	allowed := before.DeepCopy()
	allowScheduling(&allowed.Spec, &updated.Spec)
	allowResources(allowed.Spec.Containers, updated.Spec.Containers)
	allowResources(allowed.Spec.InitContainers, updated.Spec.InitContainers)
	return validation.ValidateImmutableField(updated.Spec, allowed.Spec, path.Child("spec"))
}

// isOpen reports whether the template may change: while the job is suspended, nothing
// is active, and it has never started or shows the condition Suspended.
func isOpen(m *batchv1.Job) bool {
	suspended := func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue
	}
	return m.Spec.Suspend != nil && *m.Spec.Suspend && m.Status.Active == 0 &&
		(m.Status.StartTime == nil || slices.ContainsFunc(m.Status.Conditions, suspended))
}

func allowScheduling(allowed, updated *corev1.PodSpec) {
	allowed.NodeSelector = updated.NodeSelector
	allowed.Tolerations = updated.Tolerations
	allowed.SchedulingGates = updated.SchedulingGates
	allowNodeAffinity(allowed, updated)
}

// allowNodeAffinity takes over the affinity to nodes, but not that to pods.
func allowNodeAffinity(allowed, updated *corev1.PodSpec) {
	var nodes *corev1.NodeAffinity
	if updated.Affinity != nil {
		nodes = updated.Affinity.NodeAffinity
		orDefault(&allowed.Affinity, corev1.Affinity{})
	}
	if allowed.Affinity == nil {
		return
	}
	allowed.Affinity.NodeAffinity = nodes
	if updated.Affinity == nil && *allowed.Affinity == (corev1.Affinity{}) {
		allowed.Affinity = nil
	}
}

func allowResources(allowed, updated []corev1.Container) {
	if len(allowed) != len(updated) {
		return
	}
	for i := range allowed {
		if allowed[i].Name == updated[i].Name {
			allowed[i].Resources = updated[i].Resources
		}
	}
}

// inMemory gives a value in the form in which the API server shows policies that
// are at fault: as it has them in memory, where fields have no names but those
// of Go and none is left out.
func inMemory(value any) any { return untagged(reflect.ValueOf(value)).Interface() }

func untagged(v reflect.Value) reflect.Value {
	t := untaggedType(v.Type())
	out := reflect.New(t).Elem()
	switch {
	case t == v.Type():
		return v
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			out.Field(i).Set(untagged(v.Field(i)))
		}
	case v.IsNil(): // a pointer, or a slice
	case v.Kind() == reflect.Pointer:
		out.Set(reflect.New(t.Elem()))
		out.Elem().Set(untagged(v.Elem()))
	default:
		out.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(untagged(v.Index(i)))
		}
	}
	return out
}

// untaggedType is t without the tags of the structs that it is made of.
func untaggedType(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer:
		return reflect.PointerTo(untaggedType(t.Elem()))
	case reflect.Slice:
		return reflect.SliceOf(untaggedType(t.Elem()))
	case reflect.Struct:
		fields := make([]reflect.StructField, t.NumField())
		for i := range fields {
			fields[i] = reflect.StructField{Name: t.Field(i).Name, Type: untaggedType(t.Field(i).Type)}
		}
		return reflect.StructOf(fields)
	}
	return t
}
