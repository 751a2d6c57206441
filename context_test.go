package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func TestWhyAContextEnds(t *testing.T) {
	for name, stop := range stops {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, asked before: %v", name, early), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testCause(t, stop.cause, stop.do, early) })
			})
		}
	}
}

// stops are the ways in which an attempt of job "j" is asked to stop, each by
// the cause that its context then has. The job has two attempts at once.
var stops = map[string]struct {
	cause error
	do    func(ctx context.Context, c *batch.Controller, attempt string) error
}{
	"a user deletes it": {
		cause: batch.ErrDeleted, do: func(ctx context.Context, c *batch.Controller, attempt string) error {
			return c.DeleteAttempt(ctx, "j", attempt)
		},
	},
	"its job is deleted": {cause: batch.ErrDeleted, do: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "j", batch.DeleteBackground)
	}},
	"its job is being deleted": {
		cause: batch.ErrDeleted, do: func(ctx context.Context, c *batch.Controller, _ string) error {
			return c.Delete(ctx, "j", batch.DeleteForeground)
		},
	},
	"its job fails": {cause: batch.ErrJobFinished, do: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "j", func(j *batch.Job) { j.ActiveDeadline = new(time.Nanosecond) })
	}},
	"its job is suspended": {
		cause: batch.ErrSuspended, do: func(ctx context.Context, c *batch.Controller, _ string) error {
			return c.Suspend(ctx, "j")
		},
	},
	"its job needs none": {cause: batch.ErrScaledDown, do: func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "j", func(j *batch.Job) { j.Parallelism = new(0) })
	}},
	"its index is cut off": {
		cause: batch.ErrScaledDown, do: func(ctx context.Context, c *batch.Controller, _ string) error {
			return c.Update(ctx, "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(0), new(0) })
		},
	},
	"it is evicted": {cause: batch.ErrDisrupted, do: func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "EvictionByEvictionAPI")
	}},
	"it is killed": {cause: batch.ErrDisrupted, do: func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "TerminationByKubelet")
	}},
	"it is lost": {cause: batch.ErrDisrupted, do: func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "DeletionByPodGC")
	}},
	"its time is over": {cause: batch.ErrAttemptTimeout, do: func(context.Context, *batch.Controller, string) error {
		time.Sleep(time.Hour)
		return nil
	}},
	"the controller is shut down": {
		cause: batch.ErrShutdown, do: func(ctx context.Context, c *batch.Controller, _ string) error {
			return c.Shutdown(ended(errDisk))
		},
	},
}

// testCause stops the attempt of index 0. Its executor looks at its context
// before that, or only when it is over.
func testCause(t *testing.T, cause error, stop func(context.Context, *batch.Controller, string) error, early bool) {
	c := newController(t, batch.Options{})
	look := make(chan struct{})
	var causes, after atomic.Int32
	mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
		AttemptTimeout: new(time.Hour), TerminationGracePeriod: new(time.Minute),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if !early {
				<-look
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			context.AfterFunc(child, func() { after.Add(1) })
			if early && a.Index == 0 && a.Number == 0 && (child.Err() != nil || context.Cause(child) != nil) {
				t.Errorf("the context is done too early: %v", context.Cause(child))
			}
			<-child.Done()
			if a.Index == 0 && a.Number == 0 {
				for _, ctx := range []context.Context{ctx, child, context.WithoutCancel(ctx)} {
					if errors.Is(context.Cause(ctx), cause) {
						causes.Add(1)
					}
				}
			}
			return ctx.Err()
		})})
	synctest.Wait()
	attempt := attemptsOf(t, c, "j")[0].Name
	done := make(chan error, 1)
	go func() { done <- stop(t.Context(), c, attempt) }()
	if cause == batch.ErrAttemptTimeout {
		time.Sleep(time.Hour)
	}
	synctest.Wait()
	close(look)
	require.NoError(t, <-done)
	settle()
	require.EqualValues(t, 2, causes.Load(), "contexts with that cause")
	require.NotZero(t, after.Load(), "functions called after the end")
}

func TestContextBelongsToTheAttempt(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		start := time.Now()
		ctx := context.WithValue(t.Context(), key{}, "value")
		var child, background context.Context
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1),
			AttemptTimeout: new(time.Minute), ActiveDeadline: new(time.Hour), BackoffLimit: new(0),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				require.Equal(t, "value", ctx.Value(key{}))
				require.Nil(t, ctx.Value("another"))
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, start.Add(time.Minute), deadline)
				var cancel context.CancelFunc
				child, cancel = context.WithTimeout(ctx, time.Hour)
				t.Cleanup(cancel) // but the attempt's end comes first
				background = ctx
				deadline, _ = child.Deadline()
				require.Equal(t, start.Add(time.Minute), deadline, "the child's is no later")
				found, ok := batch.AttemptFrom(child)
				require.True(t, ok)
				require.Equal(t, a, found)
				require.NoError(t, child.Err())
				return nil
			})}
		_, err := batch.Run(ctx, job)
		require.NoError(t, err)
		require.ErrorIs(t, context.Cause(child), batch.ErrAttemptEnded)
		require.ErrorIs(t, context.Cause(background), batch.ErrAttemptEnded)
		require.Equal(t, context.Canceled, background.Err())
		require.Equal(t, "value", background.Value(key{}))

		_, ok := batch.AttemptFrom(t.Context())
		require.False(t, ok)
	})
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

// TestBaseContext wants its values in the contexts of attempts, and not its end.
func TestBaseContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		base, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		defer cancel()
		c := newController(t, batch.Options{BaseContext: base})
		_, err := c.Run(t.Context(), batch.Job{Name: "a", Executor: fn(func(ctx context.Context) error {
			_, hasDeadline := ctx.Deadline()
			time.Sleep(time.Minute)
			if ctx.Value(key{}) != "value" || ctx.Err() != nil || hasDeadline {
				return errors.New("another context")
			}
			return nil
		})})
		require.NoError(t, err)
	})
}

// TestBaseContextOfRun wants the values of both contexts in attempts, first those of the
// caller, and neither the end nor the cause of the base.
func TestBaseContextOfRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key string
		base := context.WithValue(context.WithValue(ended(errCause), key("a"), "base"), key("b"), "base")
		ctx := context.WithValue(t.Context(), key("a"), "caller")
		_, err := batch.Options{BaseContext: base}.Run(ctx, batch.Job{Name: "j", Executor: fn(
			func(ctx context.Context) error {
				if ctx.Value(key("a")) != "caller" || ctx.Value(key("b")) != "base" || context.Cause(ctx) != nil {
					return errors.New("another context")
				}
				return nil
			})})
		require.NoError(t, err)
	})
}
