package spec

import (
	"fmt"
	"slices"
)

// ValidateUpdate returns everything that is wrong with j as a change of old: what is
// wrong with j itself, and what may not change. Both have their defaults resolved. Of
// the template, nothing that a Job has may change while it is suspended.
func (j *Job) ValidateUpdate(old *Job) []FieldError {
	return slices.Concat(
		j.Validate(),
		immutable("metadata.name", j.Name == old.Name, j.Name),
		j.checkCompletionsUpdate(old),
		immutable("spec.template", j.sameTemplate(old), SomeObject),
		immutable("spec.completionMode", j.CompletionMode == old.CompletionMode, j.CompletionMode),
		immutable(
			"spec.podFailurePolicy", SameFailureRules(j.FailurePolicy, old.FailurePolicy), objectOrNull(j.FailurePolicy),
		),
		immutable(
			"spec.backoffLimitPerIndex", equal(j.BackoffLimitPerIndex, old.BackoffLimitPerIndex),
			valueOrNull(j.BackoffLimitPerIndex),
		),
		immutable("spec.managedBy", equal(j.ManagedBy, old.ManagedBy), valueOrNull(j.ManagedBy)),
		immutable("spec.after", slices.Equal(j.After, old.After), Raw(fmt.Sprintf("%q", j.After))),
		immutable("spec.limits", slices.Equal(j.Limits, old.Limits), Raw(fmt.Sprintf("%q", j.Limits))),
		immutable("spec.successPolicy", sameSuccessRules(j.SuccessPolicy, old.SuccessPolicy), objectOrNull(j.SuccessPolicy)),
		j.checkInputUpdate(old),
	)
}

func (j *Job) checkCompletionsUpdate(old *Job) []FieldError {
	const path = "spec.completions"
	same := equal(j.Completions, old.Completions)
	if j.CompletionMode != Indexed {
		return immutable(path, same, valueOrNull(j.Completions))
	}
	// Without completions an Indexed job is invalid already.
	if same || j.Completions == nil || *j.Completions == *j.Parallelism {
		return nil
	}
	return []FieldError{Invalid(path, *j.Completions, "can only be modified in tandem with spec.parallelism")}
}

func (j *Job) sameTemplate(old *Job) bool {
	return j.RestartPolicy == old.RestartPolicy &&
		j.ContainerName == old.ContainerName &&
		equal(j.AttemptTimeout, old.AttemptTimeout) &&
		j.ProgressDeadline == old.ProgressDeadline &&
		equal(j.TerminationGracePeriod, old.TerminationGracePeriod)
}

// equal reports whether both are nil, or both point to the same value.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
