package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/indexset"
)

// reportSpec is that of a job that another controller manages.
func reportSpec() Spec {
	return Spec{Completions: 4, Parallelism: 2, BackoffLimit: 6, BackoffLimitPerIndex: None, MaxFailedIndexes: None,
		ActiveDeadline: None, AttemptTimeout: None, TTL: None, Indexed: true, Unmanaged: true}
}

func conditionsAt(at Time, types ...string) (list []Condition) {
	for _, t := range types {
		list = append(list, Condition{Type: t, Status: True, At: at})
	}
	return list
}

func setOf(t *testing.T, text string) indexset.Set {
	set, err := indexset.Parse(text, -1)
	require.NoError(t, err)
	return set
}

// reported is a job after reports.
func reported(t *testing.T, spec Spec, reports ...Report) *Job {
	j := New(Identity{Job: "far"}, &spec)
	j.Step(Event{Kind: Created, At: 1})
	for i := range reports {
		require.Empty(t, j.CheckReport(&reports[i]))
		j.Step(Event{Kind: Reported, At: Time(100 + i), Report: &reports[i]})
		require.NoError(t, j.Check())
	}
	return j
}

// A report ends the job as its own decision would: with what is to be done after that.
func TestReported(t *testing.T) {
	spec := reportSpec()
	spec.TTL = 500
	running := Report{StartTime: 10, Active: 2, Ready: 1, Succeeded: 1, Completed: setOf(t, "0")}
	j := reported(t, spec, running)
	require.Equal(t, []int{2, 1, 1}, []int{j.Active, j.Ready, j.Succeeded})
	require.True(t, j.Reports(&running))
	require.Equal(t, Never, j.Due())
	ended := Report{StartTime: 10, CompletionTime: 20, Succeeded: 4, Completed: setOf(t, "0-3"),
		Conditions: conditionsAt(20, JobComplete, SuccessCriteriaMet)}
	require.Empty(t, j.CheckReport(&ended))
	acts := j.Step(Event{Kind: Reported, At: 130, Report: &ended})
	require.Equal(t, Finished, acts[0].Kind)
	require.Equal(t, Time(20), j.FinishedAt)
	require.Equal(t, JobComplete, j.Conditions[1].Type, "the final condition is the last one")
	require.Equal(t, Time(520), j.Due())
	require.Equal(t, Gone, j.Step(Event{Kind: Tick, At: 520})[0].Kind)
}

