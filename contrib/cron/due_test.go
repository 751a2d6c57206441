package cron

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestDue: what is late is due since it should have come.
func TestDue(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "0 * * * *")
		job.ConcurrencyPolicy = Forbid
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return nil })
		require.NoError(t, f.Create(t.Context(), job))
		due := func() time.Time {
			status, err := f.Get("a")
			require.NoError(t, err)
			return status.Due
		}
		first := time.Now().Truncate(time.Hour).Add(time.Hour)
		require.WithinDuration(t, first, due(), 0)
		time.Sleep(time.Until(first.Add(150 * time.Minute)))
		require.WithinDuration(t, first.Add(time.Hour), due(), 0)
		require.NoError(t, f.Suspend(t.Context(), "a"))
		require.Zero(t, due())
		require.NoError(t, f.Delete(t.Context(), "a", batch.DeleteBackground)) // and the job, which does not end by itself
	})
}
