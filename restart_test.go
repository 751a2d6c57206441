package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

var delaysGoOnTests = map[string]struct {
	job     batch.Job
	restart bool
}{
	"a retry":                      {job: batch.Job{Backoff: batch.ConstantBackoff(time.Minute)}},
	"a retry by a custom back-off": {job: batch.Job{Backoff: slowly}},
	"a retry of an index": {
		job: batch.Job{
			Backoff:              batch.ConstantBackoff(time.Minute),
			CompletionMode:       batch.Indexed,
			BackoffLimitPerIndex: new(3),
		},
	},
	"a custom retry of an index": {
		job: batch.Job{Backoff: slowly, CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(3)},
	},
	"a restart": {
		job:     batch.Job{RestartBackoff: batch.ConstantBackoff(time.Minute), RestartPolicy: batch.RestartOnFailure},
		restart: true,
	},
	"a restart by a back-off": {
		job: batch.Job{RestartBackoff: slowly, RestartPolicy: batch.RestartOnFailure}, restart: true,
	},
}

// What waits for a retry, or a restart in place, goes on to wait, by the wall
// clock.
func TestDelaysGoOn(t *testing.T) {
	for name, tc := range delaysGoOnTests {
		for _, limit := range []int{0, 1} {
			for _, down := range []time.Duration{10 * time.Second, time.Hour} {
				t.Run(fmt.Sprintf("%s, MaxActive %d, down for %v", name, limit, down), func(t *testing.T) {
					eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
						var store batchtest.MemoryStore
						var starts []time.Duration
						job := tc.job
						job.Name, job.Completions = "j", new(1)
						job.Executor = fn(func(context.Context) error {
							if starts = append(starts, time.Since(epoch)); len(starts) < 2 {
								return exit(3)
							}
							return nil
						})
						c := newController(t, batch.Options{Store: &store, MaxActive: limit})
						apply(t, c, job)
						settle()
						before, attempt := get(t, c, "j"), attemptsOf(t, c, "j")[0]
						time.Sleep(20 * time.Second)
						left := end(t, c, &store)
						time.Sleep(down)
						c = newController(t, batch.Options{Store: left, MaxActive: limit})
						again := get(t, c, "j")
						require.Equal(t, before.LastFailure, again.LastFailure)
						require.Equal(t, before.Failed, again.Failed)
						declared := time.Since(epoch)
						if s := apply(t, c, job); !tc.restart && down < time.Minute {
							require.Equal(t, before.NextRetry, s.NextRetry)
						}
						s := complete(t, c, "j")
						require.Len(t, starts, 2)
						require.InDelta(t, max(time.Minute, declared), starts[1], float64(5*time.Millisecond))
						list := attemptsOf(t, c, "j")
						if tc.restart {
							require.Len(t, list, 1)
							require.Equal(t, attempt.UID, list[0].UID)
							require.Equal(t, 1, list[0].Restarts)
							require.Zero(t, s.Failed)
						} else {
							require.Len(t, list, 2)
							require.Equal(t, 1, s.Failed)
						}
					})
				})
			}
		}
	}
}

func TestFailuresOfAnIndexCountOverAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		var ran []int
		job := batch.Job{Name: "job", CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(1),
			Backoff: batch.ConstantBackoff(0),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				ran = append(ran, a.Number)
				if a.Number == 1 {
					<-ctx.Done() // until the shutdown
				}
				return errors.New("failed")
			})}
		c := restarted(t, &store, job)
		_, err := c.Wait(t.Context(), "job")
		failed(t, err, batch.ReasonFailedIndexes)
		shut(t, c)
		require.Equal(t, []int{0, 1, 2}, ran) // 0 and 2 failed, 1 was interrupted
	})
}

func onDisruption(action string) []batch.FailureRule {
	return []batch.FailureRule{{Action: action,
		OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}}}}
}

var disruptionTests = map[string]struct {
	job      batch.Job
	failed   int
	reason   string // if the job fails
	message  string
	retryIn  time.Duration // counted from the next process's start
	failures int
}{
	"it does not count": {job: batch.Job{}, retryIn: 10 * time.Second},
	"nor under OnFailure": {
		job: batch.Job{RestartPolicy: batch.RestartOnFailure}, retryIn: 10 * time.Second,
	},
	"nor for its index": {
		job: batch.Job{CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1)}, retryIn: 10 * time.Second,
	},
	"it is ignored": {
		job: batch.Job{FailurePolicy: onDisruption(batch.ActionIgnore), BackoffLimit: new(0)}, retryIn: 10 * time.Second,
	},
	"it is ignored for its index": {
		job: batch.Job{
			FailurePolicy: onDisruption(batch.ActionIgnore), CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(0),
		},
		retryIn: 10 * time.Second,
	},
	"it is not the last straw": {job: batch.Job{BackoffLimit: new(0)}, retryIn: 10 * time.Second},
	"it does not fail its index": {
		job: batch.Job{CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(0)}, retryIn: 10 * time.Second,
	},
	"a rule counts it": {
		job: batch.Job{FailurePolicy: onDisruption(batch.ActionCount)}, failed: 1, retryIn: 10 * time.Second,
	},
	"a rule counts it for its index": {
		job: batch.Job{
			FailurePolicy: onDisruption(batch.ActionCount), CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1),
		},
		failed: 1, retryIn: 10 * time.Second, failures: 1,
	},
	"a rule makes it the last straw": {
		job: batch.Job{FailurePolicy: onDisruption(batch.ActionCount), BackoffLimit: new(0)}, failed: 1,
		reason: batch.ReasonBackoffLimitExceeded, message: "Job has reached the specified backoff limit",
	},
	"a rule fails its index": {
		job: batch.Job{
			FailurePolicy: onDisruption(batch.ActionFailIndex), CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(9),
		},
		failed: 1, reason: batch.ReasonFailedIndexes, message: "Job has failed indexes",
	},
	"a rule fails the job": {
		job: batch.Job{FailurePolicy: onDisruption(batch.ActionFailJob)}, failed: 1, reason: batch.ReasonPodFailurePolicy,
		message: "Pod default/%s has condition DisruptionTarget matching FailJob rule at index 0",
	},
	"a rule for exit codes is no rule": {
		job: batch.Job{FailurePolicy: []batch.FailureRule{{
			Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{NotIn: []int{5}},
		}}},
		retryIn: 10 * time.Second,
	},
	"a rule for errors is no rule": {
		job: batch.Job{FailurePolicy: []batch.FailureRule{{
			Action: batch.ActionFailJob, OnError: func(error) bool { return true },
		}}},
		retryIn: 10 * time.Second,
	},
}

