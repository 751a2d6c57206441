package batch_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestProcessExits kills the process under a job, again and again. One exit fails no job,
// however many attempts it takes along; more of them than failures are allowed do.
func TestProcessExits(t *testing.T) {
	for name, c := range map[string]struct {
		job   batch.Job
		exits int
	}{
		"by default":      {job: batch.Job{}, exits: 7},
		"none may fail":   {job: batch.Job{BackoffLimit: new(0)}, exits: 2},
		"Indexed":         {job: batch.Job{CompletionMode: batch.Indexed}, exits: 7},
		"per index":       {job: batch.Job{CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1)}, exits: 2},
		"restarts":        {job: batch.Job{RestartPolicy: batch.RestartOnFailure}, exits: 7},
		"after they stop": {job: batch.Job{ReplacementPolicy: batch.ReplaceFailed}, exits: 7},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := c.job
				job.Name, job.Parallelism, job.Completions, job.Executor = "j", new(9), new(9), untilDone
				var store disk
				first := newController(t, batch.Options{Store: &store})
				apply(t, first, job)
				settle()
				left := crash(t, first, &store)
				for n := 1; ; n++ {
					next := newController(t, batch.Options{Store: left})
					apply(t, next, job)
					time.Sleep(time.Hour)
					s := get(t, next, "j")
					require.Zero(t, s.Failed)
					if s.Finished() {
						require.Equal(t, c.exits, n)
						_, err := next.Wait(t.Context(), "j")
						failed(t, err, batch.ReasonProcessExitLimitExceeded)
						require.ErrorIs(t, err, batch.ErrDisrupted)
						return
					}
					require.Less(t, n, c.exits)
					require.Equal(t, 9, s.Ready)
					left = crash(t, next, left)
				}
			})
		})
	}
}

// TestShutdownsOutOfTime wants executors that do not return to have been taken along by
// the exit of the process: they fail no job the first time, and do in the end.
func TestShutdownsOutOfTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, release := new(batchtest.MemoryStore), make(chan struct{})
		job := batch.Job{Name: "j", Parallelism: new(5), Completions: new(5), BackoffLimit: new(2),
			TerminationGracePeriod: new(time.Second), Executor: fn(func(context.Context) error { <-release; return nil })}
		for n := 1; ; n++ {
			c, err := batch.New(t.Context(), batch.Options{Store: store, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			apply(t, c, job)
			time.Sleep(time.Hour)
			s := get(t, c, "j")
			require.Zero(t, s.Failed)
			if s.Finished() {
				require.Equal(t, 4, n, "after three exits")
				_, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonProcessExitLimitExceeded)
				require.NoError(t, c.Shutdown(t.Context()))
				close(release)
				settle()
				return
			}
			require.Less(t, n, 4)
			left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
			require.True(t, ok)
			require.Len(t, left.Attempts, 5)
			store = copyOf(t, store)
		}
	})
}
