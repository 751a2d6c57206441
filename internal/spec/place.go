package spec

import (
	"fmt"
	"strings"
)

// CheckLimits finds limits that the controller does not have.
func CheckLimits(limits []string, exists func(name string) bool) []FieldError {
	var errs []FieldError
	for i, name := range limits {
		if !exists(name) {
			errs = append(errs, Invalid(fmt.Sprintf("spec.limits[%d]", i), name, "is no limit of this controller"))
		}
	}
	return errs
}

// Cycle is the error of a job that would wait for itself: the jobs in order, the first
// one twice.
func Cycle(jobs []string) FieldError {
	return Invalid("spec.after", jobs[1], "jobs would wait for each other: "+strings.Join(jobs, " after "))
}

// CheckAlone finds what a job needs that one without a controller does not have.
func (j *Job) CheckAlone() []FieldError {
	if len(j.After) == 0 {
		return nil
	}
	return []FieldError{Forbidden("spec.after", nil, "Run has no other job")}
}

// CheckMapped finds what is not given to a Map, or what it sets itself.
func (j *Job) CheckMapped(hasFunction, hasExecutor bool) []FieldError {
	var errs []FieldError
	if !hasFunction {
		errs = append(errs, Required("spec.executor", "the function of Map is nil"))
	}
	for _, field := range []struct {
		name  string
		isSet bool
	}{
		{"executor", hasExecutor},
		{"completions", j.Completions != nil},
		{"completionMode", j.CompletionMode == NonIndexed},
	} {
		if field.isSet {
			errs = append(errs, Forbidden("spec."+field.name, nil, "is set by Map"))
		}
	}
	return errs
}
