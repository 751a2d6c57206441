package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/spec"
)

// A job that wakes has the executor that it was given, and runs inside of what Wrap has
// returned for that: it is asked once for each definition.
func TestWrapIsKeptAtRest(t *testing.T) {
	ran, asked := "", 0
	c := &Controller{wrap: func(Executor) Executor {
		asked++
		return ExecutorFunc(func(context.Context, Attempt) error {
			ran += "around"
			return nil
		})
	}}
	c.runners.Begin(runner.New(c.runnerOptions(t.Context(), Options{})))
	job := good().withDefaults()
	def := c.define(job, nil)
	for range 2 {
		saved, err := c.load(def.Encode(1), nil, functionsOf(def.Source))
		require.NoError(t, err)
		def = saved.Definition
		require.Equal(t, nothing{}, sourceOf(def).job.Executor)
		_, err = Run(t.Context(), Job{Name: "other", Executor: ExecutorFunc(func(ctx context.Context, a Attempt) error {
			return def.Execute(ctx, a.live)
		})})
		require.NoError(t, err)
	}
	require.Equal(t, 1, asked)
	require.Equal(t, "aroundaround", ran)
}

// nothing is an executor that tests can compare.
type nothing struct{}

func (nothing) Execute(context.Context, Attempt) error { return nil }

// good returns a valid job, changed by the given functions.
func good(changes ...func(*Job)) *Job {
	j := &Job{Name: "job", Executor: nothing{}}
	for _, change := range changes {
		change(j)
	}
	return j
}

// indexed makes a job Indexed with five completions.
func indexed(j *Job) { j.CompletionMode, j.Completions = Indexed, new(5) }

// lines formats errors, one a line.
func lines(errs []spec.FieldError) []string {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return texts
}

