package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// troubles are ways in which a store can fail.
var troubles = map[string]func(apply func() error) error{
	"an error":                   failing,
	"an error, and it is stored": func(apply func() error) error { return errors.Join(apply(), errFull) },
	"a panic":                    func(func() error) error { panic(errFull) },
	"runtime.Goexit":             func(func() error) error { runtime.Goexit(); return nil },
	"an error after some time":   func(func() error) error { time.Sleep(700 * time.Millisecond); return errFull },
}

// While the store fails what runs goes on, nothing begins, and every status can
// see why; when it works again, so does everything else, by itself.
func TestStoreFailsForAWhile(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { testStoreFailsForAWhile(t, trouble) })
		})
	}
}

func testStoreFailsForAWhile(t *testing.T, trouble func(func() error) error) {
	var store disk
	var starts atomic.Int32
	ran := make([]atomic.Int32, 8)
	c := newController(t, batch.Options{Store: &store})
	createWhatGoesOn(t, c, &starts, ran)
	mustCreate(t, c, batch.Job{Name: "over", Executor: succeed})
	over := complete(t, c, "over")
	time.Sleep(15 * time.Second)
	settle()

	before := get(t, c, "long")
	require.Equal(t, "0,1", before.CompletedIndexes.String())
	watched := make(chan batch.Change, 1000)
	go func() {
		for change := range c.Watch(t.Context(), before.Revision) {
			watched <- change
		}
	}()
	synctest.Wait()
	store.set(trouble)
	time.Sleep(8 * time.Second) // what runs ends
	settle()
	begun := starts.Load()
	time.Sleep(20 * time.Second)
	settle()
	require.Equal(t, begun, starts.Load(), "something began")

	checkStalled(t, c, before)
	require.False(t, get(t, c, "over").Is(batch.ConditionStalled), "nothing is wrong with a finished job")
	require.Equal(t, stored(over), stored(get(t, c, "over")))
	require.Equal(t, 1, countStalled(watched, "long"))
	for name, call := range callsThatNeedTheStore {
		t.Log(name)
		isStoreError(t, call(t.Context(), c))
	}
	require.Equal(t, 2, get(t, c, "long").Parallelism)

	store.set(nil)
	time.Sleep(6 * time.Second)
	settle()
	require.Greater(t, starts.Load(), begun, "nothing goes on")
	s := get(t, c, "long")
	require.False(t, s.Is(batch.ConditionStalled))
	require.Equal(t, "0-3", s.CompletedIndexes.String(), "what ended meanwhile is lost")
	for _, name := range []string{"long", "restarts", "retries"} {
		complete(t, c, name)
	}
	for i := range ran {
		require.EqualValues(t, 1, ran[i].Load(), "index %d", i)
	}
	require.NoError(t, c.Create(t.Context(), batch.Job{Name: "new", Executor: succeed}))
}

// createWhatGoesOn creates a job whose attempts take some time, one with many restarts in
// place and one with many retries. It counts what begins, and how often each index ran.
func createWhatGoesOn(t *testing.T, c *batch.Controller, starts *atomic.Int32, ran []atomic.Int32) {
	t.Helper()
	mustCreate(t, c, batch.Job{Name: "long", CompletionMode: batch.Indexed, Completions: new(8), Parallelism: new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			starts.Add(1)
			ran[a.Index].Add(1)
			return lasts(ctx, 10*time.Second)
		})})
	failsAtFirst := fn(func(context.Context) error {
		if starts.Add(1); time.Since(epoch) < 2*time.Minute {
			return errCause
		}
		return nil
	})
	mustCreate(t, c, batch.Job{Name: "restarts", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(100),
		Completions: new(1), RestartBackoff: batch.ConstantBackoff(time.Second), Executor: failsAtFirst})
	mustCreate(t, c, batch.Job{Name: "retries", BackoffLimit: new(100), Backoff: batch.ConstantBackoff(time.Second),
		Executor: failsAtFirst})
}

