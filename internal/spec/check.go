package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/runtocompletion/batch/internal/names"
)

// Validate returns everything that is wrong with j, whose defaults are
// resolved: metadata first, then what Kubernetes has in the spec, in the order
// of the API server, then what it lacks.
func (j *Job) Validate() []FieldError {
	return slices.Concat(
		j.checkName(),
		j.checkLabels(),
		j.checkNumbers(),
		j.checkManagedBy(),
		j.checkIndexing(),
		j.checkFailurePolicy(),
		j.checkSuccessPolicy(),
		j.checkReplacementPolicy(),
		j.checkTemplate(),
		j.ExecutorErrors,
		checkInput(j.Input),
		nonNegative("spec.progressDeadlineSeconds", &j.ProgressDeadline),
		j.checkAfter(),
		j.checkSharing(),
		nonNegative("spec.history", j.History),
		nonNegative("spec.logLimit", j.LogLimit),
		nonNegative("spec.checkpointLimit", j.CheckpointLimit),
		nonNegative("spec.resultLimit", j.ResultLimit),
	)
}

func (j *Job) checkName() []FieldError {
	errs := invalidEach("metadata.name", j.Name, names.Subdomain(j.Name))
	if j.Name == "" {
		errs = []FieldError{Required("metadata.name", "name or generateName is required")}
	}
	if n := j.Completions; j.CompletionMode == Indexed && n != nil && *n > 0 {
		// The host name of the last index must be a DNS label.
		last := fmt.Sprintf("%s-%d", j.Name, *n-1)
		if names.Label(last) != nil {
			errs = append(errs, Invalid("metadata.name", j.Name,
				"will not able to create pod with invalid DNS label: "+last))
		}
	}
	// The name is the value of a label of every attempt.
	return append(errs, invalidEach("spec.template.labels", j.Name, names.LabelValue(j.Name))...)
}

func (j *Job) checkLabels() []FieldError {
	var errs []FieldError
	for _, key := range slices.Sorted(maps.Keys(j.Labels)) {
		value := j.Labels[key]
		errs = append(errs, invalidEach("metadata.labels", key, names.Qualified(key))...)
		errs = append(errs, invalidEach("metadata.labels", value, names.LabelValue(value))...)
	}
	for _, key := range slices.Sorted(maps.Keys(j.Annotations)) {
		wrong := names.Qualified(strings.ToLower(key)) // their case is free
		errs = append(errs, invalidEach("metadata.annotations", key, wrong)...)
		if value := j.Annotations[key]; !utf8.ValidString(value) {
			errs = append(errs, Invalid("metadata.annotations", value, "must be valid UTF-8"))
		}
	}
	return errs
}

