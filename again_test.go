package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A nightly job runs every night under its name, and its history goes over the nights.
func TestAgainEachNight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		night := 0
		mustCreate(t, c, batch.Job{Name: "backup", BackoffLimit: new(1), History: new(3),
			Backoff: batch.ConstantBackoff(time.Second), Executor: fn(func(ctx context.Context) error {
				if night%2 == 1 {
					return errFull
				}
				return lasts(ctx, time.Minute)
			})})
		first := get(t, c, "backup")
		for ; night < 6; night++ {
			if night > 0 {
				status := again(t, c, "backup", false)
				require.Equal(t, night+1, status.Run)
				require.Equal(t, first.UID, status.UID)
				require.True(t, status.Is(batch.ConditionRunAgain))
				require.Equal(t, "Running", status.State())
			}
			status, err := c.Wait(t.Context(), "backup")
			if night%2 == 1 {
				require.Equal(t, 2, status.Failed, "the budget of retries is that of one night")
				require.ErrorIs(t, failed(t, err, batch.ReasonBackoffLimitExceeded), errFull)
			} else {
				require.NoError(t, err)
				require.Zero(t, status.Failed)
			}
			time.Sleep(24 * time.Hour)
		}
		runs := make([]int, 0, 3)
		for _, a := range attemptsOf(t, c, "backup") {
			runs = append(runs, a.JobRun)
		}
		require.Equal(t, []int{4, 6, 6}, runs, "failed attempts are kept rather than others")
		require.NoError(t, batch.Check(c, "backup"))
	})
}

// A job says how the run before has ended.
func TestAgainSaysWhatHappened(t *testing.T) {
	ways := map[string]struct {
		executor        batch.Executor
		end             func(c *batch.Controller) error
		reason, message string
	}{
		"complete": {executor: succeed, reason: batch.ReasonCompletionsReached,
			message: "Run 1 ended as Complete: Reached expected number of succeeded pods"},
		"failed": {executor: fails(batch.Permanent(errFull)), reason: batch.ReasonPodFailurePolicy,
			message: "Run 1 ended as Failed: Pod default/%s failed with a permanent error"},
		"cancelled": {
			executor: lasting(time.Hour), end: func(c *batch.Controller) error { return c.Cancel(t.Context(), "j", errCause) },
			reason: batch.ReasonCancelled, message: "Run 1 ended as Failed: Job was cancelled: the user's cause",
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", Executor: way.executor})
				synctest.Wait()
				if way.end != nil {
					require.NoError(t, way.end(c))
				}
				settle()
				if name == "failed" {
					way.message = fmt.Sprintf(way.message, attemptsOf(t, c, "j")[0].Name)
				}
				require.NoError(t, c.Suspend(t.Context(), "j"))
				status := again(t, c, "j", false)
				condition, _ := status.Condition(batch.ConditionRunAgain)
				require.Equal(t, way.reason, condition.Reason)
				require.Equal(t, way.message, condition.Message)
				require.Equal(t, "Suspended", status.State())
				require.Nil(t, status.LastFailure)
				require.Zero(t, status.Failed+status.Succeeded)
				events, err := c.Events(t.Context(), "j")
				require.NoError(t, err)
				require.Contains(t, events, batch.Event{Type: events[0].Type, Reason: "RunAgain", Message: "Run 2 begins",
					At: condition.LastTransitionTime})
			})
		})
	}
}

// Only what is missing runs, if that is wanted.
func TestAgainOfFailedIndexes(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore) {
		var ran sync.Map
		repaired := false
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(100), Parallelism: new(10),
			BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Index%10 == 3 && !repaired {
					return errFull
				}
				times, _ := ran.LoadOrStore(a.Index, new(atomic.Int32))
				times.(*atomic.Int32).Add(1)
				return lasts(ctx, time.Second)
			})}
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		_, err := c.Wait(t.Context(), "j")
		require.Equal(t, 10, failed(t, err, batch.ReasonFailedIndexes).Status.FailedIndexes.Len())

		store = end(t, c, store)
		c = newController(t, batch.Options{Store: store})
		apply(t, c, job)
		repaired = true
		status := again(t, c, "j", true)
		require.Equal(t, 90, status.Succeeded)
		require.Zero(t, status.FailedIndexes.Len())
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		store = end(t, c, store) // while it runs
		c = newController(t, batch.Options{Store: store})
		require.Equal(t, 2, get(t, c, "j").Run)
		apply(t, c, job)
		status = complete(t, c, "j")
		require.Equal(t, 100, status.Succeeded)
		require.Equal(t, 2, status.Run)
		for index := range 100 {
			times, _ := ran.Load(index)
			if index%10 != 3 {
				require.EqualValues(t, 1, times.(*atomic.Int32).Load(), "index %d", index)
			}
		}
		tokens := make(map[[2]int]bool)
		for _, a := range attemptsOf(t, c, "j") {
			key := [2]int{a.Index, a.Number}
			require.False(t, tokens[key], "two attempts are number %d of index %d", a.Number, a.Index)
			tokens[key] = true
		}
		require.NoError(t, batch.Check(c, "j"))
		require.NoError(t, batch.Check(fresh(t, store), "j"))
	})
}

