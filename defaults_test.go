package batch

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var withDefaultsTests = map[string]struct {
	job  Job
	want func(*Job) // changes the defaults of an empty job
}{
	"nothing is given (R35)": {job: Job{}, want: func(*Job) {}},
	"parallelism alone makes a work queue (R35, R147)": {
		job:  Job{Parallelism: new(3)},
		want: func(j *Job) { j.Parallelism, j.Completions = new(3), nil },
	},
	"completions alone (R35)": {job: Job{Completions: new(3)}, want: func(j *Job) { j.Completions = new(3) }},
	"no parallelism is a choice": {
		job:  Job{Parallelism: new(0), Completions: new(0)},
		want: func(j *Job) { j.Parallelism, j.Completions = new(0), new(0) },
	},
	"no retry is a choice (R36)": {job: Job{BackoffLimit: new(0)}, want: func(j *Job) { j.BackoffLimit = new(0) }},
	"no grace period is a choice": {
		job:  Job{TerminationGracePeriod: new(time.Duration(0))},
		want: func(j *Job) { j.TerminationGracePeriod = new(time.Duration(0)) },
	},
	"no history and logs, a choice": {
		job: Job{History: new(0), LogLimit: new(0)}, want: func(j *Job) { j.History, j.LogLimit = new(0), new(0) },
	},
	"other enumerations are kept": {
		job:  Job{RestartPolicy: "Always", CompletionMode: "Random"},
		want: func(j *Job) { j.RestartPolicy, j.CompletionMode = "Always", "Random" },
	},
	"managed by another (R33)": {job: Job{ManagedBy: new("a.io/b")}, want: func(j *Job) { j.ManagedBy = new("a.io/b") }},
	"a limit per index alone (R23)": {
		job:  Job{BackoffLimitPerIndex: new(1)},
		want: func(j *Job) { j.BackoffLimitPerIndex, j.BackoffLimit = new(1), new(math.MaxInt32) },
	},
	"both back-off limits (R36)": {
		job:  Job{BackoffLimitPerIndex: new(1), BackoffLimit: new(2)},
		want: func(j *Job) { j.BackoffLimitPerIndex, j.BackoffLimit = new(1), new(2) },
	},
	"a replacement policy is kept": {
		job: Job{ReplacementPolicy: ReplaceFailed}, want: func(j *Job) { j.ReplacementPolicy = ReplaceFailed },
	},
	"a failure policy (R32)": {
		job:  Job{FailurePolicy: []FailureRule{}},
		want: func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, ReplaceFailed },
	},
	"a wrong replacement policy too": {
		job:  Job{FailurePolicy: []FailureRule{}, ReplacementPolicy: "x"},
		want: func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, "x" },
	},
}

func TestWithDefaults(t *testing.T) {
	for name, test := range withDefaultsTests {
		t.Run(name, func(t *testing.T) {
			want := Job{
				Completions: new(1), Parallelism: new(1), CompletionMode: NonIndexed, RestartPolicy: RestartNever,
				ContainerName: "main", BackoffLimit: new(6), TerminationGracePeriod: new(30 * time.Second),
				ReplacementPolicy: ReplaceTerminatingOrFailed, History: new(1000), LogLimit: new(65536),
				CheckpointLimit: new(1 << 20),
				ResultLimit:     new(65536),
			}
			test.want(&want)
			got := test.job.withDefaults()
			require.Equal(t, want, got)
			require.Equal(t, got, got.withDefaults(), "defaults are resolved twice")
		})
	}
}

// full returns a job with every field set, apart from the functions.
func full() *Job {
	return &Job{
		Name: "job", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
		Executor: nothing{}, ContainerName: "main",
		Completions: new(5), Parallelism: new(2), CompletionMode: Indexed, RestartPolicy: RestartNever,
		BackoffLimit: new(3), BackoffLimitPerIndex: new(1), MaxFailedIndexes: new(2),
		ActiveDeadline: new(time.Hour), AttemptTimeout: new(time.Minute),
		TerminationGracePeriod: new(time.Second), TTLAfterFinished: new(time.Hour),
		Suspend: true, ReplacementPolicy: ReplaceFailed,
		FailurePolicy: []FailureRule{
			{Action: ActionFailIndex, OnExitCodes: &ExitCodes{ContainerName: "main", In: []int{1, 2}}},
			{Action: ActionIgnore, OnConditions: []Condition{{Type: ConditionDisruptionTarget, Status: "True"}}},
		},
		SuccessPolicy: []SuccessRule{{SucceededIndexes: new(set("0-2")), SucceededCount: new(1)}},
		ManagedBy:     new("acme.io/foo"), After: []string{"first"}, Limits: []string{"db"}, Priority: 1,
		History: new(10), LogLimit: new(100), CheckpointLimit: new(1000),
		ResultLimit: new(1001), Input: json.RawMessage(`[1]`),
	}
}

func TestCloneSharesNothing(t *testing.T) {
	original := full()
	clone := original.clone()
	require.Equal(t, *full(), clone)

	original.Labels["a"], original.Annotations["c"] = "x", "x"
	original.Input.(json.RawMessage)[0] = 0
	for _, p := range []*int{
		original.Completions, original.Parallelism, original.BackoffLimit, original.BackoffLimitPerIndex,
		original.MaxFailedIndexes, original.History, original.LogLimit, original.CheckpointLimit,
		original.SuccessPolicy[0].SucceededCount,
	} {
		*p = 99
	}
	for _, p := range []*time.Duration{
		original.ActiveDeadline, original.AttemptTimeout, original.TerminationGracePeriod, original.TTLAfterFinished,
	} {
		*p = 99
	}
	*original.ManagedBy, original.After[0], original.Limits[0] = "x", "x", "x"
	*original.SuccessPolicy[0].SucceededIndexes = set("4")
	original.SuccessPolicy[0] = SuccessRule{}
	rules := original.FailurePolicy
	rules[0].OnExitCodes.In[0], rules[0].OnExitCodes.NotIn = 99, []int{1}
	rules[1].OnConditions[0].Status = "x"
	rules[0], rules[1] = FailureRule{}, FailureRule{}

	require.Equal(t, *full(), clone)
}

func TestDefaultsLeaveTheJobAlone(t *testing.T) {
	job := good(func(j *Job) {
		j.FailurePolicy = []FailureRule{{Action: ActionIgnore, OnConditions: []Condition{{Type: ConditionDisruptionTarget}}}}
	})
	defaulted := job.withDefaults()
	require.Equal(t, "True", defaulted.FailurePolicy[0].OnConditions[0].Status, "R38")
	require.Empty(t, job.FailurePolicy[0].OnConditions[0].Status)
	require.Nil(t, job.Parallelism)
}
