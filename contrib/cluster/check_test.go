package cluster

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// refused are the rows of the table in the documentation: what cannot cross.
var refused = map[string]struct {
	change func(*batch.Job)
	field  string
}{
	"a function without a name": {func(j *batch.Job) { j.Executor = functions.Executors["square"] }, "spec.executor"},
	"a predicate without a name": {func(j *batch.Job) {
		j.FailurePolicy = []batch.FailureRule{{Action: batch.ActionFailJob, OnError: func(error) bool { return true }}}
	}, "spec.podFailurePolicy.rules[0].onError"},
	"a back-off of one's own": {func(j *batch.Job) { j.Backoff = batch.ConstantBackoff(0) }, "spec.backoff"},
	"a restart back-off": {func(j *batch.Job) { j.RestartBackoff = batch.ConstantBackoff(0) },
		"spec.restartBackoff"},
	"restarts in place": {func(j *batch.Job) { j.RestartPolicy = batch.RestartOnFailure },
		"spec.template.spec.restartPolicy"},
	"limits":                {func(j *batch.Job) { j.Limits = []string{"db"} }, "spec.limits"},
	"keys of limits":        {func(j *batch.Job) { j.LimitKey = func(int) string { return "" } }, "spec.limitKey"},
	"jobs that come before": {func(j *batch.Job) { j.After = []string{"first"} }, "spec.after"},
	"a priority":            {func(j *batch.Job) { j.Priority = 1 }, "spec.priority"},
	"more than 100,000 indexes": {func(j *batch.Job) {
		j.CompletionMode, j.Completions, j.Parallelism = batch.Indexed, new(100_001), new(1)
	}, "spec.completions"},
	"more than 64 KiB of input": {func(j *batch.Job) { j.Input = strings.Repeat("x", mostInput) }, "spec.input"},
	"parts of a second": {func(j *batch.Job) { j.AttemptTimeout = new(1500 * time.Millisecond) },
		"spec.template.spec.activeDeadlineSeconds"},
	"a reserved exit code": {func(j *batch.Job) {
		j.FailurePolicy = []batch.FailureRule{{Action: batch.ActionIgnore,
			OnExitCodes: &batch.ExitCodes{In: []int{210}}}}
	}, "spec.podFailurePolicy.rules[0].onExitCodes.values[0]"},
	"more than 14 rules": {func(j *batch.Job) {
		for range mostRules + 1 {
			j.FailurePolicy = append(j.FailurePolicy,
				batch.FailureRule{Action: batch.ActionIgnore, OnError: functions.Predicate("quota")})
		}
	}, "spec.podFailurePolicy.rules"},
}

// What cannot cross is refused at Create, by its field, and the documentation has it.
func TestRefused(t *testing.T) {
	c := newController(t, nil)
	defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
	require.NoError(t, c.SetLimit("db", batch.Limit{}))
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			job := batch.Job{Name: "far", ManagedBy: new(Manager), Executor: functions.Executor("square")}
			test.change(&job)
			err := c.Create(t.Context(), job)
			invalid, ok := errors.AsType[*batch.ValidationError](err)
			require.True(t, ok, "%v", err)
			require.Len(t, invalid.Fields, 1)
			require.Equal(t, []string{test.field, "Forbidden"},
				[]string{invalid.Fields[0].Field, invalid.Fields[0].Kind})
			require.Contains(t, string(doc), name)
			job.ManagedBy, job.After = nil, nil
			require.NoError(t, job.Validate(), "here it is no error")
		})
	}
}

// The values of what is refused are those of the job, and no pointers into it.
func TestRefusedValues(t *testing.T) {
	err := Check(batch.Job{Name: "far", Completions: new(1 << 40), ActiveDeadline: new(1500 * time.Millisecond)})
	invalid, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, []any{1 << 40, 1500 * time.Millisecond}, []any{invalid.Fields[0].Value, invalid.Fields[1].Value})
	require.EqualError(t, err, `batch: job "far" is invalid: `+
		`Completions: Forbidden: 1099511627776: a cluster takes at most 2147483647; `+
		`ActiveDeadline: Forbidden: 1.5s: Kubernetes counts whole seconds`)
}

// Slots are those of this process.
func TestMaxActiveIsRefused(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{MaxActive: 3,
		Managers: map[string]func(batch.Job) error{Manager: Check}})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
	err = c.Create(t.Context(), batch.Job{Name: "far", ManagedBy: new(Manager), Executor: functions.Executor("square")})
	require.ErrorContains(t, err, "Options.MaxActive does not hold where the manager runs the job")
}

// The exit code of a pod says which rule of the policy decides, in the order of the rules.
func TestExitCodes(t *testing.T) {
	policy := []batch.FailureRule{
		{Action: batch.ActionIgnore, OnExitCodes: &batch.ExitCodes{In: []int{3}}},
		{Action: batch.ActionFailJob, OnError: errIsQuota},
		{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{NotIn: []int{1, 3, 4, 205}}},
	}
	for name, test := range map[string]struct {
		end  batch.AttemptEnd
		want int
	}{
		"a success": {batch.AttemptEnd{AttemptStatus: batch.AttemptStatus{Phase: "Succeeded", ExitCode: new(0)},
			Rule: -1}, 0},
		"a failure": {failedEnd(1, -1), 1},
		"a code that a rule names before the error": {failedEnd(3, 1), 3},
		"an error that a rule names":                {failedEnd(1, 1), exitRule + 1},
		"a code that a later rule names":            {failedEnd(9, -1), 9},
		"a permanent error":                         {permanentEnd(4), exitPermanent},
		"a permanent error that a rule names":       {permanentEnd(9), 9},
		"a code that is reserved":                   {failedEnd(205, -1), exitOther},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, exitCodeOf(&test.end, policy)) })
	}
	rules := failurePolicy(&batch.Job{FailurePolicy: policy}).Rules
	require.Equal(t, []int32{exitRule + 1}, rules[1].OnExitCodes.Values)
	require.Contains(t, rules[2].OnExitCodes.Values, int32(exitPermanent), "what the pod has decided is no other code")
}

func errIsQuota(err error) bool { return errors.Is(err, errQuota) }

func failedEnd(code, rule int) batch.AttemptEnd {
	return batch.AttemptEnd{AttemptStatus: batch.AttemptStatus{Phase: "Failed", ExitCode: &code}, Rule: rule}
}

func permanentEnd(code int) batch.AttemptEnd {
	end := failedEnd(code, -1)
	end.Permanent = true
	return end
}
