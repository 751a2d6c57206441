package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// Each state explains itself in one sentence. {1m} is the time of day then.
func TestExplain(t *testing.T) {
	indexed := func(n int, j batch.Job) batch.Job {
		j.CompletionMode, j.Completions, j.Parallelism = batch.Indexed, new(n), new(n)
		return j
	}
	// The n-th attempt of index 0 and all of the others do as they are told.
	only := func(first, others func(ctx context.Context, a batch.Attempt) error) batch.Executor {
		return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index <= 0 && a.Number == 0 {
				return first(ctx, a)
			}
			return others(ctx, a)
		})
	}
	slow := takes(time.Hour) // hears nothing
	tests := map[string]struct {
		job   batch.Job
		limit int
		do    func(t *testing.T, c *batch.Controller)
		after time.Duration
		state string
		line  string
		want  string
	}{
		"it runs": {
			job: batch.Job{Completions: new(5), Parallelism: new(2), Executor: takes(time.Minute)}, after: 90 * time.Second,
			state: "Running", line: "j: Running, 2/5 succeeded, 0 failed, 2 active",
			want: "running: 2 of 2 slots busy, 2 of 5 succeeded",
		},
		"a work queue runs": {
			job:   batch.Job{Parallelism: new(3), Executor: untilDone},
			state: "Running", line: "j: Running, 0 succeeded, 0 failed, 3 active",
			want: "running: 3 of 3 slots busy",
		},
		"it waits for its retry": {
			job: batch.Job{Executor: fails(exit(3))}, after: 15 * time.Second,
			state: "Running", line: "j: Running, 0/1 succeeded, 2 failed",
			want: "the job failed twice with exit code 3 (exit), next try at {30s}; 0 of 1 slots busy",
		},
		"it waits for its restart": {
			job: batch.Job{RestartPolicy: batch.RestartOnFailure, Executor: fails(exit(3))}, after: 15 * time.Second,
			state: "Running", line: "j: Running, 0/1 succeeded, 0 failed, 1 active",
			want: "the job failed 3 times with exit code 3 (exit), next try at {30s}; 1 of 1 slots busy",
		},
		"an index waits for its retry, others run": {
			job: indexed(4, batch.Job{BackoffLimitPerIndex: new(3),
				Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
					switch {
					case a.Index == 0:
						return exit(3)
					case a.Index == 1:
						return nil
					}
					<-ctx.Done()
					return nil
				})}), after: time.Minute,
			state: "Running", line: "j: Running, 1/4 succeeded, 2 failed, 2 active",
			want: "index 0 failed 3 times with exit code 3 (exit), next try at {1m10s}; 2 of 4 slots busy",
		},
		"a lost attempt waits for its retry": {
			job: batch.Job{Executor: untilDone},
			do: func(t *testing.T, c *batch.Controller) {
				require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, "DeletionByPodGC"))
			},
			state: "Running", line: "j: Running, 0/1 succeeded, 1 failed",
			want: "the job failed once without an exit code, next try at {10s}; 0 of 1 slots busy",
		},
		"it waits for its turn": {
			job: batch.Job{Completions: new(5), Parallelism: new(3), Executor: untilDone}, limit: 1,
			state: "Running", line: "j: Running, 0/5 succeeded, 0 failed, 3 active",
			want: "3 of 3 slots busy, 2 of them not started yet: MaxActive of 1 is reached by j (1)",
		},
		"it waits for an attempt to stop": {
			job: batch.Job{ReplacementPolicy: batch.ReplaceFailed, Executor: slow},
			do: func(t *testing.T, c *batch.Controller) {
				require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
			},
			state: "Running", line: "j: Running, 0/1 succeeded, 0 failed, 1 terminating",
			want: "waits for 1 attempt to stop before it goes on",
		},
		"it is suspended": {
			job: batch.Job{Suspend: true, Executor: succeed}, state: "Suspended", line: "j: Suspended, 0/1 succeeded, 0 failed",
			want: "suspended; waits to be resumed",
		},
		"it is being suspended": {
			job:   batch.Job{Completions: new(2), Parallelism: new(2), Executor: slow},
			do:    func(t *testing.T, c *batch.Controller) { require.NoError(t, c.Suspend(t.Context(), "j")) },
			state: "Suspended", line: "j: Suspended, 0/2 succeeded, 0 failed, 2 terminating",
			want: "suspended, with 2 attempts still stopping; waits to be resumed",
		},
		"it is paused": {
			job: batch.Job{
				Parallelism: new(0), Completions: new(3), Executor: succeed,
			}, state: "Running", line: "j: Running, 0/3 succeeded, 0 failed",
			want: "paused: parallelism is 0",
		},
		"it is another's": {
			job: batch.Job{
				ManagedBy: new("example.com/other"), Executor: succeed,
			}, state: "Running", line: "j: Running, 0/1 succeeded, 0 failed",
			want: "left to another controller: example.com/other",
		},
		"it is being deleted": {
			job: batch.Job{Executor: slow},
			do: func(t *testing.T, c *batch.Controller) {
				require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteForeground))
			},
			state: "Terminating", line: "j: Terminating, 0/1 succeeded, 0 failed, 1 terminating",
			want: "being deleted; waits for 1 attempt to stop",
		},
		"it is failing": {
			job: batch.Job{
				Completions: new(3), Parallelism: new(3), BackoffLimit: new(0),
				Executor: only(fails(exit(3)).Execute, slow.Execute),
			}, after: 10 * time.Second,
			state: "FailureTarget", line: "j: FailureTarget, 0/3 succeeded, 3 failed, 2 terminating",
			want: "ending: the job has reached the specified backoff limit (BackoffLimitExceeded); waits for 2 attempts to stop",
		},
		"it is failing, and something does not stop": {
			job: batch.Job{
				Completions: new(3), Parallelism: new(3), BackoffLimit: new(0),
				Executor: only(fails(exit(3)).Execute, slow.Execute),
			}, after: time.Minute,
			state: "FailureTarget", line: "j: FailureTarget, 0/3 succeeded, 3 failed, 2 terminating",
			want: "ending: the job has reached the specified backoff limit (BackoffLimitExceeded); waits for 2 attempts (2 " +
				"abandoned) to stop",
		},
		"it is succeeding": {
			job: indexed(2, batch.Job{
				SuccessPolicy: []batch.SuccessRule{{SucceededCount: new(1)}}, Executor: only(succeed.Execute, slow.Execute),
			}), after: 10 * time.Second,
			state: "SuccessCriteriaMet", line: "j: SuccessCriteriaMet, 1/2 succeeded, 0 failed, 1 terminating",
			want: "ending: rule 0 of the success policy is met (SuccessPolicy); waits for 1 attempt to stop",
		},
		"it is complete": {
			job: batch.Job{
				Executor: takes(time.Minute),
			}, after: time.Hour, state: "Complete", line: "j: Complete, 1/1 succeeded, 0 failed",
			want: "complete since {1m}: reached expected number of succeeded pods (CompletionsReached)",
		},
		"it has failed": {
			job: batch.Job{
				BackoffLimit: new(1), Executor: fails(exit(3)),
			}, after: time.Hour, state: "Failed", line: "j: Failed, 0/1 succeeded, 2 failed",
			want: "failed at {10s}: the job has reached the specified backoff limit (BackoffLimitExceeded); the job failed " +
				"twice with exit code 3 (exit)",
		},
		"it had too little time": {
			job: batch.Job{
				ActiveDeadline: new(time.Minute), Executor: untilDone,
			}, after: time.Hour, state: "Failed", line: "j: Failed, 0/1 succeeded, 1 failed",
			want: "failed at {1m}: the job was active longer than specified deadline (DeadlineExceeded)",
		},
		"indexes have failed": {
			job: indexed(3, batch.Job{
				BackoffLimitPerIndex: new(0), Executor: only(fails(exit(3)).Execute, succeed.Execute),
			}), after: time.Hour,
			state: "Failed", line: "j: Failed, 2/3 succeeded, 1 failed",
			want: "failed at {0s}: the job has failed indexes (FailedIndexes); index 0 failed once with exit code 3 (exit)",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				c, err := batch.New(t.Context(), batch.Options{MaxActive: test.limit})
				require.NoError(t, err)
				t.Cleanup(func() { c.Shutdown(ended(errCause)) })
				test.job.Name = "j"
				mustCreate(t, c, test.job)
				synctest.Wait()
				if test.do != nil {
					test.do(t, c)
				}
				time.Sleep(max(test.after, 2*time.Millisecond))
				synctest.Wait()
				s := get(t, c, "j")
				require.Equal(t, test.want, regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllStringFunc(s.Explain(),
					func(text string) string {
						at, err := time.ParseInLocation(time.TimeOnly, text, time.Local)
						require.NoError(t, err)
						d := time.Duration(
							at.Hour()-start.Local().Hour(),
						)*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
						if d == time.Minute {
							return "{1m}"
						}
						return "{" + d.Truncate(time.Second).String() + "}"
					}))
				require.Equal(t, test.line, s.String())
				require.Equal(t, test.state, s.State())
				require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestStatusOfNothing(t *testing.T) {
	var s batch.Status
	require.Equal(t, "no job", s.String())
	require.Equal(t, "there is no job", s.Explain())
	require.False(t, s.Finished())
	_, ok := s.Condition(batch.ConditionComplete)
	require.False(t, ok)
	require.False(t, s.Is(batch.ConditionComplete))
}

func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(10), Parallelism: new(2), Executor: takes(time.Minute)})
		mustCreate(t, c, batch.Job{Name: "queue", Parallelism: new(2), Executor: untilDone})
		require.Equal(t, batch.Progress{Total: 10}, get(t, c, "j").Progress)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Equal(t, batch.Progress{Done: 4, Total: 10, ETA: start.Add(5 * time.Minute)}, get(t, c, "j").Progress)
		require.Equal(t, batch.Progress{}, get(t, c, "queue").Progress)
		s, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, batch.Progress{Done: 10, Total: 10}, s.Progress)
	})
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 500, time.UTC)

