package names

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGoField(t *testing.T) {
	for path, want := range map[string]string{
		"metadata.name":                                          "Name",
		"metadata.labels":                                        "Labels",
		"spec.template.labels":                                   "Name",
		"spec.parallelism":                                       "Parallelism",
		"spec.executor.env[2]":                                   "Executor.Env[2]",
		"spec.activeDeadlineSeconds":                             "ActiveDeadline",
		"spec.podFailurePolicy":                                  "FailurePolicy",
		"spec.podFailurePolicy.rules[0]":                         "FailurePolicy[0]",
		"spec.successPolicy.rules[1].succeededCount":             "SuccessPolicy[1].SucceededCount",
		"spec.podFailurePolicy.rules[0].onPodConditions[1].type": "FailurePolicy[0].OnConditions[1].Type",
		"spec.podFailurePolicy.rules[0].onExitCodes.values[3]":   "FailurePolicy[0].OnExitCodes[3]",
		"spec.template.spec.activeDeadlineSeconds":               "AttemptTimeout",
		"spec.template.spec.terminationGracePeriodSeconds":       "TerminationGracePeriod",
		"spec.template.spec.containers[0].name":                  "ContainerName",
		"spec.template": "RestartPolicy, ContainerName, AttemptTimeout, " +
			"ProgressDeadline or TerminationGracePeriod",
	} {
		require.Equal(t, want, GoField(path), path)
	}
}

func TestGoDetail(t *testing.T) {
	for _, test := range []struct{ path, detail, want string }{
		{"spec.template.spec.activeDeadlineSeconds", "must be between 1 and 2147483647, inclusive", "must be greater than 0"},
		{"metadata.name", "name or generateName is required", "a job needs a name"},
		{
			"spec.completions", "can only be modified in tandem with spec.parallelism",
			"can only be modified in tandem with Parallelism",
		},
		{"spec.backoffLimitPerIndex", "when maxFailedIndexes is specified", "when MaxFailedIndexes is specified"},
		{"spec.maxFailedIndexes", "requires indexed completion mode", "requires indexed CompletionMode"},
		{
			"spec.podFailurePolicy.rules[0]", "specifying one of OnExitCodes and OnPodConditions is required",
			"specifying one of OnExitCodes and OnConditions is required",
		},
		{"spec.history", "must be greater than or equal to 0", "must be greater than or equal to 0"},
	} {
		require.Equal(t, test.want, GoDetail(test.path, test.detail))
	}
}