// checkStalled wants job long to be stalled since the store fails, and to show nothing that
// is not stored.
func checkStalled(t *testing.T, c *batch.Controller, before batch.Status) {
	t.Helper()
	s := get(t, c, "long")
	require.Equal(t, before.CompletedIndexes, s.CompletedIndexes, "shown before it was stored")
	stalled, ok := s.Condition(batch.ConditionStalled)
	require.True(t, ok)
	require.Equal(t, batch.ReasonStoreFailed, stalled.Reason)
	require.Equal(t, "True", stalled.Status)
	require.WithinDuration(t, epoch.Add(15*time.Second), stalled.LastTransitionTime, 9*time.Second)
	require.Equal(t, "starts nothing, as the store fails: "+stalled.Message, s.Explain())
}

// callsThatNeedTheStore are methods that fail while the store does.
var callsThatNeedTheStore = map[string]func(ctx context.Context, c *batch.Controller) error{
	"Attempts": func(ctx context.Context, c *batch.Controller) error { _, err := c.Attempts(ctx, "long"); return err },
	"Events":   func(ctx context.Context, c *batch.Controller) error { _, err := c.Events(ctx, "long"); return err },
	"Create": func(ctx context.Context, c *batch.Controller) error {
		return c.Create(ctx, batch.Job{Name: "new", Executor: succeed})
	},
	"Apply": func(ctx context.Context, c *batch.Controller) error {
		_, err := c.Apply(ctx, batch.Job{Name: "new", Executor: succeed})
		return err
	},
	"Apply again": func(ctx context.Context, c *batch.Controller) error {
		_, err := c.Apply(ctx, batch.Job{Name: "over", Executor: succeed})
		return err
	},
	"Update": func(ctx context.Context, c *batch.Controller) error {
		return c.Update(ctx, "long", func(j *batch.Job) { j.Parallelism = new(1) })
	},
	"Suspend": func(ctx context.Context, c *batch.Controller) error { return c.Suspend(ctx, "long") },
	"Resume":  func(ctx context.Context, c *batch.Controller) error { return c.Resume(ctx, "long") },
	"Delete": func(ctx context.Context, c *batch.Controller) error {
		return c.Delete(ctx, "long", batch.DeleteBackground)
	},
	"DeleteAttempt": func(ctx context.Context, c *batch.Controller) error { return c.DeleteAttempt(ctx, "long", "x") },
	"Disrupt": func(ctx context.Context, c *batch.Controller) error {
		return c.Disrupt(ctx, "long", "x", "DeletionByPodGC")
	},
}

// countStalled counts how often watchers were told that the job stalls.
func countStalled(watched chan batch.Change, job string) (n int) {
	was := false
	for len(watched) > 0 {
		change := <-watched
		if change.Status.Name == job {
			is := change.Status.Is(batch.ConditionStalled)
			if is && !was {
				n++
			}
			was = is
		}
	}
	return n
}

// A job that is created while the store begins to fail is held back as others
// are.
func TestStoreFailsRightAfterCreate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		commits := 0
		store.set(func(apply func() error) error {
			if commits++; commits > 1 && commits < 20 {
				return errFull
			}
			return apply()
		})
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(3), Executor: takes(time.Second)})
		settle()
		require.True(t, get(t, c, "j").Is(batch.ConditionStalled))
		require.Equal(t, 3, complete(t, c, "j").Succeeded)
	})
}

// What saves checkpoints waits for a store that fails: that costs no attempt.
func TestCheckpointsWaitForTheStore(t *testing.T) {
	var iterated int
	iteration := upTo(100)
	iteration.Do = func(context.Context, int) error { iterated++; time.Sleep(100 * time.Millisecond); return nil }
	for name, work := range map[string]func(ctx context.Context, a batch.Attempt) error{
		"saving": func(ctx context.Context, a batch.Attempt) error {
			for i := range 100 {
				time.Sleep(100 * time.Millisecond)
				if err := a.SaveCheckpoint(context.Background(), fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			return nil
		},
		"iterating": func(ctx context.Context, a batch.Attempt) error {
			_, err := iteration.Run(ctx, a)
			return err
		},
	} {
		for _, outage := range []time.Duration{3 * time.Second, time.Minute} {
			t.Run(fmt.Sprint(name, " ", outage), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var store disk
					c := newController(t, batch.Options{Store: &store})
					iterated = 0
					mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0), Executor: batch.ExecutorFunc(work)})
					time.Sleep(2500 * time.Millisecond)
					store.set(failing)
					time.Sleep(outage)
					store.set(nil)
					require.Zero(t, complete(t, c, "j").Failed)
					require.Zero(t, iterated%100, "an item was done twice")
				})
			})
		}
	}
}

