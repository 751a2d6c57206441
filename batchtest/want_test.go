package batchtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

var began = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)

func status(name string, conditions ...batch.Condition) batch.Status {
	return batch.Status{Name: name, StartTime: began, Completions: new(3), Conditions: conditions}
}

func holds(t string, r string) batch.Condition {
	return batch.Condition{Type: t, Status: "True", Reason: r, LastTransitionTime: began.Add(time.Hour)}
}

func indexes(t *testing.T, text string) batch.IndexSet {
	set, err := batch.ParseIndexSet(text)
	require.NoError(t, err)
	return set
}

// dedent takes the indentation of Go code away from a text.
func dedent(text string) string {
	var lines []string
	for line := range strings.Lines(strings.Trim(text, "\n\t")) {
		lines = append(lines, strings.TrimRight(strings.TrimPrefix(line, "\t\t\t\t"), "\n"))
	}
	return strings.Join(lines, "\n")
}

func TestWant_SaysNothingIfAllIsWell(t *testing.T) {
	complete := status("report", holds(batch.ConditionComplete, batch.ReasonCompletionsReached))
	failed := status(
		"report", holds(batch.ConditionFailureTarget, batch.ReasonDeadlineExceeded),
		holds(batch.ConditionFailed, batch.ReasonDeadlineExceeded),
	)
	got := failing(func(t testing.TB) {
		batchtest.WantComplete(t, complete)
		batchtest.WantFailed(t, failed, batch.ReasonDeadlineExceeded)
		batchtest.WantIndexes(t, batch.IndexSet{}, "")
		batchtest.WantAttempts(t, nil, "index number")
		batchtest.WantEvents(t, nil, "reason")
		batchtest.WantExecutions(t, nil, "error")
		batchtest.WantStatus(t, failed, "")
		batchtest.WantStatus(t, failed, `
			state          Failed
			reason         DeadlineExceeded
			conditions     FailureTarget,Failed
			completions    3
			failed         0
			failedIndexes  -
			lastFailure    -
			retryIn        -
			took           60m
		`)
	})
	require.Empty(t, got.failure())
}

func TestWantComplete_SaysWhatIsWrong(t *testing.T) {
	job := status("report", holds(batch.ConditionFailed, batch.ReasonBackoffLimitExceeded))
	got := failing(func(t testing.TB) { batchtest.WantComplete(t, job) })
	require.Equal(t, []string{
		`batchtest.WantComplete(report):`,
		` got: report: Failed, 0/3 succeeded, 0 failed, BackoffLimitExceeded`,
		`      ` + job.Explain(),
		`want: Complete`,
	}, got.lines())
}

func TestWantFailed_SaysWhatIsWrong(t *testing.T) {
	job := status("report", holds(batch.ConditionFailed, batch.ReasonBackoffLimitExceeded))
	got := failing(func(t testing.TB) { batchtest.WantFailed(t, job, batch.ReasonDeadlineExceeded) })
	require.Equal(t, []string{
		`batchtest.WantFailed(report):`,
		` got: report: Failed, 0/3 succeeded, 0 failed, BackoffLimitExceeded`,
		`      ` + job.Explain(),
		`want: Failed, DeadlineExceeded`,
	}, got.lines())
}

func TestWantFailed_WantsItToBeFinal(t *testing.T) {
	job := status("report", holds(batch.ConditionFailureTarget, batch.ReasonDeadlineExceeded))
	got := failing(func(t testing.TB) { batchtest.WantFailed(t, job, batch.ReasonDeadlineExceeded) })
	require.Contains(t, got.failure(), " got: report: FailureTarget, 0/3 succeeded, 0 failed, DeadlineExceeded")
}

