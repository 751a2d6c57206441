package validation

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The caps of the API server.
const (
	maxIndexedParallelism = 100_000
	maxFailedIndexes      = 100_000

	manyCompletions           = 100_000 // with backoffLimitPerIndex, the two below apply above it
	manyCompletionsParallel   = 10_000
	manyCompletionsMaxFailed  = 10_000
	maxManagedBy              = 63
	maxFailureRules           = 20
	maxExitCodes              = 255
	maxConditionPatterns      = 20
	maxSuccessRules           = 20
	maxSucceededIndexesLength = 64 << 10
)

// unknownUID stands for the UID of a job that has none yet.
const unknownUID types.UID = "00000000-0000-0000-0000-000000000000"

// Validate returns everything that the API server finds wrong with a defaulted
// job that is to be created. Of one that has no UID yet, or no namespace, it
// takes for granted that it will get them.
func Validate(m *batchv1.Job) field.ErrorList {
	shared := reflect.ValueOf(m.Labels).Pointer() == reflect.ValueOf(m.Spec.Template.Labels).Pointer()
	m = m.DeepCopy()
	if shared { // the labels that are generated are the job's, too
		m.Labels = m.Spec.Template.Labels
	}
	orValue(&m.UID, unknownUID)
	orValue(&m.Namespace, metav1.NamespaceDefault)
	Prepare(m)
	path := field.NewPath("metadata")
	errs := validation.ValidateObjectMeta(&m.ObjectMeta, true, validation.NameIsDNSSubdomain, path)
	errs = append(errs, checkFinalizers(m.Finalizers, path.Child("finalizers"))...)
	errs = append(errs, checkGenerated(m)...)
	errs = append(errs, checkSpec(&m.Spec)...)
	return once(append(errs, checkIndexedName(m)...))
}

// checkFinalizers wants those without a domain to be Kubernetes' own.
func checkFinalizers(finalizers []string, path *field.Path) field.ErrorList {
	standard := []string{
		string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents,
	}
	var errs field.ErrorList
	for i, name := range finalizers {
		if !strings.Contains(name, "/") && !slices.Contains(standard, name) {
			errs = append(
				errs, field.Invalid(path.Index(i), name, "name is neither a standard finalizer name nor is it fully qualified"),
			)
		}
	}
	return errs
}

// once drops what was said before: the value of several labels can be wrong in
// the same way.
func once(errs field.ErrorList) field.ErrorList {
	said := make(map[string]bool, len(errs))
	return slices.DeleteFunc(errs, func(e *field.Error) bool {
		text := e.Error()
		again := said[text]
		said[text] = true
		return again
	})
}

func indexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}

func above(n *int32, limit int32) bool { return n != nil && *n > limit }

// checkIndexedName wants the host name of the last index to be one.
func checkIndexedName(m *batchv1.Job) field.ErrorList {
	if !indexed(&m.Spec) || !above(m.Spec.Completions, 0) {
		return nil
	}
	last := fmt.Sprintf("%s-%d", m.Name, *m.Spec.Completions-1)
	if len(utilvalidation.IsDNS1123Label(last)) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), m.Name,
		"will not able to create pod with invalid DNS label: "+last)}
}

