package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	backofftest "github.com/runtocompletion/batch/internal/backofftest"
)

// TestControllerRun wants the outcome of a job that is removed as soon as it has
// finished.
func TestControllerRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for i := range 200 {
			status, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprint("j", i), TTLAfterFinished: new(time.Duration(0)), Executor: succeed})
			require.NoError(t, err)
			require.Equal(t, "Complete", status.State())
		}
		_, err := c.Run(t.Context(), batch.Job{Name: "bad", TTLAfterFinished: new(time.Duration(0)), BackoffLimit: new(0), Executor: fails(errDisk)})
		require.ErrorIs(t, err, errDisk)
		_, err = c.Get("bad")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// TestLogsWhoseContextHasEnded wants its cause, not a log that seems to be whole.
func TestLogsWhoseContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		_, err := c.Run(t.Context(), batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			for i := range 3 {
				fmt.Fprintln(a.Stdout(), i)
			}
			return nil
		})})
		require.NoError(t, err)
		for _, follow := range []bool{false, true} {
			for end := range 4 {
				ctx, cancel := context.WithCancelCause(t.Context())
				var lines int
				var last error
				if end == 0 {
					cancel(errCause)
				}
				for _, err := range c.Logs(ctx, "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{Follow: follow}) {
					if last = err; err != nil {
						break
					}
					if lines++; lines == end {
						cancel(errCause)
					}
				}
				cancel(nil)
				require.True(t, errors.Is(last, errCause) || follow && end == 3, "follow %v, end %d: %v", follow, end, last)
			}
		}
	})
}

// TestLateErrorOfALostAttempt wants what a lost attempt returns to change nothing.
func TestLateErrorOfALostAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		release := make(chan struct{})
		mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error { <-release; return errDisk })})
		settle()
		require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, batch.ReasonDeletionByPodGC))
		before, first := c.Wait(t.Context(), "j")
		close(release)
		settle()
		after, second := c.Wait(t.Context(), "j")
		require.Equal(t, before.LastFailure, after.LastFailure)
		require.Equal(t, before.Revision, after.Revision)
		require.EqualError(t, second, first.Error())
		require.NotErrorIs(t, second, errDisk)
	})
}

// TestFarETA wants no time that has passed for what takes longer than can be said.
func TestFarETA(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(100_000_000_000), Parallelism: new(1),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error { return sleepUnlessDone(ctx, time.Second) })})
		time.Sleep(1500 * time.Millisecond)
		eta := get(t, c, "j").Progress.ETA
		require.True(t, eta.IsZero() || eta.After(time.Now()), eta)
	})
}

// TestWatcherThatIsFarBehind wants every removal to be told, however many there are.
func TestWatcherThatIsFarBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
		const n = 3000
		removed := make(map[string]bool)
		for change, err := range c.Watch(t.Context(), 0) {
			require.NoError(t, err)
			if change.Status.Name == "first" && change.Type == batch.Added {
				for i := range n {
					_, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprint("j", i), Executor: succeed})
					require.NoError(t, err)
					require.NoError(t, c.Delete(t.Context(), fmt.Sprint("j", i), batch.Background))
				}
			}
			if change.Type == batch.Deleted {
				removed[change.Status.Name] = true
			}
			if len(removed) == n {
				return
			}
		}
	})
}

// TestPermanentOfAnotherJob wants what made a nested job fail, or had failed when it
// was cancelled, not to be said by the outer executor, and an error of any package
// backoff to be.
func TestPermanentOfAnotherJob(t *testing.T) {
	nested := func(ctx context.Context) error {
		_, err := batch.Run(ctx, batch.Job{Name: "inner", Executor: fails(batch.Permanent(errDisk))})
		return err
	}
	cancelled := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
		defer cancel()
		job := batch.Job{Name: "inner", FailurePolicy: &batch.FailurePolicy{Rules: []batch.FailureRule{{Action: batch.Ignore, OnError: batch.ErrorIs(errDisk)}}},
			Executor: fails(batch.Permanent(errDisk))}
		_, err := batch.Run(ctx, job)
		return err
	}
	tests := map[string]struct {
		f    func(context.Context) error
		want int
	}{
		"a nested job has failed":    {nested, 3},
		"with text":                  {func(ctx context.Context) error { return fmt.Errorf("inner: %w", nested(ctx)) }, 3},
		"a nested job was cancelled": {cancelled, 3},
		"another package backoff": {func(context.Context) error {
			return fmt.Errorf("wrapped: %w", &backofftest.PermanentError{Err: errDisk})
		}, 1},
		"marked by the outer one": {func(ctx context.Context) error { return batch.Permanent(nested(ctx)) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				status, err := batch.Run(t.Context(), batch.Job{Name: "outer", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(0), Executor: fn(test.f)})
				require.Error(t, err)
				require.Equal(t, test.want, status.Failed)
			})
		})
	}
}

// TestZeroController wants an error from each method that has one.
func TestZeroController(t *testing.T) {
	var c batch.Controller
	ctx := t.Context()
	job := batch.Job{Name: "j", Executor: succeed}
	calls := map[string]func() error{
		"Create":        func() error { return c.Create(ctx, job) },
		"Apply":         func() error { _, err := c.Apply(ctx, job); return err },
		"Run":           func() error { _, err := c.Run(ctx, job); return err },
		"Get":           func() error { _, err := c.Get("j"); return err },
		"Job":           func() error { _, err := c.Job("j"); return err },
		"Update":        func() error { return c.Update(ctx, "j", func(*batch.Job) {}) },
		"Suspend":       func() error { return c.Suspend(ctx, "j") },
		"Delete":        func() error { return c.Delete(ctx, "j", batch.Orphan) },
		"Wait":          func() error { _, err := c.Wait(ctx, "j"); return err },
		"Attempts":      func() error { _, err := c.Attempts(t.Context(), "j"); return err },
		"Events":        func() error { _, err := c.Events(t.Context(), "j"); return err },
		"Stack":         func() error { _, err := c.Stack("j", "a"); return err },
		"DeleteAttempt": func() error { return c.DeleteAttempt(ctx, "j", "a") },
		"Disrupt":       func() error { return c.Disrupt(ctx, "j", "a", batch.ReasonDeletionByPodGC) },
		"SaveRecord":    func() error { return c.SaveRecord(ctx, "key", nil) },
		"Shutdown":      func() error { return c.Shutdown(ctx) },
		"Watch": func() (last error) {
			for _, err := range c.Watch(ctx, 0) {
				last = err
			}
			return last
		},
		"Logs": func() (last error) {
			for _, err := range c.Logs(ctx, "j", "a", batch.LogOptions{}) {
				last = err
			}
			return last
		},
	}
	for name, call := range calls {
		require.EqualError(t, call(), "batch: the controller was not made by New", name)
	}
	for range c.All() {
		t.Error("there is a job")
	}
	for range c.Records("") {
		t.Error("there is a record")
	}
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
		require.Equal(t, "1 of 1 slots busy, 1 of them not started yet: MaxActive of 1 is reached by outer (1)", get(t, c, "inner").Explain())
		require.Equal(t, "no job", batch.Status{}.String())
	})
}
