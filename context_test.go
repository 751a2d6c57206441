package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// runs are Run and Map of one item.
var runs = map[string]func(ctx context.Context, job batch.Job, f func(context.Context) error) error{
	"Run": func(ctx context.Context, job batch.Job, f func(context.Context) error) error {
		job.Executor = fn(f)
		_, err := batch.Run(ctx, job)
		return err
	},
	"Map": func(ctx context.Context, job batch.Job, f func(context.Context) error) error {
		_, err := batch.Map(ctx, job, []int{0}, func(ctx context.Context, _ int) (int, error) { return 0, f(ctx) })
		return err
	},
}

// TestContextOfTheCaller wants the deadline, the cause and the error of the caller's
// context inside of Run and Map, also in derived contexts.
func TestContextOfTheCaller(t *testing.T) {
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				deadline := time.Now().Add(time.Hour)
				timed, stop := context.WithDeadlineCause(t.Context(), deadline, errCause)
				defer stop()
				err := run(timed, batch.Job{Name: "j"}, func(ctx context.Context) error {
					derived, stop := context.WithCancel(ctx)
					defer stop()
					for _, ctx := range []context.Context{ctx, derived} {
						got, ok := ctx.Deadline()
						require.True(t, ok)
						require.WithinDuration(t, deadline, got, 0)
						<-ctx.Done()
						require.Equal(t, context.DeadlineExceeded, ctx.Err())
						require.ErrorIs(t, context.Cause(ctx), errCause)
						require.ErrorIs(t, context.Cause(ctx), batch.ErrShutdown)
					}
					return ctx.Err()
				})
				require.ErrorIs(t, err, errCause)
				cancelled, cancel := context.WithCancelCause(t.Context())
				err = run(cancelled, batch.Job{Name: "j"}, func(ctx context.Context) error {
					cancel(errDisk)
					<-ctx.Done()
					require.Equal(t, context.Canceled, ctx.Err())
					require.ErrorIs(t, context.Cause(ctx), errDisk)
					return ctx.Err()
				})
				require.ErrorIs(t, err, errDisk)
			})
		})
	}
}

// TestTimeoutsAreDeadlines wants DeadlineExceeded of an attempt whose time, or whose
// job's, is over, with a cause of its own.
func TestTimeoutsAreDeadlines(t *testing.T) {
	tests := map[string]struct {
		job   batch.Job
		cause error
	}{
		"of the attempt": {batch.Job{AttemptTimeout: new(time.Second)}, batch.ErrAttemptTimeout},
		"of the job":     {batch.Job{ActiveDeadline: new(time.Second)}, batch.ErrJobDeadline},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				test.job.Name, test.job.BackoffLimit = "j", new(0)
				test.job.Executor = fn(func(ctx context.Context) error {
					derived, stop := context.WithTimeout(ctx, time.Hour)
					defer stop()
					for _, ctx := range []context.Context{ctx, derived} {
						<-ctx.Done()
						require.Equal(t, context.DeadlineExceeded, ctx.Err())
						require.ErrorIs(t, context.Cause(ctx), test.cause)
						require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
						require.Equal(t, test.cause == batch.ErrJobDeadline, errors.Is(context.Cause(ctx), batch.ErrJobFinished))
					}
					return ctx.Err()
				})
				_, err := batch.Run(t.Context(), test.job)
				require.Error(t, err)
				require.Equal(t, test.cause == batch.ErrAttemptTimeout, errors.Is(err, context.DeadlineExceeded))
			})
		})
	}
}

// TestReturnAtTheDeadline wants the deadline to be taken first by whoever returns
// exactly then.
func TestReturnAtTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for range 50 {
			_, err := batch.Run(t.Context(), batch.Job{Name: "j", ActiveDeadline: new(time.Second), BackoffLimit: new(0),
				Executor: fn(func(ctx context.Context) error {
					deadline, _ := ctx.Deadline()
					time.Sleep(time.Until(deadline))
					return context.DeadlineExceeded
				})})
			failed(t, err, batch.ReasonDeadlineExceeded)
		}
	})
}

func TestDeadlineFollowsAnUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		look, deadlines := make(chan struct{}), make(chan time.Time)
		mustCreate(t, c, batch.Job{Name: "j", ActiveDeadline: new(time.Minute), Executor: fn(func(ctx context.Context) error {
			for range look {
				deadline, _ := ctx.Deadline()
				deadlines <- deadline
			}
			return nil
		})})
		look <- struct{}{}
		require.WithinDuration(t, start.Add(time.Minute), <-deadlines, time.Millisecond)
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.ActiveDeadline = new(time.Hour) }))
		look <- struct{}{}
		require.WithinDuration(t, start.Add(time.Hour), <-deadlines, time.Millisecond)
		close(look)
	})
}

// TestContextEndsDuringRetries wants both the cause and the last error, with the name
// of the job.
func TestContextEndsDuringRetries(t *testing.T) {
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
				defer cancel()
				err := run(
					ctx, batch.Job{Name: "j", Backoff: batch.ConstantBackoff(time.Hour)},
					func(context.Context) error { return errDisk },
				)
				require.ErrorIs(t, err, errCause)
				require.ErrorIs(t, err, errDisk)
				require.ErrorContains(t, err, `job "j"`)
			})
		})
	}
}
