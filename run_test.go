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

var runTests = map[string]struct {
	job    batch.Job
	within time.Duration // of the context; 0: long
	state  string
	reason string
	err    error
}{
	"it completes": {job: batch.Job{Executor: succeed}, within: 0, state: "Complete"},
	"it fails": {
		job: batch.Job{BackoffLimit: new(1), Executor: fails(errDisk)}, within: 0, state: "Failed",
		reason: batch.ReasonBackoffLimitExceeded, err: errDisk,
	},
	"it needs nothing": {job: batch.Job{Completions: new(0), Executor: fails(errDisk)}, within: 0, state: "Complete"},
	"it has no time": {
		job: batch.Job{ActiveDeadline: new(time.Duration(0)), Executor: fails(errDisk)}, within: 0, state: "Failed",
		reason: batch.ReasonDeadlineExceeded,
	},
	"it is removed at once": {
		job: batch.Job{TTLAfterFinished: new(time.Duration(0)), Executor: succeed}, within: 0, state: "Complete",
	},
	"it fails and is removed": {
		job: batch.Job{TTLAfterFinished: new(time.Duration(0)), BackoffLimit: new(0), Executor: fails(errDisk)}, within: 0,
		state: "Failed", reason: batch.ReasonBackoffLimitExceeded, err: errDisk,
	},
	"its context ends": {job: batch.Job{Executor: untilDone}, within: time.Minute, state: "Running", err: errCause},
	"it succeeds when cancelled": {
		job: batch.Job{Executor: fn(func(ctx context.Context) error { <-ctx.Done(); return nil })}, within: time.Minute,
		state: "Running", err: errCause,
	},
	"its context ends in a wait": {
		job: batch.Job{Backoff: batch.ConstantBackoff(time.Hour), Executor: fails(errDisk)}, within: time.Minute,
		state: "Running", err: errCause,
	},
	"it was suspended": {
		job: batch.Job{Suspend: true, Executor: succeed}, within: time.Minute, state: "Suspended", err: errCause,
	},
	"it is paused": {
		job: batch.Job{Parallelism: new(0), Executor: succeed}, within: time.Minute, state: "Running", err: errCause,
	},
	"it is another's": {
		job: batch.Job{ManagedBy: new("example.com/other"), Executor: succeed}, within: time.Minute, state: "Running",
		err: errCause,
	},
}

func TestRun(t *testing.T) {
	for name, test := range runTests {
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
