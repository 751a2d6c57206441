package batch

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFailurePolicyValidation(t *testing.T) {
	codes := func(values ...int) *ExitCodes { return &ExitCodes{In: values} }
	disrupted := []Condition{{Type: ConditionDisruptionTarget}}
	anyError := func(error) bool { return true }
	const rule = "spec.podFailurePolicy.rules[0]"
	const notName = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with " +
		"an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
		"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
	tests := map[string]struct {
		rule FailureRule
		want []string
	}{
		"exit codes":       {FailureRule{Action: ActionFailJob, OnExitCodes: codes(1, 2)}, nil},
		"conditions (R38)": {FailureRule{Action: ActionIgnore, OnConditions: disrupted}, nil},
		"errors":           {FailureRule{Action: ActionCount, OnError: anyError}, nil},
		"negative codes":   {FailureRule{Action: ActionCount, OnExitCodes: codes(-2, -1)}, nil}, // R45
		"all but 0":        {FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{NotIn: []int{0}}}, nil},
		"the container": {
			FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{ContainerName: "main", In: []int{1}}}, nil,
		},
		"no action (R70)": {
			FailureRule{OnExitCodes: codes(1)},
			[]string{rule + `.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`},
		},
		"an action (R71)": {
			FailureRule{Action: "Retry", OnExitCodes: codes(1)},
			[]string{rule + `.action: Unsupported value: "Retry": supported values: "Count", "FailIndex", "FailJob", "Ignore"`},
		},
		"FailIndex (R72)": {
			FailureRule{Action: ActionFailIndex, OnExitCodes: codes(1)},
			[]string{rule + `.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`},
		},
		"no matcher (R73)": {
			FailureRule{Action: ActionCount},
			[]string{rule + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
		},
		// R73
		"empty conditions": {
			FailureRule{Action: ActionCount, OnConditions: []Condition{}},
			[]string{rule + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
		},
		// R73
		"two matchers": {
			FailureRule{Action: ActionCount, OnExitCodes: codes(1), OnConditions: disrupted},
			[]string{rule + ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"},
		},
		"codes and errors": {
			FailureRule{Action: ActionCount, OnExitCodes: codes(1), OnError: anyError},
			[]string{rule + ": Invalid value: specifying both OnExitCodes and OnError is not supported"},
		},
		"three matchers": {
			FailureRule{ActionCount, codes(1), disrupted, anyError},
			[]string{rule + ": Invalid value: specifying both OnExitCodes and OnPodConditions and OnError is not supported"},
		},
		"no operator (R74)": {
			FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{}},
			[]string{
				rule + ".onExitCodes.operator: Required value: In or NotIn must be given",
				rule + ".onExitCodes.values: Invalid value: null: at least one value is required",
			},
		},
		"both (R74)": {
			FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{In: []int{1}, NotIn: []int{2}}},
			[]string{rule + ".onExitCodes.operator: Invalid value: specifying both In and NotIn is not supported"},
		},
		"container (R75)": {
			FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{ContainerName: "other", In: []int{1}}},
			[]string{rule + `.onExitCodes.containerName: Invalid value: "other": must be one of the container or ` +
				`initContainer names in the pod template`},
		},
		"no values (R76)": {
			FailureRule{Action: ActionCount, OnExitCodes: codes([]int{}...)},
			[]string{rule + ".onExitCodes.values: Invalid value: []: at least one value is required"},
		},
		"order (R76)": {
			FailureRule{Action: ActionCount, OnExitCodes: codes(2, 1)},
			[]string{rule + ".onExitCodes.values: Invalid value: [2,1]: must be ordered"},
		},
		"zero (R78)": {
			FailureRule{Action: ActionCount, OnExitCodes: codes(-1, 0)},
			[]string{rule + ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator"},
		},
		"duplicates (R79)": {
			FailureRule{Action: ActionCount, OnExitCodes: codes(7, 1, 7)},
			[]string{
				rule + ".onExitCodes.values[2]: Duplicate value: 7",
				rule + ".onExitCodes.values: Invalid value: [7,1,7]: must be ordered",
			},
		},
		"type (R81)": {
			FailureRule{Action: ActionCount, OnConditions: []Condition{{Type: "a b"}}},
			[]string{rule + `.onPodConditions[0].type: Invalid value: "a b": ` + notName},
		},
		"status (R82)": {
			FailureRule{
				Action:       ActionCount,
				OnConditions: []Condition{{Type: ConditionDisruptionTarget}, {Type: ConditionDisruptionTarget, Status: "Maybe"}},
			},
			[]string{
				rule + `.onPodConditions[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := good(func(j *Job) { j.FailurePolicy = []FailureRule{test.rule} }).withDefaults()
			require.Equal(t, test.want, lines(job.spec().Validate()))
		})
	}
}

func TestFailIndexWithLimit(t *testing.T) { // R72
	job := good(indexed, func(j *Job) {
		j.BackoffLimitPerIndex = new(0)
		j.FailurePolicy = []FailureRule{{Action: ActionFailIndex, OnError: ErrorIs(fs.ErrNotExist)}}
	}).withDefaults()
	require.Empty(t, job.spec().Validate())
}

func TestSuccessPolicyValidation(t *testing.T) {
	const rule = "spec.successPolicy.rules[0]"
	some := func(rules ...SuccessRule) func(*Job) {
		return func(j *Job) { indexed(j); j.SuccessPolicy = rules }
	}
	tests := map[string]struct {
		change func(*Job)
		want   []string
	}{
		"a count":                     {some(SuccessRule{SucceededCount: new(5)}), nil},
		"no count, no indexes (R100)": {some(SuccessRule{new(set("")), new(0)}), nil},
		"indexes":                     {some(SuccessRule{new(set("0,2-4")), new(4)}), nil},
		"not Indexed (R68)": {
			func(j *Job) { j.SuccessPolicy = []SuccessRule{} },
			[]string{"spec.successPolicy: Invalid value: {...}: requires indexed completion mode"},
		},
		"no rules (R83)": {
			some([]SuccessRule{}...),
			[]string{"spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy " +
				"is specified"},
		},
		"an empty rule (R84)": {
			some(SuccessRule{}),
			[]string{rule + ": Required value: at least one of succeededCount or succeededIndexes must be specified"},
		},
		"an index too many (R86, R102)": {
			some(SuccessRule{new(set("4-5")), nil}),
			[]string{rule + `.succeededIndexes: Invalid value: "4,5": error parsing succeededIndexes: too large index: "5"`},
		},
		"a negative count (R87)": {
			some(SuccessRule{nil, new(-1)}),
			[]string{rule + ".succeededCount: Invalid value: -1: must be greater than or equal to 0"},
		},
		"a large count (R87)": {some(SuccessRule{new(set("1-2")), new(6)}), []string{
			rule + ".succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
			rule + ".succeededCount: Invalid value: 6: must be less than or equal to 2 (the number of indexes in the " +
				"specified succeededIndexes field)",
		}},
		"no completions (R99)": {
			func(j *Job) { some(SuccessRule{nil, new(6)})(j); j.Completions, j.Parallelism = nil, new(1) },
			[]string{"spec.completions: Required value: when completion mode is Indexed"},
		},
		"negative completions": {
			func(j *Job) { some(SuccessRule{new(set("0")), nil})(j); j.Completions = new(-1) },
			[]string{
				"spec.completions: Invalid value: -1: must be greater than or equal to 0",
				rule + `.succeededIndexes: Invalid value: "0": error parsing succeededIndexes: too large index: "0"`,
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