// checkGenerated finds labels and selectors given by the user that contradict
// those of [Prepare].
func checkGenerated(m *batchv1.Job) field.ErrorList {
	if m.Spec.ManualSelector != nil && *m.Spec.ManualSelector {
		return nil
	}
	var errs field.ErrorList
	generated := generatedLabels(m)
	path := field.NewPath("spec", "template", "metadata", "labels")
	for _, key := range []string{legacyControllerUIDLabel, legacyJobNameLabel, batchv1.ControllerUidLabel,
		batchv1.JobNameLabel} {
		if given := m.Spec.Template.Labels; given[key] != generated[key] {
			errs = append(errs, field.Invalid(path.Key(key), given, fmt.Sprintf("must be '%s'", generated[key])))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(m.Spec.Selector)
	if err == nil && !selector.Matches(labels.Set(generated)) {
		errs = append(
			errs, field.Invalid(field.NewPath("spec", "selector"), m.Spec.Selector, "`selector` not auto-generated"),
		)
	}
	return errs
}

func checkSpec(spec *batchv1.JobSpec) field.ErrorList {
	path := field.NewPath("spec")
	return append(checkTemplateSpec(spec, path), checkSelector(spec, path)...)
}

// checkTemplateSpec checks all that a job and the template of a CronJob's have in
// common.
func checkTemplateSpec(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, found := range []field.ErrorList{
		checkNumbers(spec, path),
		checkManagedBy(spec.ManagedBy, path.Child("managedBy")),
		checkCompletionMode(spec, path),
		checkFailurePolicy(spec, path.Child("podFailurePolicy")),
		checkSuccessPolicy(spec, path.Child("successPolicy")),
		checkReplacementPolicy(spec, path.Child("podReplacementPolicy")),
		checkTemplate(&spec.Template, path.Child("template")),
		checkJobRestartPolicy(spec, path.Child("template", "spec", "restartPolicy")),
	} {
		errs = append(errs, found...)
	}
	return errs
}

func checkNumbers(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, number := range []struct {
		name  string
		value *int64
	}{
		{"parallelism", wide(spec.Parallelism)},
		{"completions", wide(spec.Completions)},
		{"activeDeadlineSeconds", spec.ActiveDeadlineSeconds},
		{"backoffLimit", wide(spec.BackoffLimit)},
		{"ttlSecondsAfterFinished", wide(spec.TTLSecondsAfterFinished)},
		{"backoffLimitPerIndex", wide(spec.BackoffLimitPerIndex)},
		{"maxFailedIndexes", wide(spec.MaxFailedIndexes)},
	} {
		if number.value != nil {
			errs = append(errs, validation.ValidateNonnegativeField(*number.value, path.Child(number.name))...)
		}
	}
	if spec.MaxFailedIndexes != nil && spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	return errs
}

func wide(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}

func checkManagedBy(managedBy *string, path *field.Path) field.ErrorList {
	if managedBy == nil {
		return nil
	}
	errs := utilvalidation.IsDomainPrefixedPath(path, *managedBy)
	if len(*managedBy) > maxManagedBy {
		errs = append(errs, field.TooLong(path, *managedBy, maxManagedBy))
	}
	return errs
}

func checkCompletionMode(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch mode := spec.CompletionMode; {
	case mode == nil || *mode == batchv1.NonIndexedCompletion:
		return checkNonIndexed(spec, path)
	case *mode == batchv1.IndexedCompletion:
		return append(checkIndexed(spec, path), checkManyIndexes(spec, path)...)
	default:
		return field.ErrorList{field.NotSupported(path.Child("completionMode"), *mode,
			[]batchv1.CompletionMode{batchv1.NonIndexedCompletion, batchv1.IndexedCompletion})}
	}
}

const needsIndexes = "requires indexed completion mode"

func checkNonIndexed(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := spec.BackoffLimitPerIndex; n != nil {
		errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *n, needsIndexes))
	}
	if n := spec.MaxFailedIndexes; n != nil {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n, needsIndexes))
	}
	return errs
}

func checkIndexed(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), "when completion mode is Indexed"))
	}
	if n := spec.Parallelism; above(n, maxIndexedParallelism) {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *n,
			fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxIndexedParallelism)))
	}
	if n := spec.MaxFailedIndexes; n != nil && spec.Completions != nil && *n > *spec.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n, "must be less than or equal to completions"))
	}
	if n := spec.MaxFailedIndexes; above(n, maxFailedIndexes) {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n,
			fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes)))
	}
	return errs
}

// checkManyIndexes has the stricter rules of jobs that have many indexes and a
// limit for each.
func checkManyIndexes(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if !above(spec.Completions, manyCompletions) || spec.BackoffLimitPerIndex == nil {
		return nil
	}
	const detail = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	var errs field.ErrorList
	if spec.MaxFailedIndexes == nil {
		errs = append(errs, field.Required(path.Child("maxFailedIndexes"),
			fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	}
	if n := spec.Parallelism; above(n, manyCompletionsParallel) {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *n,
			fmt.Sprintf(detail, manyCompletionsParallel, manyCompletions)))
	}
	if n := spec.MaxFailedIndexes; above(n, manyCompletionsMaxFailed) {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n,
			fmt.Sprintf(detail, manyCompletionsMaxFailed, manyCompletions)))
	}
	return errs
}

// checkJobRestartPolicy wants the template's restart policy to be Never or OnFailure,
// and Never with a failure policy. Always is what defaulting has made of none.
func checkJobRestartPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch policy := spec.Template.Spec.RestartPolicy; policy {
	case "Always", "":
		return field.ErrorList{field.Required(path, `valid values: "OnFailure", "Never"`)}
	case "OnFailure":
		if spec.PodFailurePolicy != nil {
			return field.ErrorList{field.Invalid(path, policy, `only "Never" is supported when podFailurePolicy is specified`)}
		}
		return nil
	case "Never":
		return nil
	default:
		return field.ErrorList{field.NotSupported(path, policy, []string{"OnFailure", "Never"})}
	}
}

func checkSelector(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Selector == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = metavalidation.ValidateLabelSelector(spec.Selector,
			metavalidation.LabelSelectorValidationOptions{}, path.Child("selector"))
	}
	selector, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if given := spec.Template.Labels; err == nil && !selector.Matches(labels.Set(given)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), given,
			"`selector` does not match template `labels`"))
	}
	return errs
}

// quotedList is how the API server lists the values that a missing one may have.
func quotedList[T ~string](values []T) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = fmt.Sprintf("%q", value)
	}
	return "valid values: [" + strings.Join(quoted, " ") + "]"
}
