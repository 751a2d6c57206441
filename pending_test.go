package batch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestPendingExecutor(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testPending(t, limit) })
		})
	}
}

func testPending(t *testing.T, limit int) {
	c := newController(t, batch.Options{MaxActive: limit})
	start := time.Now()
	mustCreate(t, c, batch.Job{Name: "j", AttemptTimeout: new(time.Hour),
		Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error {
			a.SetReady(true) // has no effect yet
			if err := sleep(ctx, 2*time.Hour); err != exit(3) {
				return err
			}
			a.Started()
			a.Started() // again changes nothing
			if err := sleep(ctx, 30*time.Minute); err != exit(3) {
				return err
			}
			a.SetReady(false)
			if err := sleep(ctx, 10*time.Minute); err != exit(3) {
				return err
			}
			return nil
		})})
	synctest.Wait()
	status := get(t, c, "j")
	require.Equal(t, []int{1, 1, 0}, []int{status.Active, status.Pending, status.Ready})
	a := attemptsOf(t, c, "j")[0]
	require.Equal(t, batch.AttemptPending, a.Phase)
	require.Zero(t, a.StartedAt)

	time.Sleep(2*time.Hour + time.Minute)
	status = get(t, c, "j")
	require.Equal(t, []int{1, 0, 1}, []int{status.Active, status.Pending, status.Ready})
	a = attemptsOf(t, c, "j")[0]
	require.Equal(t, batch.AttemptRunning, a.Phase)
	require.Equal(t, start.Add(2*time.Hour), a.StartedAt)
	require.True(t, a.Ready)

	time.Sleep(31 * time.Minute)
	status = get(t, c, "j")
	require.Equal(t, []int{1, 0, 0}, []int{status.Active, status.Pending, status.Ready})

	_, err := c.Wait(t.Context(), "j")
	require.NoError(t, err, "the timeout begins with the start")
	require.Equal(t, start.Add(2*time.Hour+40*time.Minute), attemptsOf(t, c, "j")[0].FinishedAt)
}

// A PendingExecutor may end, or be stopped, without ever having started.
func TestPendingExecutorThatNeverStarts(t *testing.T) {
	tests := map[string]struct {
		policy  string
		execute pendingFunc
		phase   string
		code    int
	}{
		"it succeeds": {
			execute: func(context.Context, batch.Attempt) error { return nil }, phase: batch.AttemptSucceeded, code: 0,
		},
		"it fails": {
			execute: func(context.Context, batch.Attempt) error { return exit(3) }, phase: batch.AttemptFailed, code: 3,
		},
		"it is deleted": {execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return ctx.Err() },
			phase: batch.AttemptFailed, code: 137},
		"it is restarted": {policy: batch.RestartOnFailure, execute: func(_ context.Context, a batch.Attempt) error {
			if a.Restarts < 2 {
				return exit(3)
			}
			a.Started()
			a.SetOutput("it can speak")
			return a.SetCondition(batch.Condition{Type: "it-can-speak", Status: "True"})
		}, phase: batch.AttemptSucceeded, code: 0},
	}
	for name, test := range tests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{MaxActive: limit})
					mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: test.policy, Executor: test.execute})
					time.Sleep(time.Second)
					if name == "it is deleted" {
						require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
					}
					time.Sleep(time.Minute)
					a := attemptsOf(t, c, "j")[0]
					require.Equal(t, test.phase, a.Phase)
					require.Equal(t, test.code, *a.ExitCode)
					if test.policy == batch.RestartOnFailure {
						require.Equal(t, 2, a.Restarts)
						require.Equal(t, "it can speak", a.Output)
					}
				})
			})
		}
	}
}

// An attempt that waits to be started when the process ends is not lost: it
// starts later.
func TestPendingAttemptSurvives(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store, MaxActive: 1})
		job := batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3), BackoffLimit: new(1),
			Backoff: batch.ConstantBackoff(0), Executor: lasting(time.Minute),
		}
		apply(t, c, job)
		settle()
		var waiting []string
		for _, a := range attemptsOf(t, c, "j") {
			if a.Phase == batch.AttemptPending {
				waiting = append(waiting, a.UID)
			}
		}
		require.Len(t, waiting, 2)
		left := end(t, c, &store)
		c = newController(t, batch.Options{Store: left, MaxActive: 1})
		apply(t, c, job)
		complete(t, c, "j")
		for _, a := range attemptsOf(t, c, "j") {
			if slices.Contains(waiting, a.UID) {
				require.Equal(t, batch.AttemptSucceeded, a.Phase)
				waiting = waiting[1:]
			}
		}
		require.Empty(t, waiting)
	})
}

// A pending executor that runs when the process is killed is lost as others
// are.
func TestPendingExecutorsThatACrashDisrupts(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprintf("MaxActive %d", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				var tokens []string
				job := batch.Job{Name: "j", Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error {
					tokens = append(tokens, a.Token())
					return lasts(ctx, time.Minute)
				})}
				c := newController(t, batch.Options{Store: &store, MaxActive: limit})
				apply(t, c, batch.Job{Name: "first", Executor: lasting(time.Second)})
				apply(t, c, job)
				complete(t, c, "first")
				settle()
				require.Len(t, tokens, 1)
				left := crash(t, c, &store)
				c = newController(t, batch.Options{Store: left, MaxActive: limit})
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				require.Equal(t, batch.ReasonTerminationByProcessExit, a.Conditions[0].Reason)
				apply(t, c, job)
				require.Zero(t, complete(t, c, "j").Failed)
				require.Len(t, tokens, 2)
				require.NotEqual(t, tokens[0], tokens[1])
			})
		})
	}
}
