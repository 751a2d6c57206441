package batch_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// Run by options logs everything before it returns, and says which option is bad.
func TestOptionsRun(t *testing.T) {
	job := batch.Job{Name: "j", BackoffLimit: new(0), Executor: fails(errCause)}
	bubble(t, func(t *testing.T) {
		var logged lockedBuffer
		o := batch.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}
		_, err := o.Run(t.Context(), job)
		require.ErrorIs(t, err, errCause)
		for _, message := range []string{"job created", "attempt failed", "job finished"} {
			require.Contains(t, logged.String(), message)
		}
	})
	_, err := batch.Options{Store: new(batchtest.MemoryStore)}.Run(t.Context(), job)
	require.EqualError(t, err, "batch: Options.Store: must be nil for Run, which keeps nothing")
	_, err = batch.Options{MaxActive: -1}.Run(t.Context(), job)
	require.EqualError(t, err, "batch: Options.MaxActive: -1: must not be negative")
}
