package cron

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestProblemOfATemplateThatWasMended wants nothing to be said of what was refused once
// the declaration is another one.
func TestProblemOfATemplateThatWasMended(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "0 1 * * *")
		job.StartingDeadline = new(10 * time.Minute)
		job.Job.Labels = map[string]string{"-bad-": "x"}
		require.NoError(t, f.Create(t.Context(), job))
		time.Sleep(2 * time.Hour)
		require.NotEmpty(t, f.get("a").Problem)
		require.NoError(t, f.Suspend(t.Context(), "a"))
		require.Contains(t, f.get("a").Explain(), "suspended")
		require.NoError(t, f.Update(t.Context(), "a", func(j *CronJob) { j.Job.Labels = nil }))
		require.Empty(t, f.get("a").Problem)
	})
}

// TestLastOfTwoOfOneName wants the end of the latest job, also if it has the name of one
// that is gone.
func TestLastOfTwoOfOneName(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "@yearly")
		fails := false
		job.Job.BackoffLimit = new(0)
		job.Job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			if fails {
				return errors.New("no")
			}
			return nil
		})
		require.NoError(t, f.Create(t.Context(), job))
		for _, want := range []string{batch.ConditionComplete, batch.ConditionFailed} {
			require.NoError(t, f.Trigger(t.Context(), "a", "now"))
			time.Sleep(time.Minute)
			require.Equal(t, want, f.get("a").Last.Condition)
			require.NoError(t, f.jobs.Delete(t.Context(), "now", batch.DeleteBackground))
			fails = true
		}
	})
}
