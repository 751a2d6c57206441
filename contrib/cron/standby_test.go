package cron_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/cron"
)

// Of two processes, one creates the jobs of a CronJob. When it loses its claim its
// controller stops, and the other one goes on: no time comes twice.
func TestStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store losable
		var runs atomic.Int32
		job := cron.CronJob{Name: "hourly", Schedule: "0 * * * *", TimeZone: "UTC"}
		job.Job.TTLAfterFinished = new(time.Minute)
		job.Job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { runs.Add(1); return nil })
		replica := func() *batch.Controller {
			b, err := batch.New(t.Context(), batch.Options{Store: &store, Standby: true})
			require.NoError(t, err)
			return b
		}
		work := func(b *batch.Controller) *cron.Controller {
			c, err := cron.New(b, cron.Options{})
			require.NoError(t, err)
			_, err = c.Apply(t.Context(), job)
			require.NoError(t, err)
			return c
		}
		first := replica()
		works := work(first)
		second := replica()
		_, err := cron.New(second, cron.Options{})
		require.ErrorIs(t, err, batch.ErrStoreInUse)

		time.Sleep(150 * time.Minute)
		require.EqualValues(t, 2, runs.Load())
		store.lose(batch.ErrStoreInUse)
		require.NoError(t, second.Claimed(t.Context()))
		synctest.Wait()
		late := cron.CronJob{Name: "late", Schedule: "@daily", Job: job.Job}
		require.ErrorIs(t, works.Create(t.Context(), late), cron.ErrShutdown)
		goesOn := work(second)
		time.Sleep(160 * time.Minute)
		require.EqualValues(t, 5, runs.Load())
		require.NoError(t, works.Shutdown(t.Context()))
		require.NoError(t, goesOn.Shutdown(t.Context()))
		require.NoError(t, second.Shutdown(t.Context()))
		require.NoError(t, first.Shutdown(t.Context()))
	})
}

// A losable store loses its claim when it is told to.
type losable struct {
	batchtest.MemoryStore

	mu      sync.Mutex // guards the fields below
	cancel  context.CancelCauseFunc
	release func()
}

func (l *losable) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	held, release, err := l.MemoryStore.Claim(ctx, wait)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held, l.cancel = context.WithCancelCause(held)
	l.release = sync.OnceFunc(release)
	return held, l.release, nil
}

// lose lets others have the store, and only then its holder know.
func (l *losable) lose(cause error) {
	l.mu.Lock()
	cancel, release := l.cancel, l.release
	l.mu.Unlock()
	release()
	synctest.Wait()
	cancel(cause)
}
