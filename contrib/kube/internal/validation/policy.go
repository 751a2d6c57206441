package validation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	failureActions = []batchv1.PodFailurePolicyAction{
		batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
		batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore}
	exitCodeOperators = []batchv1.PodFailurePolicyOnExitCodesOperator{
		batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn}
	conditionStatuses = []corev1.ConditionStatus{
		corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
)

// oneOf wants one of the known values; unlike elsewhere in the API, what is
// missing has a text of its own.
func oneOf[T ~string](value T, known []T, path *field.Path) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, quotedList(known))}
	case !slices.Contains(known, value):
		return field.ErrorList{field.NotSupported(path, value, known)}
	}
	return nil
}

func checkReplacementPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	known := []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
	if spec.PodFailurePolicy != nil {
		known = known[:1]
	}
	if policy := spec.PodReplacementPolicy; policy != nil && !slices.Contains(known, *policy) {
		return field.ErrorList{field.NotSupported(path, *policy, known)}
	}
	return nil
}

func checkFailurePolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if spec.PodFailurePolicy == nil {
		return nil
	}
	path = path.Child("rules")
	rules := spec.PodFailurePolicy.Rules
	errs := atMost(len(rules), maxFailureRules, path)
	names := containerNames(&spec.Template.Spec)
	for i := range rules {
		errs = append(errs, checkFailureRule(spec, &rules[i], names, path.Index(i))...)
	}
	return errs
}

func atMost(n, limit int, path *field.Path) field.ErrorList {
	if n <= limit {
		return nil
	}
	return field.ErrorList{field.TooMany(path, n, limit)}
}

func checkFailureRule(spec *batchv1.JobSpec, rule *batchv1.PodFailurePolicyRule, names map[string]bool,
	path *field.Path) field.ErrorList {
	errs := oneOf(rule.Action, failureActions, path.Child("action"))
	if rule.Action == batchv1.PodFailurePolicyActionFailIndex && spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Invalid(path.Child("action"), rule.Action, "requires the backoffLimitPerIndex to be set"))
	}
	if rule.OnExitCodes != nil {
		errs = append(errs, checkExitCodes(names, rule.OnExitCodes, path.Child("onExitCodes"))...)
	}
	errs = append(errs, checkPatterns(rule.OnPodConditions, path.Child("onPodConditions"))...)
	switch byCode, byCondition := rule.OnExitCodes != nil, len(rule.OnPodConditions) > 0; {
	case byCode && byCondition:
		errs = append(
			errs, field.Invalid(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"),
		)
	case !byCode && !byCondition:
		errs = append(
			errs, field.Invalid(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"),
		)
	}
	return errs
}

func checkPatterns(patterns []batchv1.PodFailurePolicyOnPodConditionsPattern, path *field.Path) field.ErrorList {
	errs := atMost(len(patterns), maxConditionPatterns, path)
	for i, pattern := range patterns {
		at := path.Index(i)
		errs = append(errs, checkQualifiedName(string(pattern.Type), at.Child("type"))...)
		errs = append(errs, oneOf(pattern.Status, conditionStatuses, at.Child("status"))...)
	}
	return errs
}

func checkQualifiedName(name string, path *field.Path) field.ErrorList {
	return invalidEach(path, name, utilvalidation.IsQualifiedName(name))
}

// invalidEach returns an error for each thing that a check of package
// util/validation finds wrong with value.
func invalidEach(path *field.Path, value any, wrong []string) field.ErrorList {
	var errs field.ErrorList
	for _, detail := range wrong {
		errs = append(errs, field.Invalid(path, value, detail))
	}
	return errs
}

func checkExitCodes(names map[string]bool, on *batchv1.PodFailurePolicyOnExitCodesRequirement,
	path *field.Path) field.ErrorList {
	errs := oneOf(on.Operator, exitCodeOperators, path.Child("operator"))
	if name := on.ContainerName; name != nil && !names[*name] {
		errs = append(errs, field.Invalid(path.Child("containerName"), *name,
			"must be one of the container or initContainer names in the pod template"))
	}
	return append(errs, checkCodes(on, path.Child("values"))...)
}

func containerNames(pod *corev1.PodSpec) map[string]bool {
	names := make(map[string]bool, len(pod.Containers)+len(pod.InitContainers))
	for _, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		names[c.Name] = true
	}
	return names
}

