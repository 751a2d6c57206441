package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/names"
)

// SameFailureRules reports whether two failure policies are the same. Of functions it
// only matters that there is one.
func SameFailureRules(p, q []FailureRule) bool {
	return (p == nil) == (q == nil) && slices.EqualFunc(p, q, func(a, b FailureRule) bool {
		return a.Action == b.Action &&
			a.OnExitCodes.equal(b.OnExitCodes) &&
			slices.Equal(a.OnConditions, b.OnConditions) &&
			a.OnError == b.OnError
	})
}

func (e *ExitCodes) equal(f *ExitCodes) bool {
	if e == nil || f == nil {
		return e == f
	}
	return e.ContainerName == f.ContainerName && slices.Equal(e.In, f.In) && slices.Equal(e.NotIn, f.NotIn)
}

func (j *Job) checkFailurePolicy() []FieldError {
	var errs []FieldError
	for i, rule := range j.FailurePolicy {
		errs = append(errs, rule.check(j, fmt.Sprintf("spec.podFailurePolicy.rules[%d]", i))...)
	}
	return errs
}

func (r *FailureRule) check(j *Job, path string) []FieldError {
	errs := oneOf(path+".action", r.Action, ActionCount, ActionFailIndex, ActionFailJob, ActionIgnore)
	if r.Action == ActionFailIndex && j.BackoffLimitPerIndex == nil {
		errs = append(errs, Invalid(path+".action", ActionFailIndex, "requires the backoffLimitPerIndex to be set"))
	}
	errs = append(errs, r.OnExitCodes.check(j, path+".onExitCodes")...)
	for i, condition := range r.OnConditions {
		at := fmt.Sprintf("%s.onPodConditions[%d]", path, i)
		errs = append(errs, invalidEach(at+".type", condition.Type, names.Qualified(condition.Type))...)
		errs = append(errs, oneOf(at+".status", condition.Status, "False", "True", "Unknown")...)
	}
	return append(errs, r.checkMatchers(path)...)
}

// checkMatchers wants exactly one matcher.
func (r *FailureRule) checkMatchers(path string) []FieldError {
	var given []string
	if r.OnExitCodes != nil {
		given = append(given, "OnExitCodes")
	}
	if len(r.OnConditions) > 0 {
		given = append(given, "OnPodConditions")
	}
	if r.OnError {
		given = append(given, "OnError")
	}
	switch len(given) {
	case 0:
		return []FieldError{Invalid(path, nil, "specifying one of OnExitCodes and OnPodConditions is required")}
	case 1:
		return nil
	}
	return []FieldError{Invalid(path, nil, "specifying both "+strings.Join(given, " and ")+" is not supported")}
}

func (e *ExitCodes) check(j *Job, path string) []FieldError {
	if e == nil {
		return nil
	}
	var errs []FieldError
	values := e.In
	switch {
	case e.In == nil && e.NotIn == nil:
		errs = append(errs, Required(path+".operator", "In or NotIn must be given"))
	case e.In != nil && e.NotIn != nil:
		errs = append(errs, Invalid(path+".operator", nil, "specifying both In and NotIn is not supported"))
	case e.In == nil:
		values = e.NotIn
	}
	if e.ContainerName != "" && e.ContainerName != j.ContainerName {
		errs = append(errs, Invalid(path+".containerName", e.ContainerName,
			"must be one of the container or initContainer names in the pod template"))
	}
	if slices.Contains(e.In, 0) {
		at := fmt.Sprintf("%s.values[%d]", path, slices.Index(e.In, 0))
		errs = append(errs, Invalid(at, 0, "must not be 0 for the In operator"))
	}
	return append(errs, checkCodes(values, path+".values")...)
}

func checkCodes(values []int, path string) []FieldError {
	if len(values) == 0 {
		return []FieldError{Invalid(path, jsonOf(values), "at least one value is required")}
	}
	var errs []FieldError
	seen := make(map[int]bool, len(values))
	for i, value := range values {
		if seen[value] {
			errs = append(errs, FieldError{Field: fmt.Sprintf("%s[%d]", path, i), Kind: "Duplicate", Value: value})
		}
		seen[value] = true
	}
	if !slices.IsSorted(values) {
		errs = append(errs, Invalid(path, jsonOf(values), "must be ordered"))
	}
	return errs
}

func jsonOf(values []int) Raw {
	text, _ := json.Marshal(values) // cannot fail
	return Raw(text)
}

func sameSuccessRules(p, q []SuccessRule) bool {
	return (p == nil) == (q == nil) && slices.EqualFunc(p, q, func(a, b SuccessRule) bool {
		return sameSet(a.Indexes, b.Indexes) && equal(a.Count, b.Count)
	})
}

func sameSet(a, b *indexset.Set) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

func (j *Job) checkSuccessPolicy() []FieldError {
	const path = "spec.successPolicy"
	switch {
	case j.SuccessPolicy == nil:
		return nil
	case j.CompletionMode != Indexed: // what its rules say does not matter
		return []FieldError{Invalid(path, SomeObject, "requires indexed completion mode")}
	case len(j.SuccessPolicy) == 0:
		return []FieldError{
			Required(path+".rules", "at least one rules must be specified when the successPolicy is specified"),
		}
	case j.Completions == nil: // which is reported; rules cannot be held against it
		return nil
	}
	var errs []FieldError
	for i, rule := range j.SuccessPolicy {
		errs = append(errs, rule.check(*j.Completions, fmt.Sprintf("%s.rules[%d]", path, i))...)
	}
	return errs
}

func (r SuccessRule) check(completions int, path string) []FieldError {
	if r.Count == nil && r.Indexes == nil {
		return []FieldError{Required(path, "at least one of succeededCount or succeededIndexes must be specified")}
	}
	var errs []FieldError
	size := 0
	if r.Indexes != nil {
		text := r.Indexes.String()
		set, err := indexset.Parse(text, max(completions, 0))
		if err != nil {
			errs = append(errs, Invalid(path+".succeededIndexes", text, "error parsing succeededIndexes: "+err.Error()))
		}
		size = set.Len()
	}
	if r.Count != nil {
		errs = append(errs, r.checkCount(completions, size, path+".succeededCount")...)
	}
	return errs
}

// checkCount wants no more than completions, and no more than size, the number
// of Indexes if there are any.
func (r SuccessRule) checkCount(completions, size int, path string) []FieldError {
	count := *r.Count
	errs := nonNegative(path, r.Count)
	if count > completions {
		errs = append(errs, Invalid(path, count,
			fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
	}
	if r.Indexes != nil && count > size {
		errs = append(errs, Invalid(path, count,
			fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)",
				size)))
	}
	return errs
}
