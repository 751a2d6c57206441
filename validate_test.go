package batch

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/spec"
)

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

// set is a set of indexes.
func set(text string) IndexSet {
	set, err := ParseIndexSet(text)
	if err != nil {
		panic(err)
	}
	return set
}

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

var longName = strings.Repeat("a", 64)

var validateTests = map[string]struct {
	change func(*Job)
	want   []string
}{
	"all fields set": {change: func(j *Job) { *j = *full() }},
	"zero is a number (R100)": {
		change: func(j *Job) { j.Completions, j.Parallelism, j.ActiveDeadline = new(0), new(0), new(time.Duration(0)) },
	},
	// R98
	"restarts with a limit per index ": {
		change: func(j *Job) { indexed(j); j.RestartPolicy, j.BackoffLimitPerIndex = RestartOnFailure, new(1) },
	},

	"no name (R50)": {
		change: func(j *Job) { j.Name = "" },
		want:   []string{"metadata.name: Required value: name or generateName is required"},
	},
	"a bad name (R50)": {
		change: func(j *Job) { j.Name = "a_b" }, want: []string{`metadata.name: Invalid value: "a_b": ` + notSubdomain},
	},
	"a long name (R52)": {
		change: func(j *Job) { j.Name = longName },
		want:   []string{`spec.template.labels: Invalid value: "` + longName + `": must be no more than 63 bytes`},
	},
	// R51
	"no room for indexes": {
		change: func(j *Job) { indexed(j); j.Name = longName[:62] },
		want: []string{`metadata.name: Invalid value: "` + longName[:62] + `": ` +
			`will not able to create pod with invalid DNS label: ` + longName[:62] + "-4"},
	},
	"room but no indexes": {change: func(j *Job) { indexed(j); j.Name, j.Completions = longName[:63], new(0) }}, // R51

	"labels in order of their keys": {
		change: func(j *Job) { j.Labels = map[string]string{"b": "x y", "a/b/c": "", "a b": "ok"} },
		want: []string{
			`metadata.labels: Invalid value: "a b": ` + notName,
			`metadata.labels: Invalid value: "a/b/c": a valid label key ` + strings.TrimPrefix(
				notName, "name part ",
			) + ` with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
			`metadata.labels: Invalid value: "x y": ` + notValue,
		},
	},
	"annotations": {
		change: func(j *Job) { j.Annotations = map[string]string{"EXAMPLE.com/a": "free text", "-": ""} },
		want:   []string{`metadata.annotations: Invalid value: "-": ` + notName},
	},

	"no executor": {
		change: func(j *Job) { j.Executor = nil },
		want:   []string{"spec.executor: Required value: a job needs something to run"},
	},
	"a nil function": {
		change: func(j *Job) { j.Executor = ExecutorFunc(nil) },
		want:   []string{"spec.executor: Required value: the function is nil"},
	},
	"a command of nothing": {
		change: func(j *Job) { j.Executor = Command{} },
		want:   []string{"spec.executor: Required value: Args of a Command must name a program"},
	},
	"a command without name": {
		change: func(j *Job) { j.Executor = &Command{Args: []string{"", "x"}} },
		want:   []string{"spec.executor: Required value: Args of a Command must name a program"},
	},
	"a nil command": {
		change: func(j *Job) { j.Executor = (*Command)(nil) },
		want:   []string{"spec.executor: Required value: Args of a Command must name a program"},
	},
	"a command": {change: func(j *Job) { j.Executor = Command{Args: []string{"true"}} }},
	"a container's name": {
		change: func(j *Job) { j.ContainerName = "Main" },
		want:   []string{`spec.template.spec.containers[0].name: Invalid value: "Main": ` + notLabel},
	},

	"negative numbers (R54)": {
		change: func(j *Job) {
			indexed(j)
			j.Parallelism, j.Completions, j.BackoffLimit = new(-1), new(-2), new(-3)
			j.BackoffLimitPerIndex, j.MaxFailedIndexes, j.History, j.LogLimit = new(-4), new(-5), new(-6), new(-7)
			j.ActiveDeadline, j.TTLAfterFinished = new(-8*time.Second), new(-500*time.Millisecond)
			j.TerminationGracePeriod = new(time.Duration(-1))
		},
		want: []string{
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
		change: func(j *Job) { j.AttemptTimeout = new(time.Duration(0)) },
		want: []string{
			"spec.template.spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
		},
	},
	"little time for an attempt": {change: func(j *Job) { j.AttemptTimeout = new(time.Millisecond) }},

	"failed indexes without a limit per index (R55)": {
		change: func(j *Job) { indexed(j); j.MaxFailedIndexes = new(1) },
		want:   []string{"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"},
	},
	"managed by nobody (R56)": {
		change: func(j *Job) { j.ManagedBy = new("") }, want: []string{"spec.managedBy: Required value"},
	},
	"managed by a domain (R57)": {
		change: func(j *Job) { j.ManagedBy = new("acme.io/") },
		want: []string{
			`spec.managedBy: Invalid value: "acme.io/": must be a domain-prefixed path (such as "acme.io/foo")`,
		},
	},
	"managed by a path (R57)": {
		change: func(j *Job) { j.ManagedBy = new("/foo") },
		want:   []string{`spec.managedBy: Invalid value: "/foo": must be a domain-prefixed path (such as "acme.io/foo")`},
	},
	"managed by a deep path": {change: func(j *Job) { j.ManagedBy = new("acme.io/foo/bar") }},
	"managed by something strange (R57)": {
		change: func(j *Job) { j.ManagedBy = new("A/b c") },
		want: []string{
			`spec.managedBy: Invalid value: "A": ` + notSubdomain,
			`spec.managedBy: Invalid value: "b c": ` + notPath,
		},
	},
	"completion mode (R59)": {
		change: func(j *Job) { j.CompletionMode = "Random" },
		want:   []string{`spec.completionMode: Unsupported value: "Random": supported values: "NonIndexed", "Indexed"`},
	},
	"Indexed without completions (R60)": {
		change: func(j *Job) { indexed(j); j.Completions, j.Parallelism = nil, new(2) },
		want:   []string{"spec.completions: Required value: when completion mode is Indexed"},
	},
	// R62
	"more failed indexes than indexes": {
		change: func(j *Job) { indexed(j); j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(0), new(6) },
		want:   []string{"spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"},
	},
	// R67
	"limits per index without indexes": {
		change: func(j *Job) { j.BackoffLimitPerIndex, j.MaxFailedIndexes = new(0), new(6) },
		want: []string{
			"spec.backoffLimitPerIndex: Invalid value: 0: requires indexed completion mode",
			"spec.maxFailedIndexes: Invalid value: 6: requires indexed completion mode",
		},
	},
	"replacement policy (R88)": {
		change: func(j *Job) { j.ReplacementPolicy = "Never" },
		want: []string{
			`spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed"`,
		},
	},
	"replacement with a policy (R88)": {
		change: func(j *Job) { j.FailurePolicy, j.ReplacementPolicy = []FailureRule{}, ReplaceTerminatingOrFailed },
		want:   []string{`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`},
	},
	"restart Always (R90)": {
		change: func(j *Job) { j.RestartPolicy = "Always" },
		want:   []string{`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
	},
	"restart Sometimes (R91)": {
		change: func(j *Job) { j.RestartPolicy = "Sometimes" },
		want: []string{
			`spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never"`,
		},
	},
	"restarts with failure policy (R92)": {
		change: func(j *Job) { j.FailurePolicy, j.RestartPolicy = []FailureRule{}, RestartOnFailure },
		want: []string{`spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when ` +
			`podFailurePolicy is specified`},
	},
	"all sizes are welcome (R61 to R66)": {change: func(j *Job) {
		indexed(j)
		j.BackoffLimitPerIndex, j.Completions, j.Parallelism = new(1), new(math.MaxInt), new(math.MaxInt)
	}},
	"errors come together, in this order": {
		change: func(j *Job) { *j = Job{Completions: new(-1), RestartPolicy: "x"} },
		want: []string{
			"metadata.name: Required value: name or generateName is required",
			"spec.completions: Invalid value: -1: " + negative,
			`spec.template.spec.restartPolicy: Unsupported value: "x": supported values: "OnFailure", "Never"`,
			"spec.executor: Required value: a job needs something to run",
		},
	},
}

