package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	backofftest "github.com/runtocompletion/batch/internal/backofftest"
)

type method = func(ctx context.Context, c *batch.Controller, job string) error

var changingMethods = map[string]method{
	"Create": func(ctx context.Context, c *batch.Controller, job string) error {
		return c.Create(ctx, batch.Job{Name: job, Executor: succeed})
	},
	"Update": func(ctx context.Context, c *batch.Controller, job string) error {
		return c.Update(ctx, job, func(j *batch.Job) { j.Parallelism = new(7) })
	},
	"Suspend": func(ctx context.Context, c *batch.Controller, job string) error { return c.Suspend(ctx, job) },
	"Resume":  func(ctx context.Context, c *batch.Controller, job string) error { return c.Resume(ctx, job) },
	"Delete": func(ctx context.Context, c *batch.Controller, job string) error {
		return c.Delete(ctx, job, batch.DeleteBackground)
	},
	"DeleteAttempt": func(ctx context.Context, c *batch.Controller, job string) error {
		return c.DeleteAttempt(ctx, job, "attempt")
	},
	"Disrupt": func(ctx context.Context, c *batch.Controller, job string) error {
		return c.Disrupt(ctx, job, "attempt", "EvictionByEvictionAPI")
	},
	"Cancel": func(ctx context.Context, c *batch.Controller, job string) error { return c.Cancel(ctx, job, errCause) },
	"Again": func(ctx context.Context, c *batch.Controller, job string) error {
		_, err := c.Again(ctx, job, false)
		return err
	},
}

var readingMethods = map[string]method{
	"Get": func(_ context.Context, c *batch.Controller, job string) error { _, err := c.Get(job); return err },
	"Job": func(_ context.Context, c *batch.Controller, job string) error { _, err := c.Job(job); return err },
	"Attempts": func(ctx context.Context, c *batch.Controller, job string) error {
		_, err := c.Attempts(ctx, job)
		return err
	},
	"Events": func(ctx context.Context, c *batch.Controller, job string) error {
		_, err := c.Events(ctx, job)
		return err
	},
	"Wait": func(ctx context.Context, c *batch.Controller, job string) error {
		_, err := c.Wait(ctx, job)
		return err
	},
	"Logs": func(ctx context.Context, c *batch.Controller, job string) (err error) {
		for _, e := range c.Logs(ctx, job, "attempt", -1, false) {
			err = e
		}
		return err
	},
}

// What every method that can fail answers, and that nothing is half done then.
func TestMethodErrors(t *testing.T) {

	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "there", Suspend: true, Executor: succeed})
		before := get(t, c, "there")
		for _, calls := range []map[string]method{changingMethods, readingMethods} {
			for name, method := range calls {
				if name != "Create" {
					require.ErrorIs(t, method(t.Context(), c, "missing"), batch.ErrNotFound, name)
				}
			}
		}
		for name, method := range changingMethods {
			require.ErrorIs(t, method(ended(errCause), c, "there"), errCause, name)
		}
		require.ErrorIs(t, changingMethods["Create"](ended(errCause), c, "fresh"), errCause)
		require.ErrorIs(t, readingMethods["Wait"](ended(errCause), c, "there"), errCause)
		require.ErrorIs(t, changingMethods["Create"](t.Context(), c, "there"), batch.ErrExists)
		require.ErrorIs(t, changingMethods["DeleteAttempt"](t.Context(), c, "there"), batch.ErrNotFound)

		require.NoError(t, c.Shutdown(t.Context()))
		for name, method := range changingMethods {
			require.ErrorIs(t, method(t.Context(), c, "there"), batch.ErrShutdown, name)
		}
		require.ErrorIs(t, changingMethods["Create"](t.Context(), c, "fresh"), batch.ErrShutdown)
		require.ErrorIs(t, readingMethods["Wait"](t.Context(), c, "there"), batch.ErrShutdown)
		for _, name := range []string{"Get", "Job", "Attempts", "Events"} {
			require.NoError(t, readingMethods[name](t.Context(), c, "there"), name)
			require.ErrorIs(t, readingMethods[name](t.Context(), c, "missing"), batch.ErrNotFound, name)
		}
		_, err := c.Get("fresh")
		require.ErrorIs(t, err, batch.ErrNotFound)
		after := get(t, c, "there")
		require.Equal(t, before.Conditions, after.Conditions)
		require.Equal(t, before.Generation, after.Generation)
	})
}

