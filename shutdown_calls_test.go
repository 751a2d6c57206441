package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// slowBackoff is one whose delays are found when release is closed.
func slowBackoff(release <-chan struct{}) batch.Backoff {
	return batch.BackoffFunc(func() backoff.BackOff {
		<-release
		return &backoff.ZeroBackOff{}
	})
}

// TestNothingStartsAfterShutdown lets each call that can start something run against
// Shutdown: once that has returned nil, neither an executor nor a log handler is
// called.
func TestNothingStartsAfterShutdown(t *testing.T) {
	job := func(name string, called func()) batch.Job {
		return batch.Job{Name: name, Parallelism: new(2), Completions: new(1000), Executor: fn(func(context.Context) error {
			called()
			return nil
		})}
	}
	calls := map[string]func(c *batch.Controller, i int, called func()) error{
		"Create": func(c *batch.Controller, i int, called func()) error {
			return c.Create(context.Background(), job(fmt.Sprint("new-", i), called))
		},
		"Apply": func(c *batch.Controller, i int, called func()) error {
			_, err := c.Apply(context.Background(), job(fmt.Sprint("new-", i), called))
			return err
		},
		"Resume": func(c *batch.Controller, _ int, _ func()) error {
			return errors.Join(c.Resume(context.Background(), "old"), c.Suspend(context.Background(), "old"))
		},
		"Delete": func(c *batch.Controller, i int, _ func()) error {
			return c.Delete(context.Background(), fmt.Sprint("left-", i), batch.DeleteBackground)
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			for try := range 40 {
				callAgainstShutdown(t, job, call, try)
			}
		})
	}
}

func callAgainstShutdown(t *testing.T, job func(string, func()) batch.Job,
	call func(*batch.Controller, int, func()) error, try int) {
	var isDown, isLate atomic.Bool
	called := func() {
		if isDown.Load() {
			isLate.Store(true)
		}
	}
	c, err := batch.New(t.Context(), batch.Options{Logger: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int,
		error) {
		called()
		return len(p), nil
	}), nil))})

	require.NoError(t, err)
	suspended := job("old", called)
	suspended.Suspend = true
	mustCreate(t, c, suspended)
	for i := range 10 {
		left := suspended
		left.Name = fmt.Sprint("left-", i)
		mustCreate(t, c, left)
	}
	var calling sync.WaitGroup
	calling.Go(func() {
		for i := 0; i < 10 && call(c, i, called) == nil; i++ {
		}
	})
	for range try % 20 {
		runtime.Gosched()
	}
	require.NoError(t, c.Shutdown(ended(errCause)))
	isDown.Store(true)
	calling.Wait()
	runtime.Gosched()
	require.False(t, isLate.Load())
}

// A writerFunc is a Write method.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestDeletedAttemptWithALargeDirectory wants no attempt to begin when a directory
// has been removed after Shutdown.
func TestDeletedAttemptWithALargeDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	failed := make(chan struct{})
	var isDown atomic.Bool
	var calls atomic.Int64
	mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
		RestartBackoff: batch.ConstantBackoff(time.Hour),
		Backoff:        batch.ConstantBackoff(0), Executor: batch.ExecutorFunc(func(ctx context.Context,
			a batch.Attempt) error {
			if isDown.Load() {
				t.Error("an attempt has begun after Shutdown")
			}
			if calls.Add(1) > 1 {
				<-ctx.Done()
				return nil
			}
			defer close(failed)
			return errors.Join(errDisk, fillDir(a, 3000))
		})})
	<-failed
	attempt := attemptsOf(t, c, "j")[0].Name
	for attemptsOf(t, c, "j")[0].RestartAt.IsZero() {
		runtime.Gosched()
	}
	require.NoError(t, c.DeleteAttempt(t.Context(), "j", attempt))
	require.NoError(t, c.Shutdown(ended(errCause)))
	isDown.Store(true)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

// fillDir makes files in an attempt's directory.
func fillDir(a batch.Attempt, files int) error {
	dir, err := a.Dir()
	for i := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
	}
	return err
}

// TestShutdownByAnExecutor wants an executor to learn at once that it cannot wait for
// itself, and that it may shut down what is not its own.
func TestShutdownByAnExecutor(t *testing.T) {
	contexts := map[string]func(ctx context.Context) context.Context{
		"with its context":      func(ctx context.Context) context.Context { return ctx },
		"with a derived one":    func(ctx context.Context) context.Context { return context.WithValue(ctx, errCause, 1) },
		"with any other one":    func(context.Context) context.Context { return context.Background() },
		"with one that is over": func(context.Context) context.Context { return ended(errCause) },
	}
	for name, with := range contexts {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				status, err := c.Run(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0),
					Executor: fn(func(ctx context.Context) error {
						other, err := batch.New(t.Context(), batch.Options{})
						return errors.Join(err, other.Shutdown(ctx), c.Shutdown(with(ctx)))
					})})
				require.ErrorContains(
					t, err, "batch: shutdown by an executor or receiver of the controller: it would wait for itself",
				)
				require.Equal(t, "Failed", status.State())
				mustCreate(t, c, batch.Job{Name: "it-goes-on", Executor: succeed})
			})
		})
	}
}