// An attempt that is to end does not wait for a store that fails. The checkpoint
// is stored when that works again.
func TestCheckpointOfAStoppedAttemptWhileTheStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		job := batch.Job{Name: "j", AttemptTimeout: new(10 * time.Second),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Number > 0 {
					return lasts(ctx, time.Hour)
				}
				time.Sleep(time.Second)
				store.set(failing)
				isStoreError(t, a.SaveCheckpoint(context.Background(), []byte("far")))
				require.ErrorIs(t, context.Cause(ctx), batch.ErrAttemptTimeout)
				require.Equal(t, 10*time.Second, time.Since(epoch))
				isStoreError(t, a.SaveCheckpoint(context.Background(), []byte("farther")))
				return nil
			})}
		mustCreate(t, c, job)
		time.Sleep(20 * time.Second)
		store.set(nil)
		time.Sleep(20 * time.Second)
		next := fresh(t, &store)
		found := make(chan string, 1)
		job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			found <- string(a.Checkpoint())
			return nil
		})
		apply(t, next, job)
		require.Equal(t, "farther", <-found)
	})
}

// While a commit does not return, jobs do not wait for it.
func TestJobsDoNotWaitForTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		var ran atomic.Int32
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(5000), Parallelism: new(2),
			Executor: fn(func(ctx context.Context) error { ran.Add(1); return lasts(ctx, time.Millisecond) })})
		settle()
		release := store.hold()
		time.Sleep(time.Minute)
		require.EqualValues(t, 5000, ran.Load())
		require.Less(t, get(t, c, "j").Succeeded, 100)
		n := len(store.commits)
		release()
		require.Equal(t, 5000, complete(t, c, "j").Succeeded)
		require.LessOrEqual(t, len(store.commits), n+2, "changes did not share a commit")
	})
}

// unreadable fails to load after so many records.
type unreadable struct {
	disk
	after int
}

func (s *unreadable) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		n := 0
		for r, err := range s.disk.Load(ctx) {
			if n++; n > s.after {
				yield(batch.Record{}, errFull)
				return
			}
			if !yield(r, err) {
				return
			}
		}
		yield(batch.Record{}, errFull)
	}
}

// A controller that cannot be made leaves the store as it is, and nothing that
// runs.
func TestNewWithAFailingStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "j", ActiveDeadline: new(time.Hour), Completions: new(2), Executor: untilDone})
		mustCreate(t, c, batch.Job{Name: "over", TTLAfterFinished: new(time.Minute), Executor: succeed})
		complete(t, c, "over")
		shut(t, c)
		for after := range 4 {
			broken := unreadable{after: after}
			fill(t, &broken.memory, &store)
			c, err := batch.New(t.Context(), batch.Options{Store: &broken})
			require.Nil(t, c)
			storeError(t, err, errFull)
		}
		for works := range 2 {
			var broken disk
			fill(t, &broken.memory, &store)
			commits := 0
			broken.set(func(apply func() error) error {
				if commits++; commits > works {
					return errFull
				}
				return apply()
			})
			c, err := batch.New(t.Context(), batch.Options{Store: &broken})
			require.Nil(t, c)
			isStoreError(t, err)
			require.ErrorIs(t, err, errFull)
			tried := commits
			time.Sleep(2 * time.Hour)
			require.Equal(t, tried, commits, "it goes on")
		}
	})
}
