package batch_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestApplyOfAFinishedJob wants a finished job to be left alone, whatever has changed.
func TestApplyOfAFinishedJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(1), Executor: succeed,
		}
		c := newController(t, batch.Options{Store: store})
		_, err := c.Run(t.Context(), job)
		require.NoError(t, err)
		require.NoError(t, c.Shutdown(t.Context()))
		c = newController(t, batch.Options{Store: store})
		before := get(t, c, "j")
		changes := map[string]func(j *batch.Job){
			"a list that has grown": func(j *batch.Job) { j.Completions = new(5) },
			"the template":          func(j *batch.Job) { j.AttemptTimeout = new(time.Minute) },
			"a policy":              func(j *batch.Job) { j.FailurePolicy = []batch.FailureRule{} },
			"the mode":              func(j *batch.Job) { j.CompletionMode = batch.NonIndexed },
			"a limit per index":     func(j *batch.Job) { j.BackoffLimitPerIndex = new(1) },
			"the manager":           func(j *batch.Job) { j.ManagedBy = new("example.com/other") },
		}
		for name, change := range changes {
			changed := job
			changed.Executor = fn(func(context.Context) error { t.Error("it runs again"); return nil })
			change(&changed)
			status, err := c.Apply(t.Context(), changed)
			require.NoError(t, err, name)
			require.Equal(t, "Complete", status.State(), name)
			require.Equal(t, before.Generation, status.Generation, name)
		}
	})
}

// TestUndeclaredJobsAreReported wants one warning, some time after the start, and a
// status that says so.
func TestUndeclaredJobsAreReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		for _, name := range []string{"forgotten", "known"} {
			mustCreate(t, c, batch.Job{Name: name, Executor: untilDone})
		}
		mustCreate(t, c, batch.Job{Name: "over", Executor: succeed})
		settle()
		require.NoError(t, c.Shutdown(ended(errCause)))
		var log sharedBuffer
		c = newController(t, batch.Options{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.Equal(
			t, "forgotten: Running, 0/1 succeeded, 0 failed, stalled: ExecutorNotDeclared", get(t, c, "forgotten").String(),
		)
		_, err := c.Apply(t.Context(), batch.Job{Name: "known", Executor: untilDone})
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
		require.Contains(t, log.String(), `msg="stored jobs wait to be declared" count=1 jobs=[forgotten]`)
	})
}

// TestStoreIsClosedTooEarly wants callers to learn that the store was closed before
// the controller, and nobody to wait for ever.
func TestStoreIsClosedTooEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &disk{}
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{
			Name: "j", Executor: fn(func(ctx context.Context) error { return sleepUnlessDone(ctx, time.Minute) }),
		})
		store.set(func(func() error) error { return fs.ErrClosed })
		_, err = c.Wait(t.Context(), "j")
		require.ErrorIs(t, err, fs.ErrClosed)
		ok := errors.Is(err, batch.ErrStore)
		require.True(t, ok)
		ok = errors.Is(c.Shutdown(ended(errCause)), batch.ErrStore)
		require.True(t, ok)
	})
}

// TestFunctionsAreNotCompared wants the function that was handed in last to count, and
// the same job written twice to be the same.
func TestFunctionsAreNotCompared(t *testing.T) {
	errA, errB := errors.New("a"), errors.New("b")
	job := func(target error) batch.Job {
		return batch.Job{Name: "j", Suspend: true, BackoffLimit: new(3), Executor: fails(errB),
			Backoff:       batch.BackoffFunc(func() backoff.BackOff { return &backoff.ZeroBackOff{} }),
			FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailJob, OnError: batch.ErrorIs(target)}}}
	}
	ways := map[string]func(c *batch.Controller) error{
		"Apply": func(c *batch.Controller) error {
			_, err := c.Apply(t.Context(), job(errB))
			return err
		},
		"Update": func(c *batch.Controller) error {
			return c.Update(t.Context(), "j", func(j *batch.Job) { j.FailurePolicy[0].OnError = batch.ErrorIs(errB) })
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, job(errA))
				require.NoError(t, way(c))
				require.Equal(t, int64(1), get(t, c, "j").Generation)
				declared, err := c.Job("j")
				require.NoError(t, err)
				require.True(t, declared.FailurePolicy[0].OnError(errB))
				require.NoError(t, c.Resume(t.Context(), "j"))
				status, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonPodFailurePolicy)
				require.Equal(t, 1, status.Failed)
			})
		})
	}
}
