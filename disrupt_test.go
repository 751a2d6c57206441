package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestDisrupt(t *testing.T) {
	tests := map[string]struct {
		code    int // -1: none
		by      string
		settled bool // ended at once
	}{
		"PreemptionByScheduler":  {code: 143, by: "eviction"},
		"DeletionByTaintManager": {code: 143, by: "eviction"},
		"EvictionByEvictionAPI":  {code: 143, by: "eviction"},
		"DeletionByPodGC":        {code: -1, by: "podgc", settled: true},
		"TerminationByKubelet":   {code: 137, settled: true},
	}
	for reason, test := range tests {
		t.Run(reason, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					FailurePolicy: []batch.FailureRule{{
						Action: batch.ActionIgnore, OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}},
					}},
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							return nil
						}
						<-ctx.Done()
						time.Sleep(time.Second)
						return ctx.Err()
					})})
				synctest.Wait()
				require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, reason))
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, test.settled, a.Phase == batch.AttemptFailed)
				require.Equal(
					t,
					[]batch.Condition{{
						Type: batch.ConditionDisruptionTarget, Status: "True", Reason: reason, LastTransitionTime: time.Now(),
					}},
					a.Conditions,
				)
				s, err := c.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.Zero(t, s.Failed, "the rule ignores it")
				a = attemptsOf(t, c, "j")[0]
				require.Equal(t, test.by, a.DeletedBy)
				code := -1
				if a.ExitCode != nil {
					code = *a.ExitCode
				}
				require.Equal(t, test.code, code)
			})
		})
	}
}

// TestLateErrorOfALostAttempt wants what a lost attempt returns to change nothing.
func TestLateErrorOfALostAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		release := make(chan struct{})
		mustCreate(t, c, batch.Job{
			Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error { <-release; return errDisk }),
		})
		settle()
		require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, "DeletionByPodGC"))
		before, first := c.Wait(t.Context(), "j")
		close(release)
		settle()
		after, second := c.Wait(t.Context(), "j")
		require.Equal(t, before.LastFailure, after.LastFailure)
		require.Equal(t, before.Revision, after.Revision)
		require.EqualError(t, second, first.Error())
		require.NotErrorIs(t, second, errDisk)
	})
}

// Whatever an executor does long after it was given up has no effect.
func TestLateReturns(t *testing.T) {
	returns := map[string]func() error{
		"succeeds": func() error { return nil },
		"fails":    func() error { return exit(3) },
		"panics":   func() error { panic("late") },
		"exits":    goexit[error],
	}
	for name, stop := range stops {
		if stop.cause == batch.ErrShutdown || name == "its time is over" {
			continue // see TestShutdown
		}
		for how, result := range returns {
			t.Run(name+", and it "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) { testLateReturn(t, stop.do, result) })
			})
		}
	}
}

func testLateReturn(t *testing.T, stop func(context.Context, *batch.Controller, string) error, result func() error) {
	c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
	release := make(chan struct{})
	job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), History: new(0),
		TerminationGracePeriod: new(time.Second),
		Executor:               fn(func(ctx context.Context) error { <-release; return result() })}
	mustCreate(t, c, job)
	synctest.Wait()
	old := attemptsOf(t, c, "j")[0]
	require.NoError(t, stop(t.Context(), c, old.Name))
	if _, err := c.Get("j"); errors.Is(err, batch.ErrNotFound) { // R116
		mustCreate(t, c, job)
		fresh := get(t, c, "j")
		require.NotEqual(t, old.JobUID, fresh.UID)
		require.Equal(t, 1, fresh.Active)
		require.Zero(t, fresh.Terminating+fresh.Failed)
	}
	time.Sleep(5 * time.Second)
	before := get(t, c, "j")
	require.LessOrEqual(t, before.Failed, 1)
	close(release)
	settle()
	after, err := c.Get("j")
	if !before.DeletedAt.IsZero() {
		require.ErrorIs(t, err, batch.ErrNotFound)
		return
	}
	require.NoError(t, err)
	require.LessOrEqual(t, after.Failed, before.Failed+1) // of a replacement that returns, too
	require.LessOrEqual(t, after.Succeeded, 1)
	require.Zero(t, after.Terminating)
	require.Zero(t, after.Abandoned)
	for _, a := range attemptsOf(t, c, "j") {
		require.NotEqual(t, old.UID, a.UID, "with no history, nothing is left of it")
	}
}

// TestALateErrorDoesNotChangeAFinishedJob lets the executor of a lost attempt return an
// error when its job has failed.
func TestALateErrorDoesNotChangeAFinishedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0),
			Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
				<-late
				return errors.New("late")
			})}))
		synctest.Wait()
		list, err := c.Attempts(t.Context(), "j")
		require.NoError(t, err)
		require.NoError(t, c.Disrupt(t.Context(), "j", list[0].UID, "TerminationByKubelet"))
		before, failed := c.Wait(t.Context(), "j")
		require.Error(t, failed)

		close(late)
		synctest.Wait()
		after, err := c.Get("j")
		require.NoError(t, err)
		require.Equal(t, before, after)
		_, again := c.Wait(t.Context(), "j")
		require.Equal(t, failed.Error(), again.Error())
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// TestTerminationMessageSurvivesALateError wants what a lost attempt says late to change
// neither its job, whether that still runs or has finished, nor what the store has.
func TestTerminationMessageSurvivesALateError(t *testing.T) {
	for _, limit := range []int{0, 3} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, late := new(batchtest.MemoryStore), make(chan struct{})
				c := newController(t, batch.Options{Store: store})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(limit),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							<-ctx.Done()
							return ctx.Err()
						}
						<-late
						a.SetOutput("late")
						fmt.Fprintln(a.Stdout(), "late")
						a.Progress(1, 2, "late")
						return errors.Join(errDisk, a.SaveCheckpoint(context.Background(), []byte("late")))
					})})
				settle()
				require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, "TerminationByKubelet"))
				time.Sleep(time.Minute)
				before, attempts, records := get(t, c, "j"), attemptsOf(t, c, "j"), sortedRecords(t, store)
				close(late)
				settle()
				require.Equal(t, before, get(t, c, "j"))
				require.Equal(t, attempts, attemptsOf(t, c, "j"))
				require.Equal(t, records, sortedRecords(t, store))
				require.Empty(t, logOf(t, c, "j", attempts[0].Name))
			})
		})
	}
}
