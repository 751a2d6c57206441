package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// eventful is a job of which indexes 1 and 3 fail until they are repaired.
func eventful(repaired *bool) batch.Job {
	return batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(2),
		BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index%2 == 1 && !*repaired {
				return errFull
			}
			return lasts(ctx, time.Second)
		})}
}

// lead has a job fail, run again for what is missing while an index is cancelled, run
// again as a whole, and be cancelled.
func lead(t *testing.T, c *batch.Controller) {
	repaired := false
	apply(t, c, eventful(&repaired))
	_, err := c.Wait(t.Context(), "j")
	failed(t, err, batch.ReasonFailedIndexes)
	repaired = true
	again(t, c, "j", true)
	synctest.Wait()
	require.NoError(t, c.Cancel(t.Context(), "j", errCause, 3))
	status, err := c.Wait(t.Context(), "j")
	failed(t, err, batch.ReasonFailedIndexes)
	require.Equal(t, "0-2", status.CompletedIndexes.String())
	again(t, c, "j", false)
	synctest.Wait()
	require.NoError(t, c.Cancel(t.Context(), "j", errCause))
	_, err = c.Wait(t.Context(), "j")
	require.ErrorIs(t, err, errCause)
}

// Whenever the process ends in such a life, the job is where it was, and comes to an end.
func TestCrashesAroundAgainAndCancel(t *testing.T) {
	var store disk
	bubble(t, func(t *testing.T) { lead(t, newController(t, batch.Options{Store: &store})) })
	require.Greater(t, len(store.commits), 8)
	run, completed := 0, 0
	for n := range len(store.commits) + 1 {
		bubble(t, func(t *testing.T) {
			var left batchtest.MemoryStore
			restore(t, &left, store.commits[:n])
			c := newController(t, batch.Options{Store: &left})
			found, err := c.Get("j")
			if err != nil {
				require.ErrorIs(t, err, batch.ErrNotFound)
				require.Zero(t, run, "it is lost after %d commits", n)
				return
			}
			require.NoError(t, batch.Check(c, "j"))
			require.GreaterOrEqual(t, found.Run, run)
			if found.Run == run {
				require.GreaterOrEqual(t, found.Succeeded, completed)
			}
			run, completed = found.Run, found.Succeeded
			apply(t, c, eventful(new(true)))
			status, err := c.Wait(t.Context(), "j")
			require.Equal(t, run, status.Run)
			if !found.Finished() && err == nil {
				require.Equal(t, "0-3", status.CompletedIndexes.String())
			}
			require.Equal(t, run+1, again(t, c, "j", err != nil).Run)
			require.Equal(t, "0-3", complete(t, c, "j").CompletedIndexes.String())
			require.NoError(t, batch.Check(c, "j"))
		})
	}
	require.Equal(t, 3, run)
}
