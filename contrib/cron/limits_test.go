package cron

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A job that is found in the store gets all functions of its template, its keys too.
func TestLimitKeysOfAStoredJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		var running atomic.Int32
		job := CronJob{Name: "a", Schedule: "@daily", TimeZone: "UTC", Job: batch.Job{
			CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
			Limits: []string{"customer"}, LimitKey: strconv.Itoa,
			Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
				running.Add(1)
				defer running.Add(-1)
				select {
				case <-time.After(time.Hour):
				case <-ctx.Done():
				}
				return context.Cause(ctx)
			})}}
		start := func() *fixture {
			f := newFixture(t, store)
			require.NoError(t, f.jobs.SetLimit("customer", batch.Limit{Active: new(1), PerKey: true}))
			_, err := f.Apply(t.Context(), job)
			require.NoError(t, err)
			synctest.Wait()
			return f
		}
		f := start()
		time.Sleep(24*time.Hour + time.Minute)
		require.EqualValues(t, 4, running.Load())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.jobs.Shutdown(ended))

		f = start()
		time.Sleep(time.Minute)
		require.EqualValues(t, 4, running.Load(), "each index has a key of its own")
		time.Sleep(2 * time.Hour)
		f.close()
	})
}
