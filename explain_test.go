package batch_test

import (
	"context"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func indexedJob(n int, j batch.Job) batch.Job {
	j.CompletionMode, j.Completions, j.Parallelism = batch.Indexed, new(n), new(n)
	return j
}

// The n-th attempt of index 0 and all of the others do as they are told.
func firstThenOthers(first, others func(ctx context.Context, a batch.Attempt) error) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		if a.Index <= 0 && a.Number == 0 {
			return first(ctx, a)
		}
		return others(ctx, a)
	})
}

var ignoresItsContext = takes(time.Hour) // hears nothing

var explainTests = map[string]struct {
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
		job: indexedJob(4, batch.Job{BackoffLimitPerIndex: new(3),
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
		job: batch.Job{ReplacementPolicy: batch.ReplaceFailed, Executor: ignoresItsContext},
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
		job:   batch.Job{Completions: new(2), Parallelism: new(2), Executor: ignoresItsContext},
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
		job: batch.Job{Executor: ignoresItsContext},
		do: func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteForeground))
		},
		state: "Terminating", line: "j: Terminating, 0/1 succeeded, 0 failed, 1 terminating",
		want: "being deleted; waits for 1 attempt to stop",
	},
	"it is failing": {
		job: batch.Job{
			Completions: new(3), Parallelism: new(3), BackoffLimit: new(0),
			Executor: firstThenOthers(fails(exit(3)).Execute, ignoresItsContext.Execute),
		}, after: 10 * time.Second,
		state: "FailureTarget", line: "j: FailureTarget, 0/3 succeeded, 3 failed, 2 terminating",
		want: "ending: the job has reached the specified backoff limit (BackoffLimitExceeded); waits for 2 attempts to stop",
	},
	"it is failing, and something does not stop": {
		job: batch.Job{
			Completions: new(3), Parallelism: new(3), BackoffLimit: new(0),
			Executor: firstThenOthers(fails(exit(3)).Execute, ignoresItsContext.Execute),
		}, after: time.Minute,
		state: "FailureTarget", line: "j: FailureTarget, 0/3 succeeded, 3 failed, 2 terminating",
		want: "ending: the job has reached the specified backoff limit (BackoffLimitExceeded); waits for 2 attempts (2 " +
			"abandoned) to stop",
	},
	"it is succeeding": {
		job: indexedJob(2, batch.Job{
			SuccessPolicy: []batch.SuccessRule{{SucceededCount: new(1)}},
			Executor:      firstThenOthers(succeed.Execute, ignoresItsContext.Execute),
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
		job: indexedJob(3, batch.Job{
			BackoffLimitPerIndex: new(0), Executor: firstThenOthers(fails(exit(3)).Execute, succeed.Execute),
		}), after: time.Hour,
		state: "Failed", line: "j: Failed, 2/3 succeeded, 1 failed",
		want: "failed at {0s}: the job has failed indexes (FailedIndexes); index 0 failed once with exit code 3 (exit)",
	},
}

// Each state explains itself in one sentence. {1m} is the time of day then.
func TestExplain(t *testing.T) {

	for name, test := range explainTests {
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

// TestFarETA wants no time that has passed for what takes longer than can be said.
func TestFarETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(100_000_000_000),
			Parallelism: new(1),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				return sleepUnlessDone(ctx, time.Second)
			})})
		time.Sleep(1500 * time.Millisecond)
		eta := get(t, c, "j").Progress.ETA
		require.True(t, eta.IsZero() || eta.After(time.Now()), eta)
	})
}