func indexSet(t *testing.T, text string) batch.IndexSet {
	t.Helper()
	set, err := batch.ParseIndexSet(text)
	require.NoError(t, err)
	return set
}

// The encoding of a status is a promise: a change here breaks somebody.
func TestStatusJSON(t *testing.T) {
	tests := map[string]struct {
		value any
		want  string
	}{
		"a new job": {
			batch.Status{Name: "j", UID: "u", Generation: 1, Revision: 2, CreatedAt: noon, Parallelism: 1},
			`{"name":"j","uid":"u","generation":1,"revision":2,"createdAt":"2026-01-02T12:00:00.0000005Z","parallelism":1,
			"active":0,"ready":0,"terminating":0,"succeeded":0,"failed":0,"progress":{"done":0}}`,
		},
		"everything": {
			batch.Status{
				Name: "j", UID: "u", Generation: 1, Run: 3, Revision: 2, CreatedAt: noon, DeletedAt: noon, Parallelism: 3,
				Completions: new(9), Suspend: true,
				ManagedBy: "a.io/b", Active: 4, Pending: 1, Ready: 2, Terminating: 5, Abandoned: 1, Succeeded: 6, Failed: 7,
				CompletedIndexes: indexSet(t, "0,2-4"), FailedIndexes: new(indexSet(t, "")), StartTime: noon, CompletionTime: noon,
				Conditions: []batch.Condition{{
					Type: batch.ConditionComplete, Status: "True", Reason: batch.ReasonCompletionsReached, Message: "m",
					LastTransitionTime: noon,
				}},
				NextRetry:   noon,
				LastFailure: &batch.AttemptError{Attempt: "j-1-abcde", Index: 1, Failures: 2, ExitCode: 3, Message: "m", At: noon},
				Progress:    batch.Progress{Done: 6, Total: 9, ETA: noon},
			},
			`{"name":"j","uid":"u","generation":1,"run":3,"revision":2,"createdAt":"2026-01-02T12:00:00.0000005Z",
			"deletedAt":"2026-01-02T12:00:00.0000005Z",
			"parallelism":3,"completions":9,"suspend":true,"managedBy":"a.io/b","active":4,"pending":1,"ready":2,
			"terminating":5,"abandoned":1,
			"succeeded":6,"failed":7,"completedIndexes":"0,2-4","failedIndexes":"",
			"startTime":"2026-01-02T12:00:00.0000005Z","completionTime":"2026-01-02T12:00:00.0000005Z",
			"conditions":[{"type":"Complete","status":"True","reason":"CompletionsReached","message":"m",
			"lastTransitionTime":"2026-01-02T12:00:00.0000005Z"}],
			"nextRetry":"2026-01-02T12:00:00.0000005Z",
			"lastFailure":{"attempt":"j-1-abcde","index":1,"failures":2,"exitCode":3,"at":"2026-01-02T12:00:00.0000005Z",
			"message":"m"},
			"progress":{"done":6,"total":9,"eta":"2026-01-02T12:00:00.0000005Z"}}`,
		},
		"a new attempt": {
			batch.AttemptStatus{Name: "j-abcde", UID: "u", JobUID: "v", Index: -1, Phase: batch.AttemptPending, CreatedAt: noon},
			`{"name":"j-abcde","uid":"u","jobUID":"v","ordinal":0,"index":-1,"number":0,"phase":"Pending","restarts":0,
			"failures":0,
			"createdAt":"2026-01-02T12:00:00.0000005Z","ready":false}`,
		},
		"everything of an attempt": {
			batch.AttemptStatus{
				Name: "j-1-abcde", UID: "u", JobUID: "v", Ordinal: 7, JobRun: 3, Index: 1, Number: 2, Phase: batch.AttemptFailed,
				Reason:  batch.ReasonDeadlineExceeded,
				Message: "m", ExitCode: new(0), Err: errors.New("not shown"), Restarts: 3, Failures: 4, IgnoredFailures: 5,
				CreatedAt: noon, StartedAt: noon,
				FinishedAt: noon, RestartAt: noon, DeletedAt: noon, DeletedBy: "gc", Abandoned: true, Ready: true,
				Conditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget, Status: "True", LastTransitionTime: noon}},
				Output:     "o", Progress: batch.Progress{Done: 1, Total: 2, Phase: "p"},
			},
			`{"name":"j-1-abcde","uid":"u","jobUID":"v","ordinal":7,"jobRun":3,"index":1,"number":2,"phase":"Failed",
			"reason":"DeadlineExceeded","message":"m","exitCode":0,
			"restarts":3,"failures":4,"ignoredFailures":5,"createdAt":"2026-01-02T12:00:00.0000005Z",
			"startedAt":"2026-01-02T12:00:00.0000005Z",
			"finishedAt":"2026-01-02T12:00:00.0000005Z","restartAt":"2026-01-02T12:00:00.0000005Z",
			"deletedAt":"2026-01-02T12:00:00.0000005Z","deletedBy":"gc",
			"abandoned":true,"ready":true,"conditions":[{"type":"DisruptionTarget","status":"True",
			"lastTransitionTime":"2026-01-02T12:00:00.0000005Z"}],
			"output":"o","progress":{"done":1,"total":2,"phase":"p"}}`,
		},
		"an event": {
			batch.Event{Type: "Warning", Reason: batch.ReasonBackoffLimitExceeded, Message: "m", At: noon},
			`{"type":"Warning","reason":"BackoffLimitExceeded","message":"m","at":"2026-01-02T12:00:00.0000005Z"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(test.value)
			require.NoError(t, err)
			want := regexp.MustCompile(`\n\s*`).ReplaceAllString(test.want, "")
			require.Equal(t, want, string(got))
			switch test.value.(type) { // and back
			case batch.Status:
				testRoundTrip[batch.Status](t, got)
			case batch.AttemptStatus:
				testRoundTrip[batch.AttemptStatus](t, got)
			case batch.Event:
				testRoundTrip[batch.Event](t, got)
			}
		})
	}
}

func testRoundTrip[T any](t *testing.T, text []byte) {
	t.Helper()
	var value T
	require.NoError(t, json.Unmarshal(text, &value))
	again, err := json.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))
}

func TestIndexSet(t *testing.T) {
	for text, size := range map[string]int{"": 0, "0": 1, "0,1": 2, "0-2": 3, "0,2-4,9,10": 6, "5-1000004": 1000000} {
		set, err := batch.ParseIndexSet(text)
		require.NoError(t, err)
		require.Equal(t, text, set.String())
		require.Equal(t, size, set.Len())
		require.Equal(t, size == 0, set.IsZero())
		encoded, err := json.Marshal(set)
		require.NoError(t, err)
		require.Equal(t, `"`+text+`"`, string(encoded))
		var decoded batch.IndexSet
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.True(t, set.Equal(decoded))
		n := 0
		for first, last := range set.Intervals() {
			n += last - first + 1
			require.True(t, set.Contains(first) && set.Contains(last) && !set.Contains(last+1))
		}
		require.Equal(t, size, n)
	}
	require.Equal(t, []int{0, 2, 3, 4}, slices.Collect(indexSet(t, "0,2-4").All()))
	require.Equal(t, "0,1", indexSet(t, "0-1").String(), "two are no run (R155)")
	require.True(t, indexSet(t, "0-1").Equal(indexSet(t, "0,1")))
	require.Equal(t, "", batch.IndexSet{}.String())
	for text, want := range map[string]string{
		"3,2": `batch: index set "3,2": non-increasing order, previous: 3, current: 2`,
		"a":   `batch: index set "a": cannot convert string to integer for index: "a"`,
	} {
		_, err := batch.ParseIndexSet(text)
		require.EqualError(t, err, want)
		var set batch.IndexSet
		require.EqualError(t, set.UnmarshalText([]byte(text)), want)
	}
}

func TestJobError(t *testing.T) {
	inner := &batch.AttemptError{Attempt: "j-0-abcde", Index: 0, ExitCode: 3, Err: errDisk}
	message := "Job has reached the specified backoff limit"
	err := &batch.JobError{
		Status: batch.Status{Name: "j"}, Reason: batch.ReasonBackoffLimitExceeded, Message: message,
		Attempts: []*batch.AttemptError{inner},
	}
	require.EqualError(
		t, err,
		`batch: job "j" failed: BackoffLimitExceeded: Job has reached the specified backoff limit; last: attempt `+
			`j-0-abcde: exit code 3: disk full`,
	)
	require.ErrorIs(t, err, errDisk)
	found, ok := errors.AsType[*batch.AttemptError](err)
	require.True(t, ok)
	require.Equal(t, inner, found)
	err.Attempts = nil
	require.EqualError(t, err, `batch: job "j" failed: BackoffLimitExceeded: Job has reached the specified backoff limit`)
}

// TestErrorOfStoppedJob wants the error of a job whose only attempt did no more
// than stop to name none: there has been no failure that counts.
func TestErrorOfStoppedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{
			Name: "late", ActiveDeadline: new(time.Second),
			Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
				<-ctx.Done()
				return ctx.Err()
			})})
		require.EqualError(
			t, err, `batch: job "late" failed: DeadlineExceeded: Job was active longer than specified deadline`,
		)
		failed, ok := errors.AsType[*batch.JobError](err)
		require.True(t, ok)
		require.Empty(t, failed.Attempts)
		require.Nil(t, status.LastFailure)
	})
}
