package names

import (
	"regexp"
	"strings"
)

// goFields are the Go names of the fields whose paths in a manifest are others. Longer
// paths come before their beginnings.
var goFields = []struct{ path, field string }{
	{"spec.template.spec.containers[0].name", "ContainerName"},
	{"spec.template.spec.activeDeadlineSeconds", "AttemptTimeout"},
	{"spec.template.spec.terminationGracePeriodSeconds", "TerminationGracePeriod"},
	{"spec.template.spec.restartPolicy", "RestartPolicy"},
	{"spec.template.labels", "Name"}, // it is the value of a label
	{"spec.template", "RestartPolicy, ContainerName, AttemptTimeout, ProgressDeadline or TerminationGracePeriod"},
	{"spec.activeDeadlineSeconds", "ActiveDeadline"},
	{"spec.progressDeadlineSeconds", "ProgressDeadline"},
	{"spec.ttlSecondsAfterFinished", "TTLAfterFinished"},
	{"spec.podReplacementPolicy", "ReplacementPolicy"},
	{"spec.podFailurePolicy", "FailurePolicy"},
}

// GoField is the name in Go of a job's field, given by its path in a manifest, such as
// FailurePolicy[0].OnConditions[1].Type.
func GoField(path string) string {
	name, rest := "", path
	for _, known := range goFields {
		if after, ok := strings.CutPrefix(path, known.path); ok && (after == "" || strings.ContainsAny(after[:1], ".[")) {
			name, rest = known.field, strings.TrimPrefix(after, ".")
			if strings.HasPrefix(after, "[") {
				name, rest = known.field+after, ""
			}
			break
		}
	}
	if name == "" {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "metadata."), "spec.")
	}
	parts := []string{name}
	if name == "" {
		parts = nil
	}
	if rest != "" {
		for part := range strings.SplitSeq(rest, ".") {
			parts = append(parts, strings.ToUpper(part[:min(1, len(part))])+part[min(1, len(part)):])
		}
	}
	return goWords.Replace(strings.Join(parts, "."))
}

// goWords are what is not called in Go as in a manifest: policies are lists of rules, and
// exit codes have no operator.
var goWords = strings.NewReplacer("OnPodConditions", "OnConditions", "Policy.Rules", "Policy",
	"OnExitCodes.Operator", "OnExitCodes", "OnExitCodes.Values", "OnExitCodes")

// manifestWords are the words in the details of errors that name fields of a manifest.
var manifestWords = regexp.MustCompile(`\b(spec\.)?(backoffLimitPerIndex|maxFailedIndexes|completions|` +
	`completion mode|parallelism|podFailurePolicy|successPolicy|succeededIndexes|succeededCount|OnPodConditions)\b`)

// goDetails say what is different in Go.
var goDetails = strings.NewReplacer(
	"must be one of the container or initContainer names in the pod template", "must be the job's ContainerName",
	"one of OnExitCodes and OnPodConditions is", "one of OnExitCodes, OnConditions and OnError is")

// GoDetail is a detail of an error with the names of GoField.
func GoDetail(path, detail string) string {
	switch path {
	case "spec.template.spec.activeDeadlineSeconds":
		return "must be greater than 0"
	case "metadata.name":
		detail = strings.ReplaceAll(detail, "name or generateName is required", "a job needs a name")
	}
	detail = goDetails.Replace(detail)
	return manifestWords.ReplaceAllStringFunc(detail, func(word string) string {
		if word == "completion mode" {
			return "CompletionMode"
		}
		return GoField("spec." + strings.TrimPrefix(word, "spec."))
	})
}
