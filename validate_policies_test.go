package batch

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func onCodes(values ...int) *ExitCodes { return &ExitCodes{In: values} }

var disrupted = []Condition{{Type: ConditionDisruptionTarget}}

func anyError(error) bool { return true }

const failureRule = "spec.podFailurePolicy.rules[0]"

var failurePolicyValidationTests = map[string]struct {
	rule FailureRule
	want []string
}{
	"exit codes":       {rule: FailureRule{Action: ActionFailJob, OnExitCodes: onCodes(1, 2)}},
	"conditions (R38)": {rule: FailureRule{Action: ActionIgnore, OnConditions: disrupted}},
	"errors":           {rule: FailureRule{Action: ActionCount, OnError: anyError}},
	"negative codes":   {rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(-2, -1)}}, // R45
	"all but 0":        {rule: FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{NotIn: []int{0}}}},
	"the container": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{ContainerName: "main", In: []int{1}}},
	},
	"no action (R70)": {
		rule: FailureRule{OnExitCodes: onCodes(1)},
		want: []string{failureRule + `.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`},
	},
	"an action (R71)": {
		rule: FailureRule{Action: "Retry", OnExitCodes: onCodes(1)},
		want: []string{
			failureRule + `.action: Unsupported value: "Retry": supported values: "Count", "FailIndex", "FailJob", "Ignore"`,
		},
	},
	"FailIndex (R72)": {
		rule: FailureRule{Action: ActionFailIndex, OnExitCodes: onCodes(1)},
		want: []string{failureRule + `.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`},
	},
	"no matcher (R73)": {
		rule: FailureRule{Action: ActionCount},
		want: []string{failureRule + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
	},
	// R73
	"empty conditions": {
		rule: FailureRule{Action: ActionCount, OnConditions: []Condition{}},
		want: []string{failureRule + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"},
	},
	// R73
	"two matchers": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(1), OnConditions: disrupted},
		want: []string{failureRule + ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"},
	},
	"codes and errors": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(1), OnError: anyError},
		want: []string{failureRule + ": Invalid value: specifying both OnExitCodes and OnError is not supported"},
	},
	"three matchers": {
		rule: FailureRule{ActionCount, onCodes(1), disrupted, anyError},
		want: []string{
			failureRule + ": Invalid value: specifying both OnExitCodes and OnPodConditions and OnError is not supported",
		},
	},
	"no operator (R74)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{}},
		want: []string{
			failureRule + ".onExitCodes.operator: Required value: In or NotIn must be given",
			failureRule + ".onExitCodes.values: Invalid value: null: at least one value is required",
		},
	},
	"both (R74)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{In: []int{1}, NotIn: []int{2}}},
		want: []string{failureRule + ".onExitCodes.operator: Invalid value: specifying both In and NotIn is not supported"},
	},
	"container (R75)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: &ExitCodes{ContainerName: "other", In: []int{1}}},
		want: []string{failureRule + `.onExitCodes.containerName: Invalid value: "other": must be one of the container or ` +
			`initContainer names in the pod template`},
	},
	"no values (R76)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes([]int{}...)},
		want: []string{failureRule + ".onExitCodes.values: Invalid value: []: at least one value is required"},
	},
	"order (R76)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(2, 1)},
		want: []string{failureRule + ".onExitCodes.values: Invalid value: [2,1]: must be ordered"},
	},
	"zero (R78)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(-1, 0)},
		want: []string{failureRule + ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator"},
	},
	"duplicates (R79)": {
		rule: FailureRule{Action: ActionCount, OnExitCodes: onCodes(7, 1, 7)},
		want: []string{
			failureRule + ".onExitCodes.values[2]: Duplicate value: 7",
			failureRule + ".onExitCodes.values: Invalid value: [7,1,7]: must be ordered",
		},
	},
	"type (R81)": {
		rule: FailureRule{Action: ActionCount, OnConditions: []Condition{{Type: "a b"}}},
		want: []string{failureRule + `.onPodConditions[0].type: Invalid value: "a b": ` + notName},
	},
	"status (R82)": {
		rule: FailureRule{
			Action:       ActionCount,
			OnConditions: []Condition{{Type: ConditionDisruptionTarget}, {Type: ConditionDisruptionTarget, Status: "Maybe"}},
		},
		want: []string{
			failureRule + `.onPodConditions[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"`,
		},
	},
}

func TestFailurePolicyValidation(t *testing.T) {

	for name, test := range failurePolicyValidationTests {
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
		"a count":                     {change: some(SuccessRule{SucceededCount: new(5)})},
		"no count, no indexes (R100)": {change: some(SuccessRule{new(set("")), new(0)})},
		"indexes":                     {change: some(SuccessRule{new(set("0,2-4")), new(4)})},
		"not Indexed (R68)": {
			change: func(j *Job) { j.SuccessPolicy = []SuccessRule{} },
			want:   []string{"spec.successPolicy: Invalid value: {...}: requires indexed completion mode"},
		},
		"no rules (R83)": {
			change: some([]SuccessRule{}...),
			want: []string{"spec.successPolicy.rules: Required value: at least one rules must be specified " +
				"when the successPolicy is specified"},
		},
		"an empty rule (R84)": {
			change: some(SuccessRule{}),
			want:   []string{rule + ": Required value: at least one of succeededCount or succeededIndexes must be specified"},
		},
		"an index too many (R86, R102)": {
			change: some(SuccessRule{new(set("4-5")), nil}),
			want: []string{
				rule + `.succeededIndexes: Invalid value: "4,5": error parsing succeededIndexes: too large index: "5"`,
			},
		},
		"a negative count (R87)": {
			change: some(SuccessRule{nil, new(-1)}),
			want:   []string{rule + ".succeededCount: Invalid value: -1: must be greater than or equal to 0"},
		},
		"a large count (R87)": {change: some(SuccessRule{new(set("1-2")), new(6)}), want: []string{
			rule + ".succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
			rule + ".succeededCount: Invalid value: 6: must be less than or equal to 2 (the number of indexes in the " +
				"specified succeededIndexes field)",
		}},
		"no completions (R99)": {
			change: func(j *Job) { some(SuccessRule{nil, new(6)})(j); j.Completions, j.Parallelism = nil, new(1) },
			want:   []string{"spec.completions: Required value: when completion mode is Indexed"},
		},
		"negative completions": {
			change: func(j *Job) { some(SuccessRule{new(set("0")), nil})(j); j.Completions = new(-1) },
			want: []string{
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