func TestWantIndexes_SaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		got, want string
		failure   string
	}{
		"some are missing": {got: "0,2", want: "0-4", failure: ` got: "0,2"` + "\n" + `want: "0-4"` + "\nmissing: 1,3,4"},
		"some are not wanted": {
			got: "0-9", want: "0,4", failure: ` got: "0-9"` + "\n" + `want: "0,4"` + "\nnot wanted: 1-3,5-9",
		},
		"both": {got: "1", want: "2", failure: ` got: "1"` + "\n" + `want: "2"` + "\nmissing: 2\nnot wanted: 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			set := indexes(t, tt.got)
			got := failing(func(t testing.TB) { batchtest.WantIndexes(t, set, tt.want) })
			require.Equal(t, "batchtest.WantIndexes:\n"+tt.failure, got.failure())
		})
	}
}

func TestWantIndexes_RefusesWhatIsNoSet(t *testing.T) {
	got := failing(func(t testing.TB) { batchtest.WantIndexes(t, batch.IndexSet{}, "3,2") })
	require.Contains(t, got.failure(), `batchtest.WantIndexes: batch: index set "3,2"`)
}

func TestWantStatus_ShowsTheLinesThatDiffer(t *testing.T) {
	job := status("report", holds(batch.ConditionSuspended, "JobSuspended"))
	job.Succeeded, job.CompletedIndexes, job.FailedIndexes = 2, indexes(t, "0-1"), new(indexes(t, "2"))
	got := failing(func(t testing.TB) {
		batchtest.WantStatus(t, job, `
			state             Suspended
			succeeded         3
			completedIndexes  0-2
			failedIndexes     2
			took              600s
		`)
	})
	require.Equal(t, dedent(`
				batchtest.WantStatus(report): not as wanted (-want +got):
				  state             Suspended
				- succeeded         3
				- completedIndexes  0-2
				+ succeeded         2
				+ completedIndexes  0,1
				  failedIndexes     2
				- took              10m
				+ took              1h
	`), got.failure())
}

func TestWantStatus_KnowsAllFields(t *testing.T) {
	job := status("report",
		holds(batch.ConditionSuccessCriteriaMet, batch.ReasonSuccessPolicy),
		batch.Condition{Type: batch.ConditionSuspended, Status: "False", Reason: "JobResumed"})
	job.Conditions[0].Message = "Matched rules at index 0"
	job.Parallelism, job.Suspend = 2, true
	job.Active, job.Ready, job.Terminating, job.Abandoned, job.Succeeded, job.Failed = 1, 2, 3, 4, 5, 6
	job.LastFailure = &batch.AttemptError{Message: "out of memory"}
	batchtest.WantStatus(t, job, `
		state         SuccessCriteriaMet
		reason        SuccessPolicy
		message       Matched rules at index 0
		conditions    SuccessCriteriaMet,Suspended=False
		parallelism   2
		completions   3
		suspend       true
		active        1
		ready         2
		terminating   3
		abandoned     4
		succeeded     5
		failed        6
		lastFailure   out of memory
		explain       `+job.Explain()+`
	`)
	batchtest.WantStatus(t, batch.Status{}, `
		state         Running
		reason        -
		completions   -
		took          -
	`)
}

func TestWantAttempts_ShowsTheLinesThatDiffer(t *testing.T) {
	attempts := []batch.AttemptStatus{
		{Index: 0, Phase: batch.AttemptFailed, ExitCode: new(137), Err: errors.New("out of\nmemory"), CreatedAt: began},
		{Index: 1, Phase: batch.AttemptRunning, CreatedAt: began.Add(time.Second)},
		{Index: 0, Number: 1, Phase: batch.AttemptSucceeded, ExitCode: new(0), CreatedAt: began.Add(70 * time.Second)},
	}
	got := failing(func(t testing.TB) {
		batchtest.WantAttempts(t, attempts, `
			index number phase     exit created error
			0     0      Failed    1    0s      out of memory
			1     0      Running   -    1s      -
			0     1      Succeeded 0    70s     -
			1     1      Succeeded 0    80s     -
		`)
	})
	require.Equal(t, dedent(`
				batchtest.WantAttempts: not as wanted (-want +got):
				  index  number  phase      exit  created  error
				- 0      0       Failed     1     0s       out of memory
				+ 0      0       Failed     137   0s       out of memory
				  1      0       Running    -     1s       -
				  0      1       Succeeded  0     1m10s    -
				- 1      1       Succeeded  0     1m20s    -
	`), got.failure())
}

