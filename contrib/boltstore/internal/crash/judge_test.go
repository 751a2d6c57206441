//go:build unix

package crash

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// Steps of a script that are no lines: how a process ends. The next one begins,
// and has found nothing yet.
const (
	crashed  kind = "crashed"
	shutDown kind = "shut down"
)

const jobUID = "00000000-aaaa"

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// judged reads a script about one job.
func judged(t task, script []line) *judge {
	t.job.Name = "job"
	j := newJudge(&plan{tasks: map[string]*task{"job": &t}, names: []string{"job"}})
	process := 0
	j.read(line{Kind: began})
	for _, l := range script {
		l.Process, l.Job = process, "job"
		if l.UID == "" {
			l.UID = jobUID
		}
		switch l.Kind {
		case crashed, shutDown:
			j.end(l.Kind == shutDown)
			process++
			j.read(line{Kind: began, Process: process})
			j.read(line{Kind: opened, Process: process})
		default:
			j.read(l)
		}
	}
	j.end(false)
	return j
}

func crash() line    { return line{Kind: crashed} }
func shutdown() line { return line{Kind: shutDown} }
func start(index, number int) line {
	return line{Kind: started, Index: index, Number: number, At: noon}
}

func finish(index, number, code int) line {
	return line{Kind: ended, Index: index, Number: number, N: code}
}

func checkpointLine(k kind, index, number, n int) line {
	return line{Kind: k, Index: index, Number: number, By: number, N: n, Sum: uint32(n)}
}

// status is a line in which a caller is told of it.
func status(k kind, s batch.Status) line {
	s.UID, s.Name = jobUID, "job"
	if s.Parallelism == 0 {
		s.Parallelism = 1
	}
	return line{Kind: k, Status: &s}
}

func completed(indexes string) batch.Status {
	set, err := batch.ParseIndexSet(indexes)
	if err != nil {
		panic(err)
	}
	return batch.Status{CompletedIndexes: set, Succeeded: set.Len()}
}

func with(s batch.Status, conditions ...batch.Condition) batch.Status {
	s.Conditions = conditions
	return s
}

var complete = batch.Condition{Type: batch.ConditionComplete, Status: "True"}

func attempts(list ...batch.AttemptStatus) line { return line{Kind: shown, Attempts: list} }

func attemptOf(index, number int, phase string) batch.AttemptStatus {
	s := batch.AttemptStatus{Index: index, Number: number, UID: "of the attempt", Phase: phase, StartedAt: noon}
	if phase == batch.AttemptFailed || phase == batch.AttemptSucceeded {
		s.FinishedAt = noon.Add(time.Second)
	}
	return s
}

func disrupted(s batch.AttemptStatus) batch.AttemptStatus {
	s.Conditions = []batch.Condition{{Type: batch.ConditionDisruptionTarget, Reason: batch.ReasonTerminationByProcessExit}}
	return s
}

// TestJudgeAccepts has what looks like a broken promise, and is none.
func TestJudgeAccepts(t *testing.T) {
	job := batch.Job{CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(1), BackoffLimitPerIndex: new(1)}
	running := attempts(attemptOf(0, 0, batch.AttemptRunning))
	interrupted := line{Kind: ended, N: 1, Text: batch.ErrShutdown.Error()}
	afterwards := []line{crash(), start(0, 1), finish(0, 1, 1), start(0, 2)}
	tests := map[string][]line{
		"a shutdown that is killed has released an attempt": {
			start(0, 0), running, {Kind: halting}, interrupted,
		},
		"one that has just begun": {
			running, {Kind: halting}, start(0, 0), interrupted,
		},
		"one that has not returned": {start(0, 0), running, {Kind: halting}},
		"one that failed by itself before anybody asked it to stop": {
			start(0, 0), running, finish(0, 0, 1), {Kind: halting},
		},
		"a shutdown has released one that failed before it was asked to stop": {
			start(0, 0), running, finish(0, 0, 1), {Kind: halting}, shutdown(),
		},
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, judged(task{job: job}, append(script, afterwards...)).findings)
		})
	}
	wider := completed("0")
	wider.Parallelism, wider.Suspend = 5, true
	wishes := []line{start(0, 0), finish(0, 0, 0), {Kind: called, Text: scale, N: 5}, {Kind: called, Text: suspend},
		{Kind: called, Text: evict}, {Kind: agreed, Text: evict},
		crash(), status(found, wider), crash(), status(found, wider)}
	require.Empty(
		t, judged(task{job: job, habits: habits{users: true}}, wishes).findings,
		"wishes that were not answered may have come true",
	)
}