// TestShutdownReportsCalls wants a back-off that does not return to be reported, and
// to hold no slot meanwhile.
func TestShutdownReportsCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c, err := batch.New(t.Context(), batch.Options{MaxActive: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "slow", Backoff: slowBackoff(release), Executor: fails(errDisk)})
		synctest.Wait()
		_, err = c.Run(t.Context(), batch.Job{Name: "other", Executor: succeed})
		require.NoError(t, err)
		left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
		require.True(t, ok)
		require.Equal(t, 1, left.Calls)
		require.Empty(t, left.Attempts)
		close(release)
		synctest.Wait()
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// TestNothingOfARunningJobStartsAfterShutdown lets the calls that end an attempt, or
// make room for one, run against Shutdown, while attempts are retried without a delay.
func TestNothingOfARunningJobStartsAfterShutdown(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *batch.Controller){
		"DeleteAttempt": func(ctx context.Context, c *batch.Controller) {
			for _, a := range attemptsIfAny(c, "busy") {
				_ = c.DeleteAttempt(ctx, "busy", a.Name) // it may have ended
			}
		},
		"Disrupt": func(ctx context.Context, c *batch.Controller) {
			for _, a := range attemptsIfAny(c, "busy") {
				_ = c.Disrupt(ctx, "busy", a.Name, "DeletionByPodGC") // it may have ended
			}
		},
		"Update": func(ctx context.Context, c *batch.Controller) {
			for n := range 5 {
				_ = c.Update(ctx, "busy", func(j *batch.Job) { j.Parallelism = new(n) })
			}
		},
		"Cancel": func(ctx context.Context, c *batch.Controller) { _ = c.Cancel(ctx, "busy", errCause) },
		"Again": func(ctx context.Context, c *batch.Controller) {
			_, _ = c.Again(ctx, "over", false)
		},
		"Run": func(ctx context.Context, c *batch.Controller) {
			_, _ = c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
		},
	}
	for name, call := range calls {
		for _, limit := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				for range 30 {
					bubble(t, func(t *testing.T) { busyAgainstShutdown(t, call, limit) })
				}
			})
		}
	}
}

func busyAgainstShutdown(t *testing.T, call func(context.Context, *batch.Controller), limit int) {
	var isDown atomic.Bool
	c := newController(t, batch.Options{MaxActive: limit, Logger: slog.New(slog.DiscardHandler),
		Wrap: func(next batch.Executor) batch.Executor {
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if isDown.Load() {
					t.Errorf("%s runs after Shutdown", a.Name())
				}
				return next.Execute(ctx, a)
			})
		}})
	mustCreate(t, c, batch.Job{Name: "over", Executor: succeed})
	complete(t, c, "over")
	var calls atomic.Int64
	mustCreate(t, c, batch.Job{Name: "busy", Parallelism: new(3), Completions: new(1 << 30), BackoffLimit: new(1 << 30),
		Backoff: batch.ConstantBackoff(0), Executor: fn(func(ctx context.Context) error {
			switch calls.Add(1) % 3 {
			case 0:
				<-ctx.Done()
				return ctx.Err()
			case 1:
				return errDisk
			}
			return nil
		})})
	var calling sync.WaitGroup
	calling.Go(func() {
		for range 10 {
			call(context.Background(), c)
		}
	})
	require.NoError(t, c.Shutdown(ended(errCause)))
	isDown.Store(true)
	calling.Wait()
	synctest.Wait()
}

// TestShutdownReportsEachBackoff wants back-offs of all kinds that do not return to be
// reported, and to hold no slot meanwhile.
func TestShutdownReportsEachBackoff(t *testing.T) {
	for name, job := range map[string]func(b batch.Backoff) batch.Job{
		"of an index": func(b batch.Backoff) batch.Job {
			return batch.Job{Backoff: b, CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(1),
				BackoffLimitPerIndex: new(3)}
		},
		"of restarts": func(b batch.Backoff) batch.Job {
			return batch.Job{RestartBackoff: b, RestartPolicy: batch.RestartOnFailure}
		},
		"asked a second time": func(b batch.Backoff) batch.Job {
			calls := 0
			return batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration {
					if calls++; calls > 1 {
						b.BackOff()
					}
					return 0
				})
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				c, err := batch.New(t.Context(), batch.Options{MaxActive: 1, Logger: slog.New(slog.DiscardHandler)})
				require.NoError(t, err)
				slow := job(slowBackoff(release))
				slow.Name, slow.Executor = "slow", fails(errDisk)
				mustCreate(t, c, slow)
				synctest.Wait()
				_, err = c.Run(t.Context(), batch.Job{Name: "other", Executor: succeed})
				require.NoError(t, err)
				left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
				require.True(t, ok)
				require.Empty(t, left.Attempts)
				require.EqualError(
					t, left, "batch: other functions, or removals of directories, that have not returned: 1",
				)
				close(release)
				synctest.Wait()
				require.NoError(t, c.Shutdown(t.Context()))
			})
		})
	}
}
