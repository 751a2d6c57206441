package batch

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
)

func TestValidateUpdate(t *testing.T) {
	perIndex := func(j *Job) {
		j.CompletionMode, j.Completions, j.Parallelism = Indexed, new(2), new(2)
		j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(1), new(1)
		j.FailurePolicy = []FailureRule{{Action: ActionFailIndex, OnExitCodes: &ExitCodes{In: []int{42}}}}
	}
	size := func(completions, parallelism int) func(*Job) {
		return func(j *Job) { j.Completions, j.Parallelism = new(completions), new(parallelism) }
	}
	elastic := func(completions, parallelism int) func(*Job) {
		return func(j *Job) {
			j.CompletionMode = Indexed
			size(completions, parallelism)(j)
		}
	}
	isFatal := func(err error) bool { return errors.Is(err, os.ErrInvalid) }
	onError := func(match func(error) bool) func(*Job) {
		return func(j *Job) {
			j.FailurePolicy = []FailureRule{{Action: ActionFailJob, OnError: match}}
		}
	}
	run := func(f ExecutorFunc) func(*Job) { return func(j *Job) { j.Executor = f } }
	first := func(context.Context, Attempt) error { return nil }
	second := func(context.Context, Attempt) error { return os.ErrInvalid }
	command := func(args ...string) func(*Job) {
		return func(j *Job) { j.Executor = Command{Args: args, Stdout: os.Stdout} }
	}
	none := func(*Job) {}
	const (
		tandem  = ": can only be modified in tandem with spec.parallelism"
		fixed   = ": field is immutable"
		notHere = ": requires indexed completion mode"
	)
	tests := map[string]struct {
		old, change func(*Job)
		want        []string
	}{
		// These names are those of recorded cases.
		"elastic-up":           {elastic(2, 2), size(4, 4), nil},
		"elastic-down":         {elastic(4, 4), size(2, 2), nil},
		"elastic-down-to-done": {elastic(3, 3), size(1, 1), nil},
		"elastic-per-index":    {perIndex, size(2, 2), nil},
		"elastic-rejected": {
			elastic(2, 2), size(4, 2), []string{"spec.completions: Invalid value: 4" + tandem},
		},
		"elastic-rejected-nonindexed": {
			size(2, 2), size(4, 4), []string{"spec.completions: Invalid value: 4" + fixed},
		},
		"update-completion-mode": {
			perIndex, func(j *Job) { j.CompletionMode = NonIndexed },
			[]string{
				"spec.backoffLimitPerIndex: Invalid value: 1" + notHere, "spec.maxFailedIndexes: Invalid value: 1" + notHere,
				`spec.completionMode: Invalid value: "NonIndexed"` + fixed,
			},
		},
		"update-per-index": {
			perIndex, func(j *Job) { j.BackoffLimitPerIndex = new(3) },
			[]string{"spec.backoffLimitPerIndex: Invalid value: 3" + fixed},
		},
		"update-per-index-removed": {
			perIndex, func(j *Job) { j.BackoffLimitPerIndex = nil },
			[]string{
				"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
				`spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
				"spec.backoffLimitPerIndex: Invalid value: null" + fixed,
			},
		},
		"update-max-failed-indexes": {perIndex, func(j *Job) { j.MaxFailedIndexes = new(2) }, nil},
		"update-max-failed-indexes-too-large": {
			perIndex, func(j *Job) { j.MaxFailedIndexes = new(3) },
			[]string{"spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"},
		},
		"update-failure-policy": {
			perIndex, func(j *Job) { j.FailurePolicy[0].OnExitCodes.In[0] = 43 },
			[]string{"spec.podFailurePolicy: Invalid value: {...}" + fixed},
		},
		"update-success-policy-added": {
			elastic(2, 2), func(j *Job) { j.SuccessPolicy = []SuccessRule{{SucceededCount: new(1)}} },
			[]string{"spec.successPolicy: Invalid value: {...}" + fixed},
		},
		"update-template": {
			none, func(j *Job) { j.ContainerName = "other" }, []string{"spec.template: Invalid value: {...}" + fixed},
		},
		"update-managed-by": {
			none, func(j *Job) { j.ManagedBy = new("example.com/other") },
			[]string{`spec.managedBy: Invalid value: "example.com/other"` + fixed},
		},
		"update-replacement-policy": {none, func(j *Job) { j.ReplacementPolicy = ReplaceFailed }, nil},
		"update-replacement-policy-with-failure-policy": {
			perIndex, func(j *Job) { j.ReplacementPolicy = ReplaceTerminatingOrFailed },
			[]string{`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`},
		},
		"update-backoff-limit-negative": {
			none, func(j *Job) { j.BackoffLimit = new(-1) },
			[]string{"spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"},
		},
		"update-parallelism-negative": {
			none, func(j *Job) { j.Parallelism = new(-1) },
			[]string{"spec.parallelism: Invalid value: -1: must be greater than or equal to 0"},
		},
		"update-parallelism-unset": {size(3, 3), func(j *Job) { j.Parallelism = nil }, nil},
		"update-completions-unset": {
			size(3, 3), func(j *Job) { j.Completions = nil }, []string{"spec.completions: Invalid value: null" + fixed},
		},
		"update-completions-set": {
			func(j *Job) { j.Parallelism = new(3) }, func(j *Job) { j.Completions = new(3) },
			[]string{"spec.completions: Invalid value: 3" + fixed},
		},
		"update-elastic-not-in-tandem": {elastic(2, 2), size(4, 3), []string{"spec.completions: Invalid value: 4" + tandem}},
		"update-elastic-from-unequal":  {elastic(4, 2), size(3, 3), nil},

		// These are our own.
		"nothing": {none, none, nil},
		"the name": {
			none, func(j *Job) { j.Name = "other" }, []string{`metadata.name: Invalid value: "other"` + fixed},
		},
		"a larger Indexed job's name (R104)": {
			func(j *Job) { elastic(2, 2)(j); j.Name = strings.Repeat("a", 61) }, size(100, 100),
			[]string{`metadata.name: Invalid value: "` + strings.Repeat("a", 61) +
				`": will not able to create pod with invalid DNS label: ` + strings.Repeat("a", 61) + "-99"},
		},
		"an Indexed job's completions unset": {
			elastic(2, 2), func(j *Job) { j.Completions = nil },
			[]string{"spec.completions: Required value: when completion mode is Indexed"},
		},
		"parallelism of an Indexed job": {elastic(2, 2), size(2, 7), nil},
		"the restart policy": {
			none, func(j *Job) { j.RestartPolicy = RestartOnFailure }, []string{"spec.template: Invalid value: {...}" + fixed},
		},
		"an attempt's timeout": {
			none, func(j *Job) { j.AttemptTimeout = new(time.Second) }, []string{"spec.template: Invalid value: {...}" + fixed},
		},
		"the grace period": {
			none, func(j *Job) { j.TerminationGracePeriod = new(time.Second) },
			[]string{"spec.template: Invalid value: {...}" + fixed},
		},
		"the grace period, to the default": {none, func(j *Job) { j.TerminationGracePeriod = new(30 * time.Second) }, nil},
		"suspended, the template stays shut": {
			func(j *Job) { j.Suspend = true }, func(j *Job) { j.ContainerName = "other" },
			[]string{"spec.template: Invalid value: {...}" + fixed},
		},
		"the failure policy removed": {
			perIndex, func(j *Job) { j.FailurePolicy = nil }, []string{"spec.podFailurePolicy: Invalid value: null" + fixed},
		},
		"a failure policy of other errors":    {onError(isFatal), onError(ErrorIs(os.ErrInvalid)), nil},
		"a failure policy of the same errors": {onError(isFatal), onError(isFatal), nil},
		"the same function":                   {run(first), run(first), nil},
		"another function":                    {run(first), run(second), nil},
		"no function": {
			run(first), func(j *Job) { j.Executor = nil },
			[]string{"spec.executor: Required value: a job needs something to run"},
		},
		"the same command anew":    {command("ls", "-l"), command("ls", "-l"), nil},
		"another command":          {command("ls", "-l"), command("ls", "-a"), nil},
		"a command for a function": {run(first), command("ls"), nil},
		"all that may change (R107)": {perIndex, func(j *Job) {
			j.Parallelism, j.BackoffLimit, j.MaxFailedIndexes = new(9), new(9), new(0)
			j.ActiveDeadline, j.TTLAfterFinished, j.Suspend = new(time.Hour), new(time.Hour), true
			j.Labels, j.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
			j.Backoff, j.RestartBackoff = ConstantBackoff(0), BackoffFunc(func() backoff.BackOff { return nil })
			j.History, j.LogLimit = new(1), new(1)
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := good(test.old).withDefaults()
			require.Empty(t, old.spec().Validate())
			updated := old.clone()
			test.change(&updated)
			updated = updated.withDefaults()
			require.Equal(t, test.want, lines(updated.spec().ValidateUpdate(old.spec())))
		})
	}
}