// The caller that waits for a run gets its outcome, however soon the next one begins.
func TestAgainAndWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		var repaired atomic.Bool
		mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0), Executor: fn(func(ctx context.Context) error {
			time.Sleep(time.Second)
			if !repaired.Load() {
				return errFull
			}
			return nil
		})})
		type outcome struct {
			run int
			err error
		}
		outcomes := make(chan outcome, 20)
		for range cap(outcomes) {
			go func() {
				status, err := c.Wait(t.Context(), "j")
				outcomes <- outcome{status.Run, err}
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		for {
			if _, err := c.Again(t.Context(), "j", false); err == nil {
				break
			}
		}
		repaired.Store(true)
		for range cap(outcomes) {
			o := <-outcomes
			require.Equal(t, 1, o.run)
			require.ErrorIs(t, o.err, errFull)
		}
		require.Equal(t, 2, complete(t, c, "j").Run)
	})
}

// A watcher sees the runs one after the other.
func TestAgainIsWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Store: new(batchtest.MemoryStore)})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var seen []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			revision := uint64(0)
			for change, err := range c.Watch(ctx, 0) {
				if err != nil {
					return
				}
				s := change.Status
				if s.Revision <= revision {
					t.Errorf("revision %d after %d", s.Revision, revision)
				}
				revision = s.Revision
				if text := fmt.Sprint(s.Run, " ", s.State()); len(seen) == 0 || seen[len(seen)-1] != text {
					seen = append(seen, text)
				}
			}
		}()
		mustCreate(t, c, batch.Job{Name: "j", Executor: takes(time.Second)})
		for range 3 {
			complete(t, c, "j")
			synctest.Wait()
			again(t, c, "j", false)
		}
		complete(t, c, "j")
		synctest.Wait()
		stop()
		<-done
		require.Equal(t, []string{"1 Running", "1 Complete", "2 Running", "2 Complete", "3 Running", "3 Complete",
			"4 Running", "4 Complete"}, seen)
	})
}

// A job that has not finished, or is gone, cannot run again.
func TestAgainTooEarlyOrTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Executor: takes(time.Second), TTLAfterFinished: new(time.Minute)})
		synctest.Wait()
		status, err := c.Again(t.Context(), "j", false)
		unfinished, ok := errors.AsType[*batch.JobError](err)
		require.True(t, ok, "%v", err)
		require.Empty(t, unfinished.Reason)
		require.Equal(t, status, unfinished.Status)
		require.EqualError(t, err, `batch: job "j" has not finished: it is Running`)
		require.Equal(t, 1, status.Run)
		complete(t, c, "j")
		time.Sleep(59 * time.Second)
		again(t, c, "j", false)
		time.Sleep(time.Minute)
		require.Equal(t, 2, get(t, c, "j").Run, "its time to live began anew")
		time.Sleep(2 * time.Minute)
		_, err = c.Again(t.Context(), "j", false)
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// Several calls at once, among calls of Apply and Delete, begin one run each, or none.
func TestAgainAmongOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Store: new(batchtest.MemoryStore), FinishedJobs: 1})
		job := batch.Job{Name: "j", Executor: takes(time.Millisecond)}
		apply(t, c, job)
		complete(t, c, "j")
		for round := range 50 {
			var begun atomic.Int32
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					if _, err := c.Again(t.Context(), "j", false); err == nil {
						begun.Add(1)
					} else if _, ok := errors.AsType[*batch.JobError](err); !ok {
						t.Errorf("Again: %v", err)
					}
				})
				group.Go(func() {
					if _, err := c.Apply(t.Context(), job); err != nil {
						t.Errorf("Apply: %v", err)
					}
				})
			}
			group.Wait()
			require.EqualValues(t, 1, begun.Load())
			require.Equal(t, round+2, complete(t, c, "j").Run)
		}
		other := batch.Job{Name: "other", Executor: succeed}
		_, err := c.Run(t.Context(), other) // one finished job is kept, this one
		require.NoError(t, err)
		settle()
		_, err = c.Again(t.Context(), "j", false)
		require.ErrorIs(t, err, batch.ErrNotFound)
		again(t, c, "other", false)
		require.NoError(t, c.Delete(t.Context(), "other", batch.DeleteBackground))
		_, err = c.Again(t.Context(), "other", false)
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// After a restart a finished job gets its functions from Apply, before it runs again or
// after.
func TestAgainAfterARestart(t *testing.T) {
	for name, declaredFirst := range map[string]bool{"declared before": true, "declared after": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := new(batchtest.MemoryStore)
				c := newController(t, batch.Options{Store: store})
				job := batch.Job{Name: "j", Executor: succeed}
				apply(t, c, job)
				before := complete(t, c, "j")
				c = fresh(t, store)
				ran := 0
				job.Executor = fn(func(context.Context) error { ran++; return nil })
				if declaredFirst {
					require.Equal(t, stored(before), stored(apply(t, c, job)))
				}
				status := again(t, c, "j", false)
				if !declaredFirst {
					require.True(t, status.Is(batch.ConditionStalled))
					apply(t, c, job)
				}
				require.Equal(t, 2, complete(t, c, "j").Run)
				require.Equal(t, 1, ran)
			})
		})
	}
}

// A controller that is shut down runs nothing again.
func TestAgainAfterShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		_, err := c.Run(t.Context(), batch.Job{Name: "j", Executor: succeed})
		require.NoError(t, err)
		shut(t, c)
		_, err = c.Again(t.Context(), "j", false)
		require.ErrorIs(t, err, batch.ErrShutdown)
	})
}
