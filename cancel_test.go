package batch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A job that is cancelled has failed, for the cause that it was cancelled for.
func TestCancel(t *testing.T) {
	cases := map[string]struct {
		job    batch.Job
		before time.Duration // that is cancelled after
		failed int
	}{
		"while it runs": {
			job: batch.Job{Parallelism: new(2), Completions: new(3), Executor: untilDone}, before: 0, failed: 2,
		},
		"while it backs off": {job: batch.Job{Executor: fails(errFull)}, before: time.Second, failed: 1},
		"before it is restarted": {
			job: batch.Job{Executor: fails(errFull), RestartPolicy: batch.RestartOnFailure}, before: time.Second, failed: 1},
		"while it is suspended": {job: batch.Job{Executor: succeed, Suspend: true}, before: 0, failed: 0},
		"while it is paused": {
			job: batch.Job{Executor: succeed, Parallelism: new(0), Completions: new(1)}, before: 0, failed: 0,
		},
		"whatever it returns then": {
			job: batch.Job{Executor: takes(time.Minute), TerminationGracePeriod: new(time.Hour)}, before: 0, failed: 1,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				tc.job.Name = "j"
				mustCreate(t, c, tc.job)
				time.Sleep(tc.before)
				synctest.Wait()
				require.NoError(t, c.Cancel(t.Context(), "j", errCause))
				status, err := c.Wait(t.Context(), "j")
				require.ErrorIs(t, err, errCause)
				require.Equal(t, errCause, failed(t, err, batch.ReasonCancelled).Err)
				require.Equal(t, "Failed", status.State())
				require.Equal(t, tc.failed, status.Failed)
				require.Zero(t, status.Succeeded)
				require.Contains(t, status.Explain(), "the job was cancelled: the user's cause (Cancelled)")
				require.ErrorIs(t, c.Cancel(t.Context(), "j", errCause), batch.ErrJobFinished)
				require.NoError(t, batch.Check(c, "j"))
			})
		})
	}
}

// The executor finds the cause of the caller in its context.
func TestCancelCauses(t *testing.T) {
	deadline := errors.Join(errCause, context.DeadlineExceeded)
	for name, tc := range map[string]struct{ given, cause, err error }{
		"a cause":    {given: errCause, cause: errCause, err: context.Canceled},
		"none":       {cause: context.Canceled, err: context.Canceled},
		"a deadline": {given: deadline, cause: deadline, err: context.DeadlineExceeded},
	} {
		for kind, indexes := range map[string][]int{"the job": nil, "an index": {0}} {
			t.Run(name+", of "+kind, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{})
					seen := make(chan context.Context, 1)
					mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1),
						Executor: fn(func(ctx context.Context) error { <-ctx.Done(); seen <- ctx; return ctx.Err() })})
					synctest.Wait()
					require.NoError(t, c.Cancel(t.Context(), "j", tc.given, indexes...))
					ctx := <-seen
					require.Equal(t, tc.cause, context.Cause(ctx))
					require.Equal(t, tc.err, ctx.Err())
					_, err := c.Wait(t.Context(), "j")
					require.ErrorIs(t, err, tc.cause)
				})
			})
		}
	}
}

// Indexes that are cancelled have failed at once, whatever they did, and the others go on.
func TestCancelIndexes(t *testing.T) {
	for name, limit := range map[string]*int{"with a limit per index": new(2), "without": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(3),
					BackoffLimitPerIndex: limit, Backoff: batch.ConstantBackoff(time.Hour),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Index == 1 {
							return errFull
						}
						return lasts(ctx, time.Minute)
					})})
				settle()
				require.NoError(t, c.Cancel(t.Context(), "j", errCause, 0, 1, 5))
				status := get(t, c, "j")
				require.Equal(t, "0,1,5", status.FailedIndexes.String())
				require.False(t, status.Finished())
				require.NoError(t, batch.Check(c, "j"))

				status, err := c.Wait(t.Context(), "j")
				jobErr := failed(t, err, batch.ReasonFailedIndexes)
				require.Equal(t, "2-4", status.CompletedIndexes.String())
				require.Equal(t, 1, status.Failed, "of index 1, before it was cancelled")
				require.Nil(t, jobErr.Err)
				require.Equal(t, "0,1,5", jobErr.Status.FailedIndexes.String())
				for index, err := range jobErr.Indexes() {
					require.Equal(t, errCause, err.Err, "index %d", index)
				}
			})
		})
	}
}