func TestErrorTexts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "backup", Executor: succeed})
		_, err := c.Wait(t.Context(), "backup")
		require.NoError(t, err)
		attempt := attemptsOf(t, c, "backup")[0].Name
		_, err = c.Get("restore")
		require.EqualError(t, err, `batch: not found: job "restore"`)
		require.EqualError(
			t, c.Create(t.Context(), batch.Job{Name: "backup", Executor: succeed}), `batch: job exists: "backup"`,
		)
		require.EqualError(t, c.DeleteAttempt(t.Context(), "backup", "x"), `batch: not found: attempt "x" of job "backup"`)
		err = c.DeleteAttempt(t.Context(), "backup", attempt)
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		require.EqualError(t, err, `batch: attempt ended: "`+attempt+`"`)
		require.EqualError(
			t, c.Delete(t.Context(), "backup", "Sideways"),
			`batch: propagation "Sideways": must be Background, Foreground or Orphan`,
		)
		require.EqualError(
			t, c.Delete(t.Context(), "backup", ""), `batch: propagation "": must be Background, Foreground or Orphan`,
		)
		require.EqualError(t, c.Create(t.Context(), batch.Job{Name: "restore"}),
			`batch: job "restore" is invalid: Executor: Required value: a job needs something to run`)
	})
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
		"Delete":        func() error { return c.Delete(ctx, "j", batch.DeleteOrphan) },
		"Cancel":        func() error { return c.Cancel(ctx, "j", nil) },
		"Again":         func() error { _, err := c.Again(ctx, "j", false); return err },
		"Wait":          func() error { _, err := c.Wait(ctx, "j"); return err },
		"Attempts":      func() error { _, err := c.Attempts(t.Context(), "j"); return err },
		"Results":       func() error { _, err := batch.Results[int](ctx, &c, "j"); return err },
		"Failures":      func() error { _, err := c.Failures(ctx, "j"); return err },
		"Events":        func() error { _, err := c.Events(t.Context(), "j"); return err },
		"Stack":         func() error { _, err := c.Stack("j", "a"); return err },
		"DeleteAttempt": func() error { return c.DeleteAttempt(ctx, "j", "a") },
		"Disrupt":       func() error { return c.Disrupt(ctx, "j", "a", "DeletionByPodGC") },
		"SaveRecord":    func() error { return c.SaveRecord(ctx, "key", nil) },
		"Shutdown":      func() error { return c.Shutdown(ctx) },
		"Subscribe": func() error {
			return c.Subscribe(ctx, "mail", func(context.Context, batch.Change) error { return nil })
		},
		"Subscribe with nil": func() error { return c.Subscribe(ctx, "mail", nil) },
		"Watch": func() (last error) {
			for _, err := range c.Watch(ctx, 0) {
				last = err
			}
			return last
		},
		"Logs": func() (last error) {
			for _, err := range c.Logs(ctx, "j", "a", -1, false) {
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
		job := batch.Job{Name: "inner", FailurePolicy: []batch.FailureRule{{Action: batch.ActionIgnore,
			OnError: batch.ErrorIs(errDisk)}},
			Executor: fails(batch.Permanent(errDisk))}
		_, err := batch.Run(ctx, job)
		return err
	}
	tests := map[string]struct {
		f    func(context.Context) error
		want int
	}{
		"a nested job has failed": {f: nested, want: 3},
		"with text": {
			f: func(ctx context.Context) error { return fmt.Errorf("inner: %w", nested(ctx)) }, want: 3,
		},
		"a nested job was cancelled": {f: cancelled, want: 3},
		"another package backoff": {f: func(context.Context) error {
			return fmt.Errorf("wrapped: %w", &backofftest.PermanentError{Err: errDisk})
		}, want: 1},
		"marked by the outer one": {f: func(ctx context.Context) error { return batch.Permanent(nested(ctx)) }, want: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				status, err := batch.Run(t.Context(), batch.Job{
					Name: "outer", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(0), Executor: fn(test.f),
				})
				require.Error(t, err)
				require.Equal(t, test.want, status.Failed)
			})
		})
	}
}