// An attempt that runs when the process is killed is disrupted, and counts as
// the failure policy says.
func TestAttemptsThatACrashDisrupts(t *testing.T) {

	for name, tc := range disruptionTests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var store disk
					job := tc.job
					job.Name, job.Completions, job.Executor = "j", new(1), lasting(time.Minute)
					c := newController(t, batch.Options{Store: &store, MaxActive: limit})
					apply(t, c, job)
					settle()
					before := attemptsOf(t, c, "j")[0]
					left := crash(t, c, &store)
					time.Sleep(time.Hour)
					start := time.Now()
					c = newController(t, batch.Options{Store: left, MaxActive: limit})

					a := attemptsOf(t, c, "j")[0]
					require.Equal(t, before.Name, a.Name)
					require.Equal(t, before.UID, a.UID)
					require.Equal(t, batch.AttemptFailed, a.Phase)
					require.Nil(t, a.ExitCode)
					require.Nil(t, a.Err)
					require.Equal(t, []batch.Condition{{Type: batch.ConditionDisruptionTarget, Status: "True",
						Reason: batch.ReasonTerminationByProcessExit, LastTransitionTime: a.FinishedAt}}, a.Conditions)
					require.WithinDuration(t, start, a.FinishedAt, 0)
					require.Equal(t, before.StartedAt.UnixNano(), a.StartedAt.UnixNano())

					apply(t, c, job)
					s, err := c.Wait(t.Context(), "j")
					require.Equal(t, tc.failed, s.Failed)
					if tc.reason != "" {
						e := failed(t, err, tc.reason)
						require.Equal(t, strings.ReplaceAll(tc.message, "%s", a.Name), e.Message)
						require.ErrorIs(t, err, batch.ErrDisrupted)
						require.Len(t, attemptsOf(t, c, "j"), 1)
						return
					}
					require.NoError(t, err)
					list := attemptsOf(t, c, "j")
					require.Len(t, list, 2)
					require.Equal(t, 1, list[1].Number)
					require.Equal(t, tc.failures, list[1].Failures)
					require.WithinDuration(t, start.Add(tc.retryIn), list[1].CreatedAt, 5*time.Millisecond)
				})
			})
		}
	}
}

// What a shutdown interrupts does not count, and is tried again at once.
func TestAttemptsThatAShutdownInterrupts(t *testing.T) {
	for name, job := range map[string]batch.Job{
		"NonIndexed": {BackoffLimit: new(0)},
		"Indexed":    {BackoffLimit: new(0), CompletionMode: batch.Indexed},
		"per index":  {BackoffLimitPerIndex: new(0), CompletionMode: batch.Indexed},
		"OnFailure":  {BackoffLimit: new(0), RestartPolicy: batch.RestartOnFailure},
		"FailJob": {FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailJob,
			OnExitCodes: &batch.ExitCodes{NotIn: []int{0}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				job.Name, job.Completions, job.Parallelism, job.Executor = "j", new(3), new(2), lasting(time.Minute)
				for range 3 {
					c := newController(t, batch.Options{Store: &store})
					apply(t, c, job)
					start := time.Now()
					settle()
					s := get(t, c, "j")
					require.Equal(t, 2, s.Ready)
					require.Zero(t, s.Failed)
					for _, a := range attemptsOf(t, c, "j") {
						if a.Phase == batch.AttemptRunning {
							require.WithinDuration(t, start, a.StartedAt, 0)
						}
					}
					shut(t, c)
					require.Nil(t, get(t, c, "j").LastFailure)
					time.Sleep(time.Hour)
				}
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, job)
				require.Equal(t, 0, complete(t, c, "j").Failed)
			})
		})
	}
}

// A failure is counted once, also if its attempt had been replaced while it was
// still stopping.
func TestReplacedFailureCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store})
		stubborn := true
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(3),
			Backoff: batch.ConstantBackoff(time.Second),
			Executor: fn(func(ctx context.Context) error {
				err := lasts(ctx, time.Minute)
				if stubborn && err != nil {
					time.Sleep(10 * time.Second)
				}
				return err
			})}
		apply(t, c, job)
		settle()
		require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].UID))
		time.Sleep(5 * time.Second)
		s := get(t, c, "j")
		require.Equal(t, 1, s.Failed)
		require.Equal(t, 1, s.Terminating)
		require.Equal(t, 1, s.Active)
		left := crash(t, c, &store)
		c = newController(t, batch.Options{Store: left})
		require.NoError(t, batch.Check(c, "j"))
		require.Equal(t, 1, get(t, c, "j").Failed)
		stubborn = false
		apply(t, c, job)
		require.Equal(t, 1, complete(t, c, "j").Failed, "the one that was deleted, and not the one that was lost")
	})
}
