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

// TestSummary: it is what package page asks of what it lists.
func TestSummary(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		var summary interface {
			Summary() (name, sentence string, next []time.Time, last string)
		}
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "0 * * * *")))
		status, err := f.Get("a")
		require.NoError(t, err)
		summary = status
		name, sentence, next, last := summary.Summary()
		require.Equal(t, []any{"a", status.Explain(), status.Next, ""}, []any{name, sentence, next, last})
		require.Len(t, next, 5)
		time.Sleep(time.Until(next[0].Add(time.Minute)))
		status, err = f.Get("a")
		require.NoError(t, err)
		_, _, _, last = status.Summary()
		require.Equal(t, status.Last.Job, last)
		require.NotEmpty(t, last)
	})
}
