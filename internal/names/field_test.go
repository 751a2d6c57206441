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
		{
			path: "spec.template.spec.activeDeadlineSeconds", detail: "must be between 1 and 2147483647, inclusive",
			want: "must be greater than 0",
		},
		{path: "metadata.name", detail: "name or generateName is required", want: "a job needs a name"},
		{
			path: "spec.completions", detail: "can only be modified in tandem with spec.parallelism",
			want: "can only be modified in tandem with Parallelism",
		},
		{
			path: "spec.backoffLimitPerIndex", detail: "when maxFailedIndexes is specified",
			want: "when MaxFailedIndexes is specified",
		},
		{path: "spec.maxFailedIndexes", detail: "requires indexed completion mode", want: "requires indexed CompletionMode"},
		{
			path: "spec.podFailurePolicy.rules[0]", detail: "specifying one of OnExitCodes and OnPodConditions is required",
			want: "specifying one of OnExitCodes, OnConditions and OnError is required",
		},
		{
			path:   "spec.template.spec.restartPolicy",
			detail: `only "Never" is supported when podFailurePolicy is specified`,
			want:   `only "Never" is supported when FailurePolicy is specified`,
		},
		{
			path:   "spec.podFailurePolicy.rules[0].onExitCodes.containerName",
			detail: "must be one of the container or initContainer names in the pod template",
			want:   "must be the job's ContainerName",
		},
		{path: "spec.history", detail: "must be greater than or equal to 0", want: "must be greater than or equal to 0"},
	} {
		require.Equal(t, test.want, GoDetail(test.path, test.detail))
	}
}
