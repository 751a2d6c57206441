package batch_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A standby shows what the store has, and refuses what only the other can do.
func TestStandbyShows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Completions: new(3), Parallelism: new(1), Executor: lasting(time.Minute)})
		synctest.Wait()
		c := standby(t, &store)
		require.Equal(t, 1, get(t, c, "j").Active)
		var seen []int
		watched := make(chan error, 1)
		go func() {
			for change, err := range c.Watch(t.Context(), 0) {
				if err != nil {
					watched <- err
					return
				}
				seen = append(seen, change.Status.Succeeded)
			}
		}()
		time.Sleep(90 * time.Second)
		require.Equal(t, stored(get(t, works, "j")), stored(get(t, c, "j")))
		attempts, err := c.Attempts(t.Context(), "j")
		require.NoError(t, err)
		require.Len(t, attempts, 2)
		for range c.Logs(t.Context(), "j", attempts[0].Name, -1, false) {
			break
		}
		complete(t, c, "j")
		require.NoError(t, works.SaveRecord(t.Context(), "x/y", []byte("z")))
		require.NoError(t, works.Delete(t.Context(), "j", batch.DeleteBackground))
		synctest.Wait()
		require.Equal(t, []string{"x/y=z"}, collectRecords(c.Records("")))
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
		shut(t, works)
		err = <-watched
		require.ErrorIs(t, err, batch.ErrTooOld)
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		require.Equal(t, []int{0, 1, 2, 3, 3}, seen)
	})
}

func TestStandbyRefuses(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *batch.Controller) error{
		"Create": func(ctx context.Context, c *batch.Controller) error {
			return c.Create(ctx, batch.Job{Name: "new", Executor: succeed})
		},
		"Run": func(ctx context.Context, c *batch.Controller) error {
			_, err := c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
			return err
		},
		"Suspend": func(ctx context.Context, c *batch.Controller) error { return c.Suspend(ctx, "j") },
		"Delete":  func(ctx context.Context, c *batch.Controller) error { return c.Delete(ctx, "j", batch.DeleteOrphan) },
		"Disrupt": func(ctx context.Context, c *batch.Controller) error {
			return c.Disrupt(ctx, "j", "j-0", "DeletionByPodGC")
		},
		"DeleteAttempt": func(ctx context.Context, c *batch.Controller) error { return c.DeleteAttempt(ctx, "j", "j-0") },
		"SaveRecord":    func(ctx context.Context, c *batch.Controller) error { return c.SaveRecord(ctx, "k", nil) },
		"Logs": func(ctx context.Context, c *batch.Controller) error {
			for _, err := range c.Logs(ctx, "j", "j-0", -1, true) {
				return err
			}
			return nil
		},
		"Stack": func(_ context.Context, c *batch.Controller) error {
			_, err := c.Stack("j", "j-0")
			return err
		},
		"Claimed": func(ctx context.Context, c *batch.Controller) error {
			return c.Claimed(ended(errCause))
		},
	}
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Executor: untilDone})
		c := standby(t, &store)
		for name, call := range calls {
			err := call(t.Context(), c)
			require.ErrorIs(t, err, batch.ErrStoreInUse, name)
			require.ErrorContains(t, err, "batch: store is in use by another controller: this process", name)
		}
		require.Equal(t, "Running", get(t, works, "j").State())
	})
}

// When the one that works shuts down, the standby goes on at once with what it was
// given, and those who wait at it learn the end.
func TestStandbyTakesOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		job := batch.Job{Name: "j", Completions: new(3), Executor: lasting(time.Minute)}
		works := newController(t, batch.Options{Store: &store})
		apply(t, works, job)
		synctest.Wait()
		c := standby(t, &store)
		require.Equal(t, 1, apply(t, c, job).Active)
		require.Zero(t, apply(t, c, batch.Job{Name: "own", Parallelism: new(2), Completions: new(2), Executor: succeed}))
		ends := make(chan batch.Status, 1)
		go func() { ends <- complete(t, c, "j") }()
		time.Sleep(90 * time.Second)
		_, err := works.Get("own")
		require.ErrorIs(t, err, batch.ErrNotFound)
		stopped := time.Now()
		shut(t, works)
		require.NoError(t, c.Claimed(t.Context()))
		require.Equal(t, stopped, time.Now())
		require.Equal(t, 1, get(t, c, "j").Active)
		require.Equal(t, 3, (<-ends).Succeeded)
		require.Equal(t, 2, complete(t, c, "own").Succeeded)
	})
}

// A job that was done, and removed, while another controller worked is not done again.
func TestStandbyDoesNothingAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		runs := 0
		run := fn(func(context.Context) error { runs++; return nil })
		job := batch.Job{Name: "once", TTLAfterFinished: new(time.Minute), Executor: run}
		works := newController(t, batch.Options{Store: &store})
		c := standby(t, &store)
		apply(t, c, job)
		apply(t, works, job)
		complete(t, works, "once")
		time.Sleep(time.Hour)
		shut(t, works)
		require.NoError(t, c.Claimed(t.Context()))
		_, err := c.Get("once")
		require.ErrorIs(t, err, batch.ErrNotFound)
		require.Equal(t, 1, runs)
	})
}

// A standby that is shut down stays what it is.
func TestStandbyIsShutDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Executor: untilDone})
		c := standby(t, &store)
		waits := make(chan error, 1)
		go func() {
			_, err := c.Wait(t.Context(), "j")
			waits <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Shutdown(t.Context()))
		require.ErrorIs(t, <-waits, batch.ErrShutdown)
		require.ErrorIs(t, c.Claimed(t.Context()), batch.ErrShutdown)
		shut(t, works)
		require.Equal(t, "Running", get(t, c, "j").State())
	})
}

// A lockable store cannot be read while it is locked.
type lockable struct {
	batchtest.MemoryStore
	locked atomic.Bool
}

func (l *lockable) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	if l.locked.Load() {
		return func(yield func(batch.Record, error) bool) { yield(batch.Record{}, batch.ErrStoreInUse) }
	}
	return l.MemoryStore.Load(ctx)
}

func TestStandbyThatCannotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store lockable
		store.locked.Store(true)
		_, release, err := store.Claim(t.Context(), nil)
		require.NoError(t, err)
		c := standby(t, &store)
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		store.locked.Store(false)
		release()
		require.NoError(t, c.Claimed(t.Context()))
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

func TestStandbyNeedsAStore(t *testing.T) {
	_, err := batch.New(t.Context(), batch.Options{Standby: true})
	require.EqualError(t, err, "batch: Options.Standby: true: needs Options.Store")
	c := newController(t, batch.Options{})
	require.NoError(t, c.Claimed(ended(errors.New("late"))))
}
