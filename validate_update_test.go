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

func withLimitsPerIndex(j *Job) {
	j.CompletionMode, j.Completions, j.Parallelism = Indexed, new(2), new(2)
	j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(1), new(1)
	j.FailurePolicy = []FailureRule{{Action: ActionFailIndex, OnExitCodes: &ExitCodes{In: []int{42}}}}
}

func sized(completions, parallelism int) func(*Job) {
	return func(j *Job) { j.Completions, j.Parallelism = new(completions), new(parallelism) }
}

func elasticOf(completions, parallelism int) func(*Job) {
	return func(j *Job) {
		j.CompletionMode = Indexed
		sized(completions, parallelism)(j)
	}
}

func isInvalid(err error) bool { return errors.Is(err, os.ErrInvalid) }

func failsJobIf(match func(error) bool) func(*Job) {
	return func(j *Job) {
		j.FailurePolicy = []FailureRule{{Action: ActionFailJob, OnError: match}}
	}
}

func executes(f ExecutorFunc) func(*Job) { return func(j *Job) { j.Executor = f } }

func returnsNil(context.Context, Attempt) error { return nil }

func returnsInvalid(context.Context, Attempt) error { return os.ErrInvalid }

func runsCommand(args ...string) func(*Job) {
	return func(j *Job) { j.Executor = Command{Args: args, Stdout: os.Stdout} }
}

func unchanged(*Job) {}

const (
	tandem  = ": can only be modified in tandem with spec.parallelism"
	fixed   = ": field is immutable"
	notHere = ": requires indexed completion mode"
)