var two = batch.Job{CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(1), BackoffLimit: new(2)}

var any2 = batch.Job{Completions: new(2), Parallelism: new(1), BackoffLimit: new(2)}

var withTTL = func() batch.Job { job := two; job.TTLAfterFinished = new(time.Minute); return job }()

var succeeded = []line{start(0, 0), finish(0, 0, 0), status(told, completed("0"))}

var finished = append(succeeded[:3:3], start(1, 0), finish(1, 0, 0), status(told, with(completed("0-1"), complete)))

var judgeTests = map[string]struct {
	job    batch.Job
	habits habits
	script []line
	want   fault
	text   string
}{
	"a completed index runs again": {
		job: two, script: append(succeeded, crash(), start(0, 1)), want: duplicated,
		text: "of a completed index",
	},
	"a completed index runs again in the process": {
		job: two, script: append(succeeded, start(0, 1)), want: duplicated, text: "of a completed index",
	},
	"a completed index is lost": {
		job: two, script: append(succeeded, crash(), status(found, completed(""))), want: lost,
		text: "index 0 is not completed any more",
	},
	"a counter goes back": {job: any2, script: []line{start(-1, 0), finish(-1, 0, 0),
		status(told, batch.Status{Succeeded: 1}), crash(),
		status(found, batch.Status{})}, want: lost, text: "counters go back"},
	"a completion is counted again": {
		job: any2, habits: habits{},
		script: []line{start(-1, 0), finish(-1, 0, 0), status(told, batch.Status{Succeeded: 1}), crash(),
			start(-1, 1), finish(-1, 1, 0), start(-1, 2), finish(-1, 2, 0)},
		want: duplicated, text: "2 successes after 1 of 2 were told",
	},
	"a success is told that never was": {
		job: two, script: []line{status(told, completed("0"))}, want: wrong, text: "has not succeeded",
	},
	"a completion is told that never was": {
		job: any2, script: []line{status(told, batch.Status{Succeeded: 1})}, want: wrong,
		text: "0 attempts have succeeded",
	},
	"a failure is told that never was": {job: two, habits: habits{},
		script: []line{start(0, 0), finish(0, 0, 0), shutdown(), status(told, batch.Status{Failed: 1})}, want: wrong,
		text: "at most 0 attempts have failed"},
	"an interrupted attempt counts": {job: two, habits: habits{},
		script: []line{start(0, 0), {Kind: ended, N: 1, Text: batch.ErrShutdown.Error()}, shutdown(),
			status(told, batch.Status{Failed: 1})}, want: wrong, text: "at most 0 attempts have failed"},
	"a finished job runs": {
		job: two, script: append(finished, crash(), start(0, 3)), want: duplicated,
		text: "of a finished job",
	},
	"the outcome changes": {
		job: two, script: append(finished, crash(), status(found, completed("0-1"))), want: lost,
		text: "the outcome changes",
	},
	"a job is complete too soon": {
		job: two, script: append(succeeded, status(told, with(completed("0"), complete))), want: wrong,
		text: "complete with 1 successes",
	},
	"a limit is exceeded too soon": {job: two, script: []line{status(told, with(batch.Status{},
		batch.Condition{
			Type: batch.ConditionFailed, Status: "True", Reason: batch.ReasonBackoffLimitExceeded,
		}))}, want: wrong, text: "0 failures exceed the limit"},
	"a limit is forgotten": {job: two, script: []line{start(0, 0), finish(0, 0, 1), start(0, 1),
		attempts(attemptOf(0, 0, batch.AttemptFailed), attemptOf(0, 1, batch.AttemptRunning)), crash(),
		start(0, 2), finish(0, 2, 1), start(0, 3), finish(0, 3, 1), start(0, 4)}, want: duplicated,
		text: "begins after 3 have failed, and 2 may"},
	"a limit is forgotten in a shutdown": {
		job: two, habits: habits{},
		script: []line{start(0, 0), finish(0, 0, 1), attempts(attemptOf(0, 0, batch.AttemptFailed)), start(0, 1),
			{Kind: halting},
			{
				Kind: ended, Number: 1, N: 1, Text: batch.ErrShutdown.Error(),
			}, shutdown(), start(0, 2), finish(0, 2, 1), start(0, 3), finish(0, 3, 1), start(0, 4)},
		want: duplicated, text: "begins after 3 have failed, and 2 may",
	},
	"the job is lost": {
		job: two, script: append(succeeded, crash(), line{Kind: listed}), want: lost,
		text: "not there any more",
	},
	"the name is lost": {
		job: two, script: append(succeeded, crash(), line{Kind: started, UID: "00000000-bbbb"}),
		want: lost, text: "another job 00000000-bbbb has its name",
	},
	"a removed job is back": {
		job: two, script: append(succeeded, line{Kind: called, Text: remove}, line{Kind: gone},
			crash(), status(found, completed("0"))),
		want: duplicated, text: "there again after it was removed",
	},
	"a removed job runs": {
		job: two, habits: habits{},
		script: append(succeeded, line{Kind: called, Text: remove}, line{Kind: gone}, crash(), start(1, 0)),
		want:   duplicated, text: "of a removed job",
	},
	"a job is removed": {
		job: two, script: append(succeeded, line{Kind: gone}), want: lost, text: "without a reason",
	},
	"a job is removed too soon": {
		job: withTTL, script: append(finished, line{Kind: gone, At: time.Time{}.Add(time.Second)}),
		want: lost, text: "before its time",
	},
	"a suspension is lost": {job: two, script: append(succeeded, line{Kind: called, Text: suspend},
		line{Kind: agreed, Text: suspend}, crash(),
		status(found, completed("0"))), want: lost, text: "suspended is false"},
	"a suspended job runs": {job: two, script: append(succeeded, line{Kind: called, Text: suspend},
		line{Kind: agreed, Text: suspend}, crash(), start(1, 0)), want: wrong,
		text: "of a suspended job"},
	"a parallelism is lost": {job: two, script: append(succeeded, line{Kind: called, Text: scale, N: 5},
		line{Kind: agreed, Text: scale, N: 5}, crash(),
		status(found, completed("0"))), want: lost, text: "parallelism is 1"},
	"too many run": {
		job: two, script: []line{start(0, 0), start(1, 0)}, want: wrong,
		text: "2 executions run at once",
	},
	"an attempt runs twice": {
		job: two, script: []line{start(0, 0), start(0, 0)}, want: wrong,
		text: "executed twice in one process",
	},
	"executions overlap": {
		job: two, script: []line{start(0, 0), {Kind: started, Restarts: 1}}, want: wrong,
		text: "overlap",
	},
	"an attempt that was told runs again": {job: two, habits: habits{},
		script: []line{start(0, 0), attempts(attemptOf(0, 0, batch.AttemptRunning)), crash(), start(0, 0)}, want: duplicated,
		text: "was told, and is executed again"},
	"an attempt that has saved runs again": {job: two, habits: habits{},
		script: []line{start(0, 0), checkpointLine(saving, 0, 0, 1), checkpointLine(saved, 0, 0, 1), crash(), start(0, 0)},
		want:   duplicated, text: "was told, and is executed again"},
	"an attempt is lost": {
		job: two, habits: habits{},
		script: []line{start(0, 0), attempts(attemptOf(0, 0, batch.AttemptRunning)), crash(), attempts()}, want: lost,
		text: "attempt {0 0} is not there",
	},
	"an attempt is another one": {
		job: two, script: []line{attempts(attemptOf(0, 0, batch.AttemptRunning)),
			attempts(batch.AttemptStatus{UID: "other"})},
		want: duplicated, text: "have the token",
	},
	"the end of an attempt changes": {
		job: two, script: []line{
			attempts(attemptOf(0, 0, batch.AttemptFailed)),
			crash(),
			attempts(attemptOf(0, 0, batch.AttemptSucceeded)),
		},
		want: lost, text: "the end of attempt {0 0}",
	},
	"a killed attempt still runs": {
		job: two, script: []line{start(0, 0), attempts(attemptOf(0, 0, batch.AttemptRunning)),
			crash(),
			attempts(attemptOf(0, 0, batch.AttemptRunning))},
		want: wrong, text: "was killed, and is",
	},
	"a shutdown disrupts": {job: two, script: []line{start(0, 0), finish(0, 0, 1), shutdown(),
		attempts(disrupted(attemptOf(0, 0, batch.AttemptFailed)))}, want: wrong,
		text: "disrupted after a shutdown"},
	"a shutdown does not wait": {
		job: two, script: []line{start(0, 0), shutdown()}, want: wrong, text: "1 executions run when",
	},
	"an event is lost": {
		job: two, habits: habits{},
		script: []line{{Kind: shown, Events: []batch.Event{{Reason: "Suspended"}}}, crash(), {Kind: shown}}, want: lost,
		text: "event Suspended",
	},
	"a condition goes": {job: two, script: []line{status(told,
		with(batch.Status{}, batch.Condition{Type: batch.ConditionFailureTarget})), crash(), status(found, batch.Status{})},
		want: lost, text: "goes"},
	"a condition changes": {job: two, script: []line{status(told,
		with(batch.Status{}, batch.Condition{Type: batch.ConditionFailureTarget, Reason: "A"})), crash(),
		status(
			found, with(batch.Status{}, batch.Condition{Type: batch.ConditionFailureTarget, Reason: "B"}),
		)}, want: lost, text: "becomes"},
	"the start changes": {
		job: two, habits: habits{},
		script: []line{
			status(told, batch.Status{StartTime: noon}),
			crash(),
			status(found, batch.Status{StartTime: noon.Add(1)}),
		},
		want: lost, text: "the start goes",
	},
	"the last failure is lost": {
		job: two, habits: habits{},
		script: []line{
			status(told, batch.Status{LastFailure: &batch.AttemptError{}}),
			crash(),
			status(found, batch.Status{}),
		},
		want: lost, text: "the last failure",
	},
	"a retry is too soon": {
		job: two, habits: habits{},
		script: []line{status(told, batch.Status{NextRetry: noon.Add(time.Minute)}), crash(), start(0, 0)}, want: wrong,
		text: "before the time of the retry",
	},
	"a deadline is forgotten": {job: batch.Job{CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(1),
		ActiveDeadline: new(time.Second)}, habits: habits{},
		script: []line{
			status(told, batch.Status{StartTime: noon.Add(-time.Minute)}), crash(), start(0, 0),
		}, want: wrong, text: "in spite of a deadline"},
	"a checkpoint is lost": {job: two, script: []line{start(0, 0), checkpointLine(saving, 0, 0, 1),
		checkpointLine(saved, 0, 0, 1), crash(), start(0, 1),
		{Kind: resumed, Number: 1}}, want: lost, text: "was acknowledged"},
	"a checkpoint is another one": {
		job: two, script: []line{start(0, 0), checkpointLine(saving, 0, 0, 1), crash(),
			start(0, 1), {Kind: resumed, Number: 1, N: 1, Sum: 7}},
		want: wrong, text: "that nobody has saved",
	},
	"a checkpoint is taken twice": {
		job: batch.Job{Completions: new(2), Parallelism: new(2), BackoffLimit: new(9)}, habits: habits{},
		script: []line{start(-1, 0), checkpointLine(saving, -1, 0, 1), crash(), start(-1, 1), start(-1, 2),
			{
				Kind: resumed, Index: -1, Number: 1, N: 1, Sum: 1,
			}, {Kind: resumed, Index: -1, Number: 2, N: 1, Sum: 1}},
		want: wrong, text: "go on from the same checkpoint",
	},
	"a restart finds the checkpoint of another": {
		job: batch.Job{Completions: new(2), Parallelism: new(2),
			RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(9)},
		habits: habits{},
		script: []line{start(-1, 0), checkpointLine(saving, -1, 0, 1), checkpointLine(saved, -1, 0, 1), finish(-1, 0, 1),
			crash(),
			{Kind: started, Index: -1, Restarts: 1}, {Kind: resumed, Index: -1, Restarts: 1}},
		want: lost, text: "not its own",
	},
	"an item is left out": {
		job: two, habits: habits{items: 3}, script: []line{{Kind: item, N: 1}, {Kind: walking, N: 2}}, want: lost,
		text: "has left out item 2",
	},
	"an item is left out at last": {
		job: two, habits: habits{items: 2}, script: []line{start(0, 0), {Kind: item, N: 1}, finish(0, 0, 0)}, want: lost,
		text: "has left out item 2",
	},
	"an item is done again": {
		job: two, habits: habits{items: 2}, script: []line{{Kind: item, N: 1}, {Kind: walking, N: 1}, {Kind: item, N: 1}},
		want: duplicated, text: "item 1 of index 0",
	},
	"an iteration goes back": {
		job: two, habits: habits{items: 2}, script: []line{{Kind: item, N: 1}, {Kind: walking, N: 1}, {Kind: walking}},
		want: lost, text: "goes back from 1 to 0",
	},
	"a process complains": {
		job: two, script: []line{{Kind: problem, Text: "oh"}}, want: wrong, text: "oh",
	},
}

func TestJudge(t *testing.T) {

	for name, test := range judgeTests {
		t.Run(name, func(t *testing.T) {
			findings := judged(task{test.job, test.habits}, test.script).findings
			require.NotEmpty(t, findings)
			for _, f := range findings {
				if f.fault == test.want && strings.Contains(f.text, test.text) {
					return
				}
			}
			require.Failf(t, "not found", "%+v", findings)
		})
	}
}
