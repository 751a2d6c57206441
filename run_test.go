package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestRun(t *testing.T) {
	tests := map[string]struct {
		job    batch.Job
		within time.Duration // of the context; 0: long
		state  string
		reason string
		err    error
	}{
		"it completes": {batch.Job{Executor: succeed}, 0, "Complete", "", nil},
		"it fails": {
			batch.Job{BackoffLimit: new(1), Executor: fails(errDisk)}, 0, "Failed", batch.ReasonBackoffLimitExceeded, errDisk,
		},
		"it needs nothing": {batch.Job{Completions: new(0), Executor: fails(errDisk)}, 0, "Complete", "", nil},
		"it has no time": {
			batch.Job{ActiveDeadline: new(time.Duration(0)), Executor: fails(errDisk)}, 0, "Failed",
			batch.ReasonDeadlineExceeded, nil,
		},
		"it is removed at once": {
			batch.Job{TTLAfterFinished: new(time.Duration(0)), Executor: succeed}, 0, "Complete", "", nil,
		},
		"it fails and is removed": {
			batch.Job{TTLAfterFinished: new(time.Duration(0)), BackoffLimit: new(0), Executor: fails(errDisk)}, 0, "Failed",
			batch.ReasonBackoffLimitExceeded, errDisk,
		},
		"its context ends": {batch.Job{Executor: untilDone}, time.Minute, "Running", "", errCause},
		"it succeeds when cancelled": {
			batch.Job{Executor: fn(func(ctx context.Context) error { <-ctx.Done(); return nil })}, time.Minute, "Running", "",
			errCause,
		},
		"its context ends in a wait": {
			batch.Job{Backoff: batch.ConstantBackoff(time.Hour), Executor: fails(errDisk)}, time.Minute, "Running", "", errCause,
		},
		"it was suspended": {batch.Job{Suspend: true, Executor: succeed}, time.Minute, "Suspended", "", errCause},
		"it is paused":     {batch.Job{Parallelism: new(0), Executor: succeed}, time.Minute, "Running", "", errCause},
		"it is another's": {
			batch.Job{ManagedBy: new("example.com/other"), Executor: succeed}, time.Minute, "Running", "", errCause,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 24*time.Hour, errors.New("it never ends"))
				defer cancel()
				if test.within > 0 {
					ctx, cancel = context.WithTimeoutCause(t.Context(), test.within, errCause)
					defer cancel()
				}
				test.job.Name = "j"
				status, err := batch.Run(ctx, test.job)
				require.Equal(t, test.state, status.State())
				require.Zero(t, status.Active+status.Terminating)
				if test.reason == "" {
					require.ErrorIs(t, err, test.err)
				} else {
					failed(t, err, test.reason)
					require.True(t, test.err == nil || errors.Is(err, test.err))
				}
			})
		})
	}
}

func TestRunDoesNotBegin(t *testing.T) {
	status, err := batch.Run(t.Context(), batch.Job{Name: "j"})
	_, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok)
	require.Zero(t, status)
	_, err = batch.Run(ended(errCause), batch.Job{Name: "j",
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			t.Error("it ran")
			return nil
		})})
	require.ErrorIs(t, err, errCause)
}

func TestRunAbandons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		status, err := batch.Run(ctx, batch.Job{
			Name: "j", TerminationGracePeriod: new(time.Minute),
			Executor: fn(func(context.Context) error { <-release; return nil }),
		})
		require.ErrorIs(t, err, errCause)
		_, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok)
		require.Equal(t, 1, status.Terminating)
		require.WithinDuration(t, start.Add(2*time.Minute), time.Now(), time.Second)
		close(release)
	})
}

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