var validateUpdateTests = map[string]struct {
	old, change func(*Job)
	want        []string
}{
	// These names are those of recorded cases.
	"elastic-up":           {old: elasticOf(2, 2), change: sized(4, 4)},
	"elastic-down":         {old: elasticOf(4, 4), change: sized(2, 2)},
	"elastic-down-to-done": {old: elasticOf(3, 3), change: sized(1, 1)},
	"elastic-per-index":    {old: withLimitsPerIndex, change: sized(2, 2)},
	"elastic-rejected": {
		old: elasticOf(2, 2), change: sized(4, 2), want: []string{"spec.completions: Invalid value: 4" + tandem},
	},
	"elastic-rejected-nonindexed": {
		old: sized(2, 2), change: sized(4, 4), want: []string{"spec.completions: Invalid value: 4" + fixed},
	},
	"update-completion-mode": {
		old: withLimitsPerIndex, change: func(j *Job) { j.CompletionMode = NonIndexed },
		want: []string{
			"spec.backoffLimitPerIndex: Invalid value: 1" + notHere, "spec.maxFailedIndexes: Invalid value: 1" + notHere,
			`spec.completionMode: Invalid value: "NonIndexed"` + fixed,
		},
	},
	"update-per-index": {
		old: withLimitsPerIndex, change: func(j *Job) { j.BackoffLimitPerIndex = new(3) },
		want: []string{"spec.backoffLimitPerIndex: Invalid value: 3" + fixed},
	},
	"update-per-index-removed": {
		old: withLimitsPerIndex, change: func(j *Job) { j.BackoffLimitPerIndex = nil },
		want: []string{
			"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
			`spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
			"spec.backoffLimitPerIndex: Invalid value: null" + fixed,
		},
	},
	"update-max-failed-indexes": {old: withLimitsPerIndex, change: func(j *Job) { j.MaxFailedIndexes = new(2) }},
	"update-max-failed-indexes-too-large": {
		old: withLimitsPerIndex, change: func(j *Job) { j.MaxFailedIndexes = new(3) },
		want: []string{"spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions"},
	},
	"update-failure-policy": {
		old: withLimitsPerIndex, change: func(j *Job) { j.FailurePolicy[0].OnExitCodes.In[0] = 43 },
		want: []string{"spec.podFailurePolicy: Invalid value: {...}" + fixed},
	},
	"update-success-policy-added": {
		old: elasticOf(2, 2), change: func(j *Job) { j.SuccessPolicy = []SuccessRule{{SucceededCount: new(1)}} },
		want: []string{"spec.successPolicy: Invalid value: {...}" + fixed},
	},
	"update-template": {
		old: unchanged, change: func(j *Job) { j.ContainerName = "other" },
		want: []string{"spec.template: Invalid value: {...}" + fixed},
	},
	"update-managed-by": {
		old: unchanged, change: func(j *Job) { j.ManagedBy = new("example.com/other") },
		want: []string{`spec.managedBy: Invalid value: "example.com/other"` + fixed},
	},
	"update-replacement-policy": {old: unchanged, change: func(j *Job) { j.ReplacementPolicy = ReplaceFailed }},
	"update-replacement-policy-with-failure-policy": {
		old: withLimitsPerIndex, change: func(j *Job) { j.ReplacementPolicy = ReplaceTerminatingOrFailed },
		want: []string{`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`},
	},
	"update-backoff-limit-negative": {
		old: unchanged, change: func(j *Job) { j.BackoffLimit = new(-1) },
		want: []string{"spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"},
	},
	"update-parallelism-negative": {
		old: unchanged, change: func(j *Job) { j.Parallelism = new(-1) },
		want: []string{"spec.parallelism: Invalid value: -1: must be greater than or equal to 0"},
	},
	"update-parallelism-unset": {old: sized(3, 3), change: func(j *Job) { j.Parallelism = nil }},
	"update-completions-unset": {
		old: sized(3, 3), change: func(j *Job) { j.Completions = nil },
		want: []string{"spec.completions: Invalid value: null" + fixed},
	},
	"update-completions-set": {
		old: func(j *Job) { j.Parallelism = new(3) }, change: func(j *Job) { j.Completions = new(3) },
		want: []string{"spec.completions: Invalid value: 3" + fixed},
	},
	"update-elastic-not-in-tandem": {
		old: elasticOf(2, 2), change: sized(4, 3), want: []string{"spec.completions: Invalid value: 4" + tandem},
	},
	"update-elastic-from-unequal": {old: elasticOf(4, 2), change: sized(3, 3)},

	// These are our own.
	"nothing": {old: unchanged, change: unchanged},
	"the name": {
		old: unchanged, change: func(j *Job) { j.Name = "other" },
		want: []string{`metadata.name: Invalid value: "other"` + fixed},
	},
	"a larger Indexed job's name (R104)": {
		old: func(j *Job) { elasticOf(2, 2)(j); j.Name = strings.Repeat("a", 61) }, change: sized(100, 100),
		want: []string{`metadata.name: Invalid value: "` + strings.Repeat("a", 61) +
			`": will not able to create pod with invalid DNS label: ` + strings.Repeat("a", 61) + "-99"},
	},
	"an Indexed job's completions unset": {
		old: elasticOf(2, 2), change: func(j *Job) { j.Completions = nil },
		want: []string{"spec.completions: Required value: when completion mode is Indexed"},
	},
	"parallelism of an Indexed job": {old: elasticOf(2, 2), change: sized(2, 7)},
	"the restart policy": {
		old: unchanged, change: func(j *Job) { j.RestartPolicy = RestartOnFailure },
		want: []string{"spec.template: Invalid value: {...}" + fixed},
	},
	"an attempt's timeout": {
		old: unchanged, change: func(j *Job) { j.AttemptTimeout = new(time.Second) },
		want: []string{"spec.template: Invalid value: {...}" + fixed},
	},
	"the grace period": {
		old: unchanged, change: func(j *Job) { j.TerminationGracePeriod = new(time.Second) },
		want: []string{"spec.template: Invalid value: {...}" + fixed},
	},
	"the grace period, to the default": {
		old: unchanged, change: func(j *Job) { j.TerminationGracePeriod = new(30 * time.Second) },
	},
	"suspended, the template stays shut": {
		old: func(j *Job) { j.Suspend = true }, change: func(j *Job) { j.ContainerName = "other" },
		want: []string{"spec.template: Invalid value: {...}" + fixed},
	},
	"the failure policy removed": {
		old: withLimitsPerIndex, change: func(j *Job) { j.FailurePolicy = nil },
		want: []string{"spec.podFailurePolicy: Invalid value: null" + fixed},
	},
	"a failure policy of other errors":    {old: failsJobIf(isInvalid), change: failsJobIf(ErrorIs(os.ErrInvalid))},
	"a failure policy of the same errors": {old: failsJobIf(isInvalid), change: failsJobIf(isInvalid)},
	"the same function":                   {old: executes(returnsNil), change: executes(returnsNil)},
	"another function":                    {old: executes(returnsNil), change: executes(returnsInvalid)},
	"no function": {
		old: executes(returnsNil), change: func(j *Job) { j.Executor = nil },
		want: []string{"spec.executor: Required value: a job needs something to run"},
	},
	"the same command anew":    {old: runsCommand("ls", "-l"), change: runsCommand("ls", "-l")},
	"another command":          {old: runsCommand("ls", "-l"), change: runsCommand("ls", "-a")},
	"a command for a function": {old: executes(returnsNil), change: runsCommand("ls")},
	"all that may change (R107)": {old: withLimitsPerIndex, change: func(j *Job) {
		j.Parallelism, j.BackoffLimit, j.MaxFailedIndexes = new(9), new(9), new(0)
		j.ActiveDeadline, j.TTLAfterFinished, j.Suspend = new(time.Hour), new(time.Hour), true
		j.Labels, j.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
		j.Backoff, j.RestartBackoff = ConstantBackoff(0), BackoffFunc(func() backoff.BackOff { return nil })
		j.History, j.LogLimit = new(1), new(1)
	}},
}

func TestValidateUpdate(t *testing.T) {

	for name, test := range validateUpdateTests {
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
