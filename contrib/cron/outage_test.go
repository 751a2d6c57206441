package cron

import (
	"context"
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

func untilStopped(ctx context.Context, _ batch.Attempt) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestJobEndsWhileTheStoreFails wants the end of a job to be seen that comes while the
// state cannot be stored: under Forbid nothing would start any more.
func TestJobEndsWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(fragileStore)
		f := newFixture(t, store)
		job := f.cronJob("a", "0 * * * *")
		job.ConcurrencyPolicy = Forbid
		end := make(chan struct{})
		var runs atomic.Int32
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
			if _, ok := ScheduledTime(ctx); ok && runs.Add(1) == 1 {
				<-end
			}
			return nil
		})
		require.NoError(t, f.Create(t.Context(), job))
		time.Sleep(61 * time.Minute)
		require.Len(t, f.get("a").Active, 1)
		store.broken.Store(true)
		require.NoError(t, f.Trigger(t.Context(), "a", "by-hand")) // its end changes the state
		synctest.Wait()
		close(end)
		time.Sleep(50 * time.Millisecond) // before the first retry
		store.broken.Store(false)
		time.Sleep(24 * time.Hour)
		f.close()
		require.EqualValues(t, 25, runs.Load())
	})
}

// TestDeleteWhileTheStoreFails wants the deletion to go on when the store works again.
func TestDeleteWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(fragileStore)
		f := newFixture(t, store)
		job := f.cronJob("a", "0 1 * * *")
		job.Job.Executor = batch.ExecutorFunc(untilStopped)
		require.NoError(t, f.Create(t.Context(), job))
		time.Sleep(61 * time.Minute)
		require.Len(t, f.get("a").Active, 1)
		store.broken.Store(true)
		require.ErrorIs(t, f.Delete(t.Context(), "a", batch.DeleteBackground), batch.ErrStore)
		store.broken.Store(false)
		time.Sleep(time.Minute)
		_, err := f.Get("a")
		require.ErrorIs(t, err, ErrNotFound)
		_, err = f.jobs.Get("a-15778140")
		require.ErrorIs(t, err, batch.ErrNotFound)
		f.close()
	})
}

// TestShutdownAfterTheStoreHasFailed wants what could not be stored to be stored at the
// end: the executor of the job that has begun waits for that.
func TestShutdownAfterTheStoreHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(fragileStore)
		f := newFixture(t, store)
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "0 1 * * *")))
		time.Sleep(59 * time.Minute)
		store.broken.Store(true)
		time.Sleep(time.Minute + 10*time.Millisecond)
		store.broken.Store(false)
		f.close()
		require.EqualValues(t, 1, f.runs.Load())
	})
}

// TestTriggerBesideDelete wants no job to be left of a CronJob that is gone.
func TestTriggerBesideDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, new(batchtest.MemoryStore))
		for i := range 300 {
			job := f.cronJob(fmt.Sprint("a", i), "0 1 * * *")
			job.Job.Executor = batch.ExecutorFunc(untilStopped)
			require.NoError(t, f.Create(t.Context(), job))
			var both sync.WaitGroup
			both.Go(func() { _ = f.Trigger(t.Context(), job.Name, "t-"+job.Name) }) // it may be too late
			both.Go(func() { assertNil(t, f.Delete(t.Context(), job.Name, batch.DeleteBackground)) })
			both.Wait()
		}
		time.Sleep(time.Minute)
		for s := range f.jobs.All() {
			require.Fail(t, "a job is left", s.Name)
		}
		f.close()
	})
}

func assertNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