func (j *Job) checkNumbers() []FieldError {
	errs := slices.Concat(
		nonNegative("spec.parallelism", j.Parallelism),
		nonNegative("spec.completions", j.Completions),
		nonNegative("spec.activeDeadlineSeconds", j.ActiveDeadline),
		nonNegative("spec.backoffLimit", j.BackoffLimit),
		nonNegative("spec.ttlSecondsAfterFinished", j.TTLAfterFinished),
		nonNegative("spec.backoffLimitPerIndex", j.BackoffLimitPerIndex),
		nonNegative("spec.maxFailedIndexes", j.MaxFailedIndexes),
	)
	if j.MaxFailedIndexes != nil && j.BackoffLimitPerIndex == nil {
		errs = append(errs, Required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
	}
	return errs
}

// checkAfter wants names of other jobs, each once.
func (j *Job) checkAfter() []FieldError {
	var errs []FieldError
	for i, name := range j.After {
		path := fmt.Sprintf("spec.after[%d]", i)
		errs = append(errs, invalidEach(path, name, names.Subdomain(name))...)
		errs = append(errs, invalidEach(path, name, names.LabelValue(name))...)
		switch {
		case name == j.Name:
			errs = append(errs, Invalid(path, name, "a job cannot start after itself"))
		case slices.Contains(j.After[:i], name):
			errs = append(errs, FieldError{Field: path, Kind: "Duplicate", Value: name})
		}
	}
	return errs
}

// checkSharing looks at what the job shares with others, except whether that exists.
func (j *Job) checkSharing() []FieldError {
	var errs []FieldError
	for i, name := range j.Limits {
		path := fmt.Sprintf("spec.limits[%d]", i)
		errs = append(errs, invalidEach(path, name, names.Subdomain(name))...)
		if slices.Contains(j.Limits[:i], name) {
			errs = append(errs, FieldError{Field: path, Kind: "Duplicate", Value: name})
		}
	}
	const most = 1000
	if j.Priority < -most || j.Priority > most {
		errs = append(errs, Invalid("spec.priority", j.Priority, "must be between -1000 and 1000, inclusive"))
	}
	return errs
}

// checkManagedBy wants a domain-prefixed path.
func (j *Job) checkManagedBy() []FieldError {
	const path = "spec.managedBy"
	switch {
	case j.ManagedBy == nil:
		return nil
	case *j.ManagedBy == "":
		return []FieldError{Required(path, "")}
	}
	host, rest, _ := strings.Cut(*j.ManagedBy, "/")
	if host == "" || rest == "" {
		return []FieldError{Invalid(path, *j.ManagedBy, `must be a domain-prefixed path (such as "acme.io/foo")`)}
	}
	return append(invalidEach(path, host, names.Subdomain(host)), invalidEach(path, rest, names.Path(rest))...)
}

func (j *Job) checkIndexing() []FieldError {
	const needsIndexes = "requires indexed completion mode"
	var errs []FieldError
	switch j.CompletionMode {
	case Indexed:
		if j.Completions == nil {
			errs = append(errs, Required("spec.completions", "when completion mode is Indexed"))
		} else if j.MaxFailedIndexes != nil && *j.MaxFailedIndexes > *j.Completions {
			errs = append(
				errs, Invalid("spec.maxFailedIndexes", *j.MaxFailedIndexes, "must be less than or equal to completions"),
			)
		}
	case NonIndexed:
		if j.BackoffLimitPerIndex != nil {
			errs = append(errs, Invalid("spec.backoffLimitPerIndex", *j.BackoffLimitPerIndex, needsIndexes))
		}
		if j.MaxFailedIndexes != nil {
			errs = append(errs, Invalid("spec.maxFailedIndexes", *j.MaxFailedIndexes, needsIndexes))
		}
	}
	return append(errs, oneOf("spec.completionMode", j.CompletionMode, NonIndexed, Indexed)...)
}

func (j *Job) checkReplacementPolicy() []FieldError {
	const path = "spec.podReplacementPolicy"
	if j.FailurePolicy != nil {
		return oneOf(path, j.ReplacementPolicy, ReplaceFailed)
	}
	return oneOf(path, j.ReplacementPolicy, ReplaceFailed, ReplaceTerminatingOrFailed)
}

func (j *Job) checkTemplate() []FieldError {
	errs := invalidEach("spec.template.spec.containers[0].name", j.ContainerName, names.Label(j.ContainerName))
	if j.AttemptTimeout != nil && *j.AttemptTimeout <= 0 {
		errs = append(errs, Invalid("spec.template.spec.activeDeadlineSeconds", *j.AttemptTimeout,
			"must be between 1 and 2147483647, inclusive"))
	}
	errs = append(errs, nonNegative("spec.template.spec.terminationGracePeriodSeconds", j.TerminationGracePeriod)...)
	return append(errs, j.checkRestartPolicy()...)
}

func (j *Job) checkRestartPolicy() []FieldError {
	const path = "spec.template.spec.restartPolicy"
	switch {
	case j.RestartPolicy == "Always": // what a pod without a restart policy has
		return []FieldError{Required(path, `valid values: "OnFailure", "Never"`)}
	case j.RestartPolicy == RestartOnFailure && j.FailurePolicy != nil:
		return []FieldError{Invalid(path, j.RestartPolicy, `only "Never" is supported when podFailurePolicy is specified`)}
	}
	return oneOf(path, j.RestartPolicy, RestartOnFailure, RestartNever)
}

// CheckCommand returns what is wrong with a program and its environment.
func CheckCommand(args, env []string) []FieldError {
	const path = "spec.executor"
	var errs []FieldError
	if len(args) == 0 || args[0] == "" {
		errs = append(errs, Required(path, "Args of a Command must name a program"))
	}
	for i, entry := range env {
		if name, _, ok := strings.Cut(entry, "="); !ok || name == "" || strings.ContainsRune(entry, 0) {
			errs = append(errs, Invalid(fmt.Sprintf("%s.env[%d]", path, i), entry,
				`must have the form "NAME=value", without a zero byte`))
		}
	}
	return errs
}
