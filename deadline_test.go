package batch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

func TestDeadline(t *testing.T) {
	tests := map[string]struct {
		job  batch.Job
		want time.Duration // 0: none
	}{
		"none":          {job: batch.Job{}, want: 0},
		"the attempt's": {job: batch.Job{AttemptTimeout: new(time.Minute)}, want: time.Minute},
		"the job's":     {job: batch.Job{ActiveDeadline: new(time.Minute)}, want: time.Minute},
		"the job's is first": {
			job: batch.Job{ActiveDeadline: new(time.Minute), AttemptTimeout: new(time.Hour)}, want: time.Minute,
		},
		"the attempt's is first": {
			job: batch.Job{ActiveDeadline: new(time.Hour), AttemptTimeout: new(time.Minute)}, want: time.Minute,
		},
	}
	for name, test := range tests {
		for _, pending := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pending: %v", name, pending), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					start := time.Now()
					run := func(ctx context.Context, a batch.Attempt) error {
						if pending {
							a.Started()
						}
						deadline, ok := ctx.Deadline()
						require.Equal(t, test.want != 0, ok)
						if ok {
							require.Equal(t, test.want, deadline.Sub(start))
						}
						return nil
					}
					test.job.Name, test.job.Executor = "j", batch.ExecutorFunc(run)
					if pending {
						test.job.Executor = pendingFunc(run)
					}
					_, err := batch.Run(t.Context(), test.job)
					require.NoError(t, err)
				})
			})
		}
	}
}

// A pending attempt's timeout has not begun to run (R231).
func TestDeadlineOfAPendingAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := batch.Run(t.Context(), batch.Job{Name: "j", AttemptTimeout: new(time.Minute), BackoffLimit: new(0),
			Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error {
				if deadline, ok := ctx.Deadline(); ok {
					return fmt.Errorf("has a deadline: %v", deadline)
				}
				return nil
			})})
		require.NoError(t, err)
	})
}

// AttemptTimeout goes on over restarts in place (R231).
func TestAttemptTimeout(t *testing.T) {
	tests := map[string]struct {
		policy  string
		execute func(ctx context.Context, a batch.Attempt) error
		took    time.Duration
		code    int
	}{
		"it returns the context's error": {execute: untilDone.Execute, took: time.Minute, code: 143},
		"it returns the cause": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return context.Cause(ctx) },
			took:    time.Minute, code: 143,
		},
		"it says that all is well": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return nil }, took: time.Minute, code: 0,
		},
		"it says something else": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return exit(9) }, took: time.Minute,
			code: 9,
		},
		"it does not listen": {execute: takes(70 * time.Second).Execute, took: 70 * time.Second, code: 0},
		"it was restarted": {
			policy:  batch.RestartOnFailure,
			execute: func(ctx context.Context, _ batch.Attempt) error { return sleep(ctx, 20*time.Second) }, took: time.Minute,
			code: 143,
		},
		"it waits for its restart": {
			policy: batch.RestartOnFailure, execute: fails(exit(3)).Execute, took: time.Minute, code: 3,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				start := time.Now()
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: test.policy, BackoffLimit: new(0),
					AttemptTimeout: new(time.Minute),
					Executor:       batch.ExecutorFunc(test.execute)})
				if test.policy == batch.RestartOnFailure { // the first restart would fail the job (R173)
					require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(100) }))
					time.Sleep(time.Second)
					require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(100) }))
				}
				time.Sleep(test.took - time.Since(start) + time.Second)
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				require.Equal(t, batch.ReasonDeadlineExceeded, a.Reason)
				require.Equal(t, start.Add(test.took), a.FinishedAt)
				require.Equal(t, test.code, *a.ExitCode)
				require.Equal(t, 1, get(t, c, "j").Failed)
				if test.policy == "" {
					_, err := c.Wait(t.Context(), "j")
					require.ErrorIs(t, failed(t, err, batch.ReasonBackoffLimitExceeded), batch.ErrAttemptTimeout)
				}
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
		"of the attempt": {job: batch.Job{AttemptTimeout: new(time.Second)}, cause: batch.ErrAttemptTimeout},
		"of the job":     {job: batch.Job{ActiveDeadline: new(time.Second)}, cause: batch.ErrJobDeadline},
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

// TestReturnAtTheDeadline wants the deadline to be taken first by an executor that returns
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

// TestReturnAtTheTimeout wants the timeout to be taken first by an executor that returns exactly
// then, with an error or without.
func TestReturnAtTheTimeout(t *testing.T) {
	for name, result := range map[string]error{"an error": os.ErrDeadlineExceeded, "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for range 50 {
					_, err := batch.Run(t.Context(), batch.Job{Name: "j", AttemptTimeout: new(time.Second), BackoffLimit: new(0),
						Executor: fn(func(ctx context.Context) error {
							deadline, _ := ctx.Deadline()
							time.Sleep(time.Until(deadline))
							return result
						})})
					require.ErrorIs(t, err, batch.ErrAttemptTimeout)
				}
			})
		})
	}
}
