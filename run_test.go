package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestControllerRun wants the outcome of a job that is removed as soon as it has
// finished.
func TestControllerRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for i := range 200 {
			status, err := c.Run(t.Context(), batch.Job{
				Name: fmt.Sprint("j", i), TTLAfterFinished: new(time.Duration(0)), Executor: succeed,
			})
			require.NoError(t, err)
			require.Equal(t, "Complete", status.State())
		}
		_, err := c.Run(t.Context(), batch.Job{
			Name: "bad", TTLAfterFinished: new(time.Duration(0)), BackoffLimit: new(0), Executor: fails(errDisk),
		})
		require.ErrorIs(t, err, errDisk)
		_, err = c.Get("bad")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// TestFarETA wants no time that has passed for what takes longer than can be said.
func TestFarETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(100_000_000_000),
			Parallelism: new(1),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				return sleepUnlessDone(ctx, time.Second)
			})})
		time.Sleep(1500 * time.Millisecond)
		eta := get(t, c, "j").Progress.ETA
		require.True(t, eta.IsZero() || eta.After(time.Now()), eta)
	})
}

// TestExplainNamesWhoHoldsTheSlots wants an executor that waits for another job under
// MaxActive to be found out.
func TestExplainNamesWhoHoldsTheSlots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		mustCreate(t, c, batch.Job{Name: "outer", Executor: fn(func(ctx context.Context) error {
			_, err := c.Run(ctx, batch.Job{Name: "inner", Executor: succeed})
			return err
		})})
		settle()
		require.Equal(
			t, "1 of 1 slots busy, 1 of them not started yet: MaxActive of 1 is reached by outer (1)",
			get(t, c, "inner").Explain(),
		)
		require.Equal(t, "no job", batch.Status{}.String())
	})
}