func TestValidate(t *testing.T) {

	for name, test := range validateTests {
		t.Run(name, func(t *testing.T) {
			job := good(test.change).withDefaults()
			require.Equal(t, test.want, lines(job.spec().Validate()))
		})
	}
}

func TestFieldErrorText(t *testing.T) {
	tests := map[string]FieldError{
		`a: Required value`:                {Field: "a", Kind: "Required"},
		`a: Required value: b`:             {Field: "a", Kind: "Required", Detail: "b"},
		`a: Invalid value: "b\n": c`:       {Field: "a", Kind: "Invalid", Value: "b\n", Detail: "c"},
		`a: Invalid value: -1`:             {Field: "a", Kind: "Invalid", Value: -1},
		`a: Invalid value: c`:              {Field: "a", Kind: "Invalid", Detail: "c"},
		`a: Invalid value: true`:           {Field: "a", Kind: "Invalid", Value: true},
		`a: Invalid value: 1.5`:            {Field: "a", Kind: "Invalid", Value: 1500 * time.Millisecond},
		`a: Invalid value: {...}`:          {Field: "a", Kind: "Invalid", Value: spec.SomeObject},
		`a: Unsupported value: "b": c`:     {Field: "a", Kind: "NotSupported", Value: "b", Detail: "c"},
		`a: Forbidden: c`:                  {Field: "a", Kind: "Forbidden", Detail: "c"},
		`a: Too long: c`:                   {Field: "a", Kind: "TooLong", Detail: "c"},
		`a: Too many: 21: must`:            {Field: "a", Kind: "TooMany", Value: 21, Detail: "must"},
		`a: Duplicate value: 1`:            {Field: "a", Kind: "Duplicate", Value: 1},
		`a: Something of your own: "b": c`: {Field: "a", Kind: "Something of your own", Value: "b", Detail: "c"},
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