// What a report may say follows from the one before, in the words of the API server.
func TestCheckReport(t *testing.T) {
	started := Report{StartTime: 10}
	perIndex := reportSpec()
	perIndex.BackoffLimitPerIndex = 1
	plain := reportSpec()
	plain.Indexed = false
	failing := Report{StartTime: 10, Conditions: conditionsAt(15, FailureTarget)}
	failed := Report{StartTime: 10, Failed: 2, Conditions: conditionsAt(15, FailureTarget, JobFailed)}
	complete := Report{StartTime: 10, CompletionTime: 20, Conditions: conditionsAt(20, SuccessCriteriaMet, JobComplete)}
	for name, test := range map[string]struct {
		spec   Spec
		before []Report
		report Report
		want   string // of the first fault: field, and the beginning of what is wrong
	}{
		"counters are not negative": {reportSpec(), nil, Report{Active: -1}, "status.active: must be greater"},
		"no more are ready than active": {reportSpec(), []Report{started}, Report{StartTime: 10, Active: 1, Ready: 2},
			"status.ready: cannot set more ready pods than active"},
		"the failed counter never falls": {reportSpec(), []Report{{StartTime: 10, Failed: 2}},
			Report{StartTime: 10, Failed: 1},
			"status.failed: cannot decrease the failed counter"},
		"nor does that of successes": {reportSpec(), []Report{{StartTime: 10, Succeeded: 2}},
			Report{StartTime: 10, Succeeded: 1},
			"status.succeeded: cannot decrease the succeeded counter"},
		"a finished job has nothing active": {reportSpec(), []Report{failing},
			Report{StartTime: 10, Active: 1, Conditions: failed.Conditions},
			"status.active: active>0 is invalid for finished job"},
		"nor terminating": {reportSpec(), []Report{failing},
			Report{StartTime: 10, Terminating: 1, Conditions: failed.Conditions},
			"status.terminating: terminating>0 is invalid"},
		"a failure is announced": {reportSpec(), []Report{started},
			Report{StartTime: 10, Conditions: conditionsAt(15, JobFailed)},
			"status.conditions: cannot set Failed=True condition without the FailureTarget=true condition"},
		"and so is completion": {reportSpec(), []Report{started},
			Report{StartTime: 10, CompletionTime: 20, Conditions: conditionsAt(20, JobComplete)},
			"status.conditions: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"},
		"an end does not change": {reportSpec(), []Report{failing}, started,
			"status.conditions: cannot disable the terminal FailureTarget=True condition"},
		"it is one or the other": {reportSpec(), []Report{failing},
			Report{StartTime: 10, Conditions: conditionsAt(15, FailureTarget, SuccessCriteriaMet)},
			"status.conditions: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"},
		"a finished job has started": {reportSpec(), nil, Report{Conditions: failed.Conditions},
			"status.startTime: startTime is required for finished job"},
		"a complete job has its time": {reportSpec(), []Report{started},
			Report{StartTime: 10, Conditions: complete.Conditions},
			"status.completionTime: completionTime is required for Complete jobs"},
		"which is not before its start": {reportSpec(), []Report{started},
			Report{StartTime: 10, CompletionTime: 5, Conditions: complete.Conditions},
			"status.completionTime: must be equal to or after `startTime`"},
		"and no other job has one": {reportSpec(), []Report{started}, Report{StartTime: 10, CompletionTime: 20},
			"status.completionTime: cannot set completionTime when there is no Complete=True condition"},
		"the start stays": {reportSpec(), []Report{started}, Report{StartTime: 11},
			"status.startTime: field is immutable for unsuspended job once set"},
		"indexes exist": {reportSpec(), []Report{started}, Report{StartTime: 10, Completed: setOf(t, "4")},
			"status.completedIndexes: error parsing completedIndexes: "},
		"of an Indexed job": {plain, []Report{started}, Report{StartTime: 10, Completed: setOf(t, "1")},
			"status.completedIndexes: cannot set non-empty completedIndexes when non-indexed completion mode"},
		"failed ones need a limit": {reportSpec(), []Report{started},
			Report{StartTime: 10, GivenUp: new(setOf(t, "1"))},
			"status.failedIndexes: cannot set non-null failedIndexes when backoffLimitPerIndex is null"},
		"and have not succeeded": {perIndex, []Report{started},
			Report{StartTime: 10, Completed: setOf(t, "1"), GivenUp: new(setOf(t, "1"))},
			"status.failedIndexes: failedIndexes and completedIndexes overlap at index: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := reported(t, test.spec, test.before...).CheckReport(&test.report)
			require.NotEmpty(t, faults)
			require.Contains(t, faults[0].Field+": "+faults[0].Detail, test.want)
		})
	}
	require.Empty(t, reported(t, reportSpec(), started).CheckReport(&complete))
	require.Empty(t, reported(t, reportSpec(), failing).CheckReport(&failed))
}

// A job that another controller manages is cancelled by a condition: the manager ends it.
func TestCancelReported(t *testing.T) {
	j := reported(t, reportSpec(), Report{StartTime: 10, Active: 2})
	j.Step(Event{Kind: Cancelled, At: 200, Reason: "enough"})
	require.Equal(t, Condition{FailureTarget, True, ReasonCancelled, CancelledMessage + "enough", 200}, j.Conditions[0])
	require.False(t, j.MayCancel())
	require.Zero(t, j.FinishedAt)
}