// An error without a text is one, also in another process.
func TestErrorWithoutATextSurvives(t *testing.T) {
	job := batch.Job{
		Name: "job", BackoffLimit: new(0), Executor: fn(func(context.Context) error { return errors.New("") }),
	}
	for name, history := range map[string]*int{"kept": nil, "no history": new(0)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				job := job
				job.History = history
				c := newController(t, batch.Options{Store: &store})
				mustCreate(t, c, job)
				_, before := c.Wait(t.Context(), "job")
				_, after := fresh(t, &store).Wait(t.Context(), "job")
				require.NotErrorIs(t, after, batch.ErrDisrupted)
				require.EqualError(t, after, before.Error())
			})
		})
	}
	t.Run("while its restart is being decided", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var store disk
			deciding, asked := make(chan struct{}), 0
			job := job
			job.RestartPolicy, job.BackoffLimit = batch.RestartOnFailure, new(9)
			job.RestartBackoff = batch.BackoffFunc(func() backoff.BackOff {
				if asked++; asked == 1 {
					<-deciding
				}
				return backoff.NewConstantBackOff(time.Minute)
			})
			mustCreate(t, newController(t, batch.Options{Store: &store}), job)
			settle()
			next := fresh(t, &store)
			apply(t, next, job)
			settle()
			require.Equal(t, 2, asked)
			require.WithinDuration(t, time.Now().Add(time.Minute), get(t, next, "job").NextRetry, time.Second)
			close(deciding)
		})
	})
}

// TestJobErrorSaysWhenItIsCut wants failures that are not kept to be counted.
func TestJobErrorSaysWhenItIsCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := batch.Job{Name: "j", BackoffLimit: new(9), Backoff: batch.ConstantBackoff(0), Executor: fails(errDisk)}
		for history, omitted := range map[int]int{20: 0, 10: 0, 4: 6, 0: 9} {
			job.History = new(history)
			_, err := batch.Run(t.Context(), job)
			jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
			require.Equal(t, omitted, jobErr.Omitted, "history %d", history)
			require.Len(t, jobErr.Attempts, 10-omitted)
			require.Equal(
				t, omitted > 0,
				jobErr.Error() != (&batch.JobError{
					Status: jobErr.Status, Reason: jobErr.Reason, Message: jobErr.Message, Attempts: jobErr.Attempts,
				}).Error(),
			)
		}
	})
}

func TestJobError(t *testing.T) {
	inner := &batch.AttemptError{Attempt: "j-0-abcde", Index: 0, ExitCode: 3, Err: errDisk}
	message := "Job has reached the specified backoff limit"
	err := &batch.JobError{
		Status: batch.Status{Name: "j"}, Reason: batch.ReasonBackoffLimitExceeded, Message: message,
		Attempts: []*batch.AttemptError{inner},
	}
	require.EqualError(
		t, err,
		`batch: job "j" failed: BackoffLimitExceeded: Job has reached the specified backoff limit; last: attempt `+
			`j-0-abcde: exit code 3: disk full`,
	)
	require.ErrorIs(t, err, errDisk)
	found, ok := errors.AsType[*batch.AttemptError](err)
	require.True(t, ok)
	require.Equal(t, inner, found)
	err.Attempts = nil
	require.EqualError(t, err, `batch: job "j" failed: BackoffLimitExceeded: Job has reached the specified backoff limit`)
}

// TestErrorOfStoppedJob wants the error of a job whose only attempt did no more
// than stop to name none: there has been no failure that counts.
func TestErrorOfStoppedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{
			Name: "late", ActiveDeadline: new(time.Second),
			Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
				<-ctx.Done()
				return ctx.Err()
			})})
		require.EqualError(
			t, err, `batch: job "late" failed: DeadlineExceeded: Job was active longer than specified deadline`,
		)
		failed, ok := errors.AsType[*batch.JobError](err)
		require.True(t, ok)
		require.Empty(t, failed.Attempts)
		require.Nil(t, status.LastFailure)
	})
}

// TestJobErrorOfHostileErrors wants a text, whatever the errors do that it is made of.
func TestJobErrorOfHostileErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := batch.Run(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error {
			return hostile{text: panics[string]}
		})})
		require.ErrorContains(t, err, "whose text cannot be had: panic: gotcha")
	})
}

// TestJobErrorNamesTheLastFailure wants the attempt that has failed last, which need not be
// the one that was created last.
func TestJobErrorNamesTheLastFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2),
			Parallelism: new(2), BackoffLimit: new(1), Executor: batch.ExecutorFunc(
				func(_ context.Context, a batch.Attempt) error {
					time.Sleep(time.Duration(2-a.Index) * time.Millisecond / 10)
					return fmt.Errorf("index %d", a.Index)
				})})
		require.Zero(t, status.LastFailure.Index)
		require.ErrorContains(t, err, "; last: attempt "+status.LastFailure.Attempt+": exit code 1: index 0")
	})
}