func TestWithDefaults(t *testing.T) {
	tests := map[string]struct {
		job  Job
		want func(*Job) // changes the defaults of an empty job
	}{
		"nothing is given (R35)": {Job{}, func(*Job) {}},
		"parallelism alone makes a work queue (R35, R147)": {
			Job{Parallelism: new(3)},
			func(j *Job) { j.Parallelism, j.Completions = new(3), nil },
		},
		"completions alone (R35)": {Job{Completions: new(3)}, func(j *Job) { j.Completions = new(3) }},
		"no parallelism is a choice": {
			Job{Parallelism: new(0), Completions: new(0)}, func(j *Job) { j.Parallelism, j.Completions = new(0), new(0) },
		},
		"no retry is a choice (R36)": {Job{BackoffLimit: new(0)}, func(j *Job) { j.BackoffLimit = new(0) }},
		"no grace period is a choice": {
			Job{TerminationGracePeriod: new(time.Duration(0))},
			func(j *Job) { j.TerminationGracePeriod = new(time.Duration(0)) },
		},
		"no history and logs, a choice": {
			Job{History: new(0), LogLimit: new(0)}, func(j *Job) { j.History, j.LogLimit = new(0), new(0) },
		},
		"other enumerations are kept": {
			Job{RestartPolicy: "Always", CompletionMode: "Random"},
			func(j *Job) { j.RestartPolicy, j.CompletionMode = "Always", "Random" },
		},
		"managed by another (R33)": {Job{ManagedBy: new("a.io/b")}, func(j *Job) { j.ManagedBy = new("a.io/b") }},
		"a limit per index alone (R23)": {
			Job{BackoffLimitPerIndex: new(1)},
			func(j *Job) { j.BackoffLimitPerIndex, j.BackoffLimit = new(1), new(math.MaxInt32) },
		},
		"both back-off limits (R36)": {
			Job{BackoffLimitPerIndex: new(1), BackoffLimit: new(2)},
			func(j *Job) { j.BackoffLimitPerIndex, j.BackoffLimit = new(1), new(2) },
		},
		"a replacement policy is kept": {
			Job{ReplacementPolicy: ReplaceFailed}, func(j *Job) { j.ReplacementPolicy = ReplaceFailed },
		},
		"a failure policy (R32)": {
			Job{FailurePolicy: []FailureRule{}},
			func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, ReplaceFailed },
		},
		"a wrong replacement policy too": {
			Job{FailurePolicy: []FailureRule{}, ReplacementPolicy: "x"},
			func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, "x" },
		},
	}
	for name, test := range tests {
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

// set is a set of indexes.
func set(text string) IndexSet {
	set, err := ParseIndexSet(text)
	if err != nil {
		panic(err)
	}
	return set
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

// The rules about declarations see every field that is data, under its name.
func TestSpecHasEveryField(t *testing.T) {
	job := full()
	job.ProgressDeadline = time.Second
	data := reflect.ValueOf(job.spec()).Elem()
	for field, value := range reflect.ValueOf(*job).Fields() {
		if kind := field.Type.Kind(); kind == reflect.Func || kind == reflect.Interface && field.Type.NumMethod() > 0 {
			continue // code
		}
		require.False(t, value.IsZero(), "the test does not set %s", field.Name)
		got := data.FieldByName(field.Name)
		require.True(t, got.IsValid(), field.Name)
		if field.Type == got.Type() {
			require.Equal(t, value.Interface(), got.Interface(), field.Name)
		} else {
			require.Equal(t, value.Len(), got.Len(), field.Name)
		}
	}
	require.Equal(t, []spec.FailureRule{
		{Action: ActionFailIndex, OnExitCodes: &spec.ExitCodes{ContainerName: "main", In: []int{1, 2}}},
		{Action: ActionIgnore, OnConditions: []engine.Condition{{Type: ConditionDisruptionTarget, Status: "True"}}},
	}, job.spec().FailurePolicy)
	require.Equal(t, []spec.SuccessRule{
		{Indexes: &job.SuccessPolicy[0].SucceededIndexes.set, Count: new(1)},
	}, job.spec().SuccessPolicy)
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

func TestValidate(t *testing.T) {
	const (
		notSubdomain = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ` +
			`and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is ` +
			`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
		notLabel = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start ` +
			`and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is ` +
			`'[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
		notValue = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and ` +
			`must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for ` +
			`validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
		notName = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an ` +
			`alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is ` +
			`'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
		notPath  = `Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')`
		negative = `must be greater than or equal to 0`
	)
	long := strings.Repeat("a", 64)
	tests := map[string]struct {
		change func(*Job)
		want   []string
	}{
		"all fields set": {func(j *Job) { *j = *full() }, nil},
		"zero is a number (R100)": {
			func(j *Job) { j.Completions, j.Parallelism, j.ActiveDeadline = new(0), new(0), new(time.Duration(0)) }, nil,
		},
		// R98
		"restarts with a limit per index ": {
			func(j *Job) { indexed(j); j.RestartPolicy, j.BackoffLimitPerIndex = RestartOnFailure, new(1) }, nil,
		},

		"no name (R50)": {
			func(j *Job) { j.Name = "" }, []string{"metadata.name: Required value: name or generateName is required"},
		},
		"a bad name (R50)": {
			func(j *Job) { j.Name = "a_b" }, []string{`metadata.name: Invalid value: "a_b": ` + notSubdomain},
		},
		"a long name (R52)": {
			func(j *Job) { j.Name = long },
			[]string{`spec.template.labels: Invalid value: "` + long + `": must be no more than 63 bytes`},
		},
		// R51
		"no room for indexes": {
			func(j *Job) { indexed(j); j.Name = long[:62] },
			[]string{`metadata.name: Invalid value: "` + long[:62] + `": will not able to create pod with invalid DNS label: ` +
				long[:62] + "-4"},
		},
		"room but no indexes": {func(j *Job) { indexed(j); j.Name, j.Completions = long[:63], new(0) }, nil}, // R51

		"labels in order of their keys": {
			func(j *Job) { j.Labels = map[string]string{"b": "x y", "a/b/c": "", "a b": "ok"} },
			[]string{
				`metadata.labels: Invalid value: "a b": ` + notName,
				`metadata.labels: Invalid value: "a/b/c": a valid label key ` + strings.TrimPrefix(
					notName, "name part ",
				) + ` with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
				`metadata.labels: Invalid value: "x y": ` + notValue,
			},
		},
		"annotations": {
			func(j *Job) { j.Annotations = map[string]string{"EXAMPLE.com/a": "free text", "-": ""} },
			[]string{`metadata.annotations: Invalid value: "-": ` + notName},
		},

		"no executor": {
			func(j *Job) { j.Executor = nil }, []string{"spec.executor: Required value: a job needs something to run"},
		},
		"a nil function": {
			func(j *Job) { j.Executor = ExecutorFunc(nil) }, []string{"spec.executor: Required value: the function is nil"},
		},
		"a command of nothing": {
			func(j *Job) { j.Executor = Command{} },
			[]string{"spec.executor: Required value: Args of a Command must name a program"},
		},
		"a command without name": {
			func(j *Job) { j.Executor = &Command{Args: []string{"", "x"}} },
			[]string{"spec.executor: Required value: Args of a Command must name a program"},
		},
		"a nil command": {
			func(j *Job) { j.Executor = (*Command)(nil) },
			[]string{"spec.executor: Required value: Args of a Command must name a program"},
		},
		"a command": {func(j *Job) { j.Executor = Command{Args: []string{"true"}} }, nil},
		"a container's name": {
			func(j *Job) { j.ContainerName = "Main" },
			[]string{`spec.template.spec.containers[0].name: Invalid value: "Main": ` + notLabel},
		},

		"negative numbers (R54)": {
			func(j *Job) {
				indexed(j)
				j.Parallelism, j.Completions, j.BackoffLimit = new(-1), new(-2), new(-3)
				j.BackoffLimitPerIndex, j.MaxFailedIndexes, j.History, j.LogLimit = new(-4), new(-5), new(-6), new(-7)
				j.ActiveDeadline, j.TTLAfterFinished = new(-8*time.Second), new(-500*time.Millisecond)
				j.TerminationGracePeriod = new(time.Duration(-1))
			},
			[]string{
				"spec.parallelism: Invalid value: -1: " + negative,
				"spec.completions: Invalid value: -2: " + negative,
				"spec.activeDeadlineSeconds: Invalid value: -8: " + negative,
				"spec.backoffLimit: Invalid value: -3: " + negative,
				"spec.ttlSecondsAfterFinished: Invalid value: -0.5: " + negative,
				"spec.backoffLimitPerIndex: Invalid value: -4: " + negative,
				"spec.maxFailedIndexes: Invalid value: -5: " + negative,
				"spec.template.spec.terminationGracePeriodSeconds: Invalid value: -0.000000001: " + negative,
				"spec.history: Invalid value: -6: " + negative,
				"spec.logLimit: Invalid value: -7: " + negative,
			},
		},
		"no time for an attempt": {
			func(j *Job) { j.AttemptTimeout = new(time.Duration(0)) },
			[]string{"spec.template.spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"},
		},
		"little time for an attempt": {func(j *Job) { j.AttemptTimeout = new(time.Millisecond) }, nil},

		"failed indexes without a limit per index (R55)": {
			func(j *Job) { indexed(j); j.MaxFailedIndexes = new(1) },
			[]string{"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"},
		},
		"managed by nobody (R56)": {
			func(j *Job) { j.ManagedBy = new("") }, []string{"spec.managedBy: Required value"},
		},
		"managed by a domain (R57)": {
			func(j *Job) { j.ManagedBy = new("acme.io/") },
			[]string{`spec.managedBy: Invalid value: "acme.io/": must be a domain-prefixed path (such as "acme.io/foo")`},
		},
		"managed by a path (R57)": {
			func(j *Job) { j.ManagedBy = new("/foo") },
			[]string{`spec.managedBy: Invalid value: "/foo": must be a domain-prefixed path (such as "acme.io/foo")`},
		},
		"managed by a deep path": {func(j *Job) { j.ManagedBy = new("acme.io/foo/bar") }, nil},
		"managed by something strange (R57)": {
			func(j *Job) { j.ManagedBy = new("A/b c") },
			[]string{`spec.managedBy: Invalid value: "A": ` + notSubdomain, `spec.managedBy: Invalid value: "b c": ` + notPath},
		},
		"completion mode (R59)": {
			func(j *Job) { j.CompletionMode = "Random" },
			[]string{`spec.completionMode: Unsupported value: "Random": supported values: "NonIndexed", "Indexed"`},
		},
		"Indexed without completions (R60)": {
			func(j *Job) { indexed(j); j.Completions, j.Parallelism = nil, new(2) },
			[]string{"spec.completions: Required value: when completion mode is Indexed"},
		},
		// R62
		"more failed indexes than indexes": {
			func(j *Job) { indexed(j); j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(0), new(6) },
			[]string{"spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"},
		},
		// R67
		"limits per index without indexes": {
			func(j *Job) { j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(0), new(6) },
			[]string{
				"spec.backoffLimitPerIndex: Invalid value: 0: requires indexed completion mode",
				"spec.maxFailedIndexes: Invalid value: 6: requires indexed completion mode",
			},
		},
		"replacement policy (R88)": {
			func(j *Job) { j.ReplacementPolicy = "Never" },
			[]string{`spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed"`},
		},
		"replacement with a policy (R88)": {
			func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, ReplaceTerminatingOrFailed },
			[]string{`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`},
		},
		"restart Always (R90)": {
			func(j *Job) { j.RestartPolicy = "Always" },
			[]string{`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		},
		"restart Sometimes (R91)": {
			func(j *Job) { j.RestartPolicy = "Sometimes" },
			[]string{`spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never"`},
		},
		"restarts with failure policy (R92)": {
			func(j *Job) { j.FailurePolicy, j.RestartPolicy = []FailureRule{}, RestartOnFailure },
			[]string{`spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when ` +
				`podFailurePolicy is specified`},
		},
		"all sizes are welcome (R61 to R66)": {func(j *Job) {
			indexed(j)
			j.BackoffLimitPerIndex, j.Completions, j.Parallelism = new(1), new(math.MaxInt), new(math.MaxInt)
		}, nil},
		"errors come together, in this order": {
			func(j *Job) { *j = Job{Completions: new(-1), RestartPolicy: "x"} },
			[]string{
				"metadata.name: Required value: name or generateName is required",
				"spec.completions: Invalid value: -1: " + negative,
				`spec.template.spec.restartPolicy: Unsupported value: "x": supported values: "OnFailure", "Never"`,
				"spec.executor: Required value: a job needs something to run",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := good(test.change).withDefaults()
			require.Equal(t, test.want, lines(job.spec().Validate()))
		})
	}
}

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

func TestFieldErrorText(t *testing.T) {
	tests := map[string]FieldError{
		`a: Required value`:                {"a", "Required", nil, ""},
		`a: Required value: b`:             {"a", "Required", nil, "b"},
		`a: Invalid value: "b\n": c`:       {"a", "Invalid", "b\n", "c"},
		`a: Invalid value: -1`:             {"a", "Invalid", -1, ""},
		`a: Invalid value: c`:              {"a", "Invalid", nil, "c"},
		`a: Invalid value: true`:           {"a", "Invalid", true, ""},
		`a: Invalid value: 1.5`:            {"a", "Invalid", 1500 * time.Millisecond, ""},
		`a: Invalid value: {...}`:          {"a", "Invalid", spec.SomeObject, ""},
		`a: Unsupported value: "b": c`:     {"a", "NotSupported", "b", "c"},
		`a: Forbidden: c`:                  {"a", "Forbidden", nil, "c"},
		`a: Too long: c`:                   {"a", "TooLong", nil, "c"},
		`a: Too many: 21: must`:            {"a", "TooMany", 21, "must"},
		`a: Duplicate value: 1`:            {"a", "Duplicate", 1, ""},
		`a: Something of your own: "b": c`: {"a", "Something of your own", "b", "c"},
	}
	for want, err := range tests {
		require.Equal(t, want, err.Error())
	}
}

func TestValidationError(t *testing.T) {
	require.NoError(t, validationError("job", nil))

	job := good(func(j *Job) { j.Completions, j.Parallelism = new(-1), new(-2) }).withDefaults()
	err := fmt.Errorf("create: %w", validationError(job.Name, job.spec().Validate()))
	require.EqualError(t, err, `create: batch: job "job" is invalid: `+
		`Parallelism: Invalid value: -2: must be greater than or equal to 0; `+
		`Completions: Invalid value: -1: must be greater than or equal to 0`)

	var found *ValidationError
	require.ErrorAs(t, err, &found)
	require.Equal(t, "job", found.Job)
	require.True(t, found.Fields[1] == FieldError{
		Field: "spec.completions", Kind: "Invalid", Value: -1, Detail: "must be greater than or equal to 0",
	}, "fields are comparable")
}

// FuzzValidate looks for a job whose validation panics, has errors that cannot
// be compared, or depends on the order of maps.
func FuzzValidate(f *testing.F) {
	f.Add("job", "Indexed", "0-2", 5, 1, 2, "a", "b")
	f.Add("", "", "", -1, 0, 0, "", "")
	f.Add("a_b", "x", "1,1", 0, -1, 1, "a/b/c", " ")
	f.Fuzz(func(t *testing.T, name, mode, indexes string, completions, limit, count int, key, value string) {
		job := good(func(j *Job) {
			j.Name, j.CompletionMode, j.Completions = name, mode, &completions
			j.BackoffLimitPerIndex, j.MaxFailedIndexes, j.ManagedBy = &limit, &count, &value
			j.Labels, j.Annotations = map[string]string{key: value, value: key}, map[string]string{value: key, key: value}
			j.SuccessPolicy = []SuccessRule{{nil, &count}}
			if set, err := ParseIndexSet(indexes); err == nil {
				j.SuccessPolicy = append(j.SuccessPolicy, SuccessRule{&set, &count})
			}
			j.FailurePolicy = []FailureRule{{
				Action:       mode,
				OnExitCodes:  &ExitCodes{key, []int{completions, limit, count}, nil},
				OnConditions: []Condition{{Type: key, Status: value}},
			}}
		}).withDefaults()
		errs := job.spec().Validate()
		require.True(t, slices.Equal(errs, job.spec().Validate()))
		require.Equal(t, errs, job.spec().ValidateUpdate(new(job.clone()).spec()), "nothing has changed")
	})
}

// TestValidationNamesGoFields wants what Go callers read to name what they have
// written, with its bounds and their values.
func TestValidationNamesGoFields(t *testing.T) {
	_, err := Run(t.Context(), Job{Name: "j", AttemptTimeout: new(-time.Second), TTLAfterFinished: new(-time.Minute),
		Executor: nothing{}})
	require.EqualError(t, err, `batch: job "j" is invalid: TTLAfterFinished: Invalid value: -1m0s: must be greater `+
		`than or equal to 0; `+
		`AttemptTimeout: Invalid value: -1s: must be greater than 0`)
	invalid, ok := errors.AsType[*ValidationError](err)
	require.True(t, ok)
	require.EqualError(t, invalid.Fields[1],
		`spec.template.spec.activeDeadlineSeconds: Invalid value: -1: must be between 1 and 2147483647, inclusive`)
}