// A job of which every index is cancelled has failed, though it has not begun: there is
// nothing to resume it for, nor to wait for others.
func TestCancelOfAllIndexes(t *testing.T) {
	for name, job := range map[string]batch.Job{
		"suspended":                  {Suspend: true},
		"that waits for others":      {After: []string{"nobody"}},
		"suspended, with a limit":    {Suspend: true, BackoffLimitPerIndex: new(1), MaxFailedIndexes: new(0)},
		"without any attempt at all": {Parallelism: new(0)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				job.Name, job.CompletionMode, job.Completions, job.Executor = "j", batch.Indexed, new(2), succeed
				mustCreate(t, c, job)
				settle()
				require.NoError(t, c.Cancel(t.Context(), "j", errCause, 0, 1))
				require.True(t, get(t, c, "j").Is(batch.ConditionFailed))
				require.NoError(t, batch.Check(c, "j"))
			})
		})
	}
}

// What cannot be cancelled is named, and nothing else is cancelled then.
func TestCancelOfWhatIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
			BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				switch a.Index {
				case 0:
					return nil
				case 1:
					return errFull
				}
				return lasts(ctx, time.Hour)
			})})
		mustCreate(t, c, batch.Job{Name: "plain", Executor: lasting(time.Hour)})
		mustCreate(t, c, batch.Job{Name: "managed", ManagedBy: new("example.com/other"), Executor: succeed})
		settle()
		err := c.Cancel(t.Context(), "j", errCause, 2, 4, 0, -1, 1)
		invalid, ok := errors.AsType[*batch.ValidationError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, []batch.FieldError{
			{Field: "indexes[1]", Kind: "Invalid", Value: 4, Detail: "must be from 0 to 3"},
			{Field: "indexes[2]", Kind: "Invalid", Value: 0, Detail: "has succeeded"},
			{Field: "indexes[3]", Kind: "Invalid", Value: -1, Detail: "must be from 0 to 3"},
			{Field: "indexes[4]", Kind: "Invalid", Value: 1, Detail: "has failed"},
		}, invalid.Fields)
		require.Equal(t, 2, get(t, c, "j").Active)
		require.EqualError(t, c.Cancel(t.Context(), "plain", errCause, 3),
			`batch: job "plain" is invalid: Indexes[0]: Invalid value: 3: the job is not Indexed`)
		require.EqualError(t, c.Cancel(t.Context(), "managed", errCause),
			`batch: job "managed" is invalid: ManagedBy: Forbidden: "example.com/other": another controller has the job`)
		require.ErrorIs(t, c.Cancel(t.Context(), "nobody", errCause), batch.ErrNotFound)
		require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteForeground))
		require.ErrorIs(t, c.Cancel(t.Context(), "j", errCause), batch.ErrDeleted)
		require.ErrorIs(t, c.Cancel(ended(errFull), "plain", errCause), errFull)
	})
}

// That a job, or an index, was cancelled outlasts the process, with the text of the cause.
func TestCancelIsStored(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		indexed := batch.Job{Name: "some", CompletionMode: batch.Indexed, Completions: new(3), Executor: lasting(time.Hour)}
		apply(t, c, indexed)
		apply(t, c, batch.Job{Name: "all", Executor: lasting(time.Hour), TerminationGracePeriod: new(time.Hour)})
		synctest.Wait()
		require.NoError(t, c.Cancel(t.Context(), "all", errCause))
		require.NoError(t, c.Cancel(t.Context(), "some", errCause, 0, 2))
		synctest.Wait()

		c = newController(t, batch.Options{Store: end(t, c, store)})
		_, err := c.Wait(t.Context(), "all")
		require.EqualError(t, failed(t, err, batch.ReasonCancelled).Err, errCause.Error())
		require.Equal(t, "0,2", get(t, c, "some").FailedIndexes.String())
		apply(t, c, indexed)
		_, err = c.Wait(t.Context(), "some")
		texts := make(map[int]string)
		for index, err := range failed(t, err, batch.ReasonFailedIndexes).Indexes() {
			texts[index] = err.Error()
		}
		require.Equal(t, map[int]string{0: "index 0: " + errCause.Error(), 2: "index 2: " + errCause.Error()}, texts)
	})
}