func TestWantAttempts_KnowsAllColumns(t *testing.T) {
	a := batch.AttemptStatus{
		Ordinal: 4, Index: 2, Number: 1, Phase: batch.AttemptFailed, Reason: "Evicted", Message: "no  room",
		ExitCode: new(143), Err: errDown, Restarts: 3, Failures: 1, IgnoredFailures: 2,
		CreatedAt: began, StartedAt: began.Add(time.Second), FinishedAt: began.Add(time.Minute),
		DeletedBy: "eviction", Abandoned: true, Ready: true,
		Conditions: []batch.Condition{
			holds(batch.ConditionDisruptionTarget, ""), {Type: batch.ConditionReady, Status: "False"},
		},
		Output: "half", Progress: batch.Progress{Done: 3, Total: 10, Phase: "verifying"},
	}
	batchtest.WantAttempts(t, []batch.AttemptStatus{a}, `
		ordinal index number phase  reason  exit restarts failures ignored message
		4       2     1      Failed Evicted 143  3        1        2       no room
	`)
	batchtest.WantAttempts(t, []batch.AttemptStatus{a}, `
		created started finished took deletedBy abandoned ready conditions
		0s      1s      1m       59s  eviction  true      true  DisruptionTarget,Ready=False
	`)
	batchtest.WantAttempts(t, []batch.AttemptStatus{a}, `
		output progress         error
		half   "3/10 verifying" database is down
	`)
}

func TestWantEvents_ShowsTheLinesThatDiffer(t *testing.T) {
	events := []batch.Event{
		{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: report-0-bcdfg", At: began},
		{
			Type: "Warning", Reason: batch.ReasonBackoffLimitExceeded, Message: "Job has reached the specified backoff limit",
			At: began.Add(time.Minute),
		},
	}
	got := failing(func(t testing.TB) {
		batchtest.WantEvents(t, events, `
			at  type    reason            message
			0s  Normal  SuccessfulCreate  Created pod: report-0-bcdfg
			1m  Normal  Completed         Job completed
		`)
	})
	require.Equal(t, dedent(`
				batchtest.WantEvents: not as wanted (-want +got):
				  at  type     reason                message
				  0s  Normal   SuccessfulCreate      Created pod: report-0-bcdfg
				- 1m  Normal   Completed             Job completed
				+ 1m  Warning  BackoffLimitExceeded  Job has reached the specified backoff limit
	`), got.failure())
}

func TestWant_RefusesTablesThatMakeNoSense(t *testing.T) {
	tests := map[string]struct {
		want    func(t testing.TB)
		failure string
	}{
		"no table": {
			want:    func(t testing.TB) { batchtest.WantAttempts(t, nil, "") },
			failure: "batchtest.WantAttempts: the table has no line that names its columns",
		},
		"a column that does not exist": {
			want:    func(t testing.TB) { batchtest.WantEvents(t, nil, "at why") },
			failure: `batchtest.WantEvents: column "why" is none of at, type, reason, message`,
		},
		"a row too short": {
			want:    func(t testing.TB) { batchtest.WantEvents(t, nil, "at type reason\n0s Normal") },
			failure: `batchtest.WantEvents: row "0s Normal" has 2 cells, and the table has 3 columns`,
		},
		"a field without a value": {
			want:    func(t testing.TB) { batchtest.WantStatus(t, batch.Status{}, "state") },
			failure: `batchtest.WantStatus: line "state" has a field without a value`,
		},
		"a field that does not exist": {
			want:    func(t testing.TB) { batchtest.WantStatus(t, batch.Status{}, "mood  good") },
			failure: `batchtest.WantStatus: field "mood" is none of state, reason, message, conditions,`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := failing(tt.want)
			require.Contains(t, got.failure(), tt.failure)
			require.Len(t, got.failures, 1)
		})
	}
}