func checkCodes(on *batchv1.PodFailurePolicyOnExitCodesRequirement, path *field.Path) field.ErrorList {
	errs := atMost(len(on.Values), maxExitCodes, path)
	if len(on.Values) == 0 {
		errs = append(errs, field.Invalid(path, on.Values, "at least one value is required"))
	}
	seen := make(map[int32]bool, len(on.Values))
	for i, code := range on.Values {
		if code == 0 && on.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			errs = append(errs, field.Invalid(path.Index(i), code, "must not be 0 for the In operator"))
		}
		if seen[code] {
			errs = append(errs, field.Duplicate(path.Index(i), code))
		}
		seen[code] = true
	}
	if !slices.IsSorted(on.Values) {
		errs = append(errs, field.Invalid(path, on.Values, "must be ordered"))
	}
	return errs
}

func checkSuccessPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	switch {
	case spec.SuccessPolicy == nil:
		return nil
	case !indexed(spec): // what its rules say does not matter
		return field.ErrorList{field.Invalid(path, inMemory(*spec.SuccessPolicy), needsIndexes)}
	}
	path = path.Child("rules")
	rules := spec.SuccessPolicy.Rules
	errs := atMost(len(rules), maxSuccessRules, path)
	if len(rules) == 0 {
		errs = append(errs, field.Required(path, "at least one rules must be specified when the successPolicy is specified"))
	}
	for i, rule := range rules {
		if rule.SucceededCount == nil && rule.SucceededIndexes == nil {
			errs = append(
				errs, field.Required(path.Index(i), "at least one of succeededCount or succeededIndexes must be specified"),
			)
		} else if spec.Completions != nil { // else they are reported as missing
			errs = append(errs, checkSuccessRule(&rule, *spec.Completions, path.Index(i))...)
		}
	}
	return errs
}

func checkSuccessRule(rule *batchv1.SuccessPolicyRule, completions int32, path *field.Path) field.ErrorList {
	size, errs := checkSucceededIndexes(rule.SucceededIndexes, completions, path.Child("succeededIndexes"))
	if rule.SucceededCount == nil {
		return errs
	}
	count, path := *rule.SucceededCount, path.Child("succeededCount")
	errs = append(errs, validation.ValidateNonnegativeField(int64(count), path)...)
	if count > completions {
		errs = append(errs, field.Invalid(path, count,
			fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
	}
	if rule.SucceededIndexes != nil && count > size {
		errs = append(errs, field.Invalid(path, count,
			fmt.Sprintf(
				"must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", size,
			)))
	}
	return errs
}

// checkSucceededIndexes also says how many indexes there are before what is
// wrong with the text.
func checkSucceededIndexes(text *string, completions int32, path *field.Path) (int32, field.ErrorList) {
	if text == nil {
		return 0, nil
	}
	var errs field.ErrorList
	if len(*text) > maxSucceededIndexesLength {
		errs = append(errs, field.TooLong(path, *text, maxSucceededIndexesLength))
	}
	size, err := countIndexes(*text, completions)
	if err != nil {
		errs = append(errs, field.Invalid(path, *text, "error parsing succeededIndexes: "+err.Error()))
	}
	return size, errs
}

// CheckIndexes says why a text is none that countIndexes can count.
func CheckIndexes(text string, completions int32) error {
	_, err := countIndexes(text, completions)
	return err
}

// countIndexes says how many indexes a text such as "0,2-4" has: intervals in
// increasing order, all below completions. Of a malformed text it counts nothing.
func countIndexes(text string, completions int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var count int32
	last := int32(-1) // nothing yet
	for interval := range strings.SplitSeq(text, ",") {
		first, end, err := parseInterval(interval, completions)
		if err != nil {
			return 0, err
		}
		if first <= last {
			return 0, notIncreasing(last, first)
		}
		count += end - first + 1
		last = end
	}
	return count, nil
}

func parseInterval(text string, completions int32) (first, end int32, err error) {
	parts := strings.Split(text, "-")
	if len(parts) > 2 {
		return 0, 0, fmt.Errorf("the fragment %q violates the requirement that an index interval can have "+
			"at most two parts separated by '-'", text)
	}
	if first, err = parseIndex(parts[0], completions); err != nil || len(parts) == 1 {
		return first, first, err
	}
	if end, err = parseIndex(parts[1], completions); err == nil && end <= first {
		err = notIncreasing(first, end)
	}
	return first, end, err
}

func parseIndex(text string, completions int32) (int32, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if n >= int(completions) {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}

func notIncreasing(previous, current int32) error {
	return fmt.Errorf("non-increasing order, previous: %d, current: %d", previous, current)
}
