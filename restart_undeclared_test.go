package batch_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A stored job that has not been declared can be seen and managed, but does not
// run.
func TestUndeclaredJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store})
		job := everything()
		job.Suspend, job.RestartBackoff = false, batch.ConstantBackoff(time.Second)
		apply(t, c, job)
		apply(t, c, batch.Job{Name: "also", Parallelism: new(3), Completions: new(9), Executor: untilDone})
		settle()
		spec, err := c.Job("j")
		require.NoError(t, err)
		shut(t, c)
		before, attempts := get(t, c, "j"), attemptsOf(t, c, "j")
		start := time.Now()
		c = newController(t, batch.Options{Store: &store})

		checkWaitsForCode(t, c, before, start)
		checkCanBeSeen(t, c, before, attempts)
		checkSpecWithoutCode(t, c, spec)
		checkCanBeManaged(t, c, job, before)
		shut(t, c)

		c = newController(t, batch.Options{Store: &store})
		_, err = c.Get("also")
		require.ErrorIs(t, err, batch.ErrNotFound)
		require.Equal(t, 1, apply(t, c, job).Parallelism)
		settle()
		require.Equal(t, 1, get(t, c, "j").Ready)
		require.False(t, get(t, c, "j").Is(batch.ConditionStalled))
	})
}

// checkWaitsForCode wants job j as it was before, and stalled since nothing has declared it.
func checkWaitsForCode(t *testing.T, c *batch.Controller, before batch.Status, start time.Time) {
	t.Helper()
	s := get(t, c, "j")
	require.Equal(t, stored(before), stored(s))
	stalled, ok := s.Condition(batch.ConditionStalled)
	require.True(t, ok)
	require.Equal(t, batch.Condition{Type: batch.ConditionStalled, Status: "True",
		Reason:  batch.ReasonExecutorNotDeclared,
		Message: "no executor has been declared with Apply", LastTransitionTime: stalled.LastTransitionTime}, stalled)
	require.WithinDuration(t, start, stalled.LastTransitionTime, 0)
	require.Equal(t, "waits to be declared: no executor has been declared with Apply", s.Explain())
}

// checkCanBeSeen wants jobs also and j in lists and watches, with their attempts and events.
func checkCanBeSeen(t *testing.T, c *batch.Controller, before batch.Status, attempts []batch.AttemptStatus) {
	t.Helper()
	var names []string
	for s := range c.All() {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"also", "j"}, names)
	for change, err := range c.Watch(t.Context(), 0) {
		require.NoError(t, err)
		require.True(t, change.Added)
		require.True(t, change.Status.Is(batch.ConditionStalled))
		if names = names[1:]; len(names) == 0 {
			break
		}
	}
	for _, err := range c.Watch(t.Context(), before.Revision) {
		require.ErrorIs(t, err, batch.ErrTooOld, "a revision of another process")
	}
	require.Equal(t, withoutErrors(attempts), withoutErrors(attemptsOf(t, c, "j")))
	events, err := c.Events(t.Context(), "j")
	require.NoError(t, err)
	require.NotEmpty(t, events)
	for _, err := range c.Logs(t.Context(), "j", attempts[0].Name, -1, true) {
		require.NoError(t, err)
		t.Error("logs are not stored")
	}
}

// checkSpecWithoutCode wants everything of the spec but its functions.
func checkSpecWithoutCode(t *testing.T, c *batch.Controller, spec batch.Job) {
	t.Helper()
	again, err := c.Job("j")
	require.NoError(t, err)
	require.Nil(t, again.Executor)
	require.Equal(t, time.Second, again.Backoff.BackOff().NextBackOff(), "a constant one is stored")
	require.Equal(t, time.Second, again.RestartBackoff.BackOff().NextBackOff(), "a constant one is stored")
	for _, rule := range again.FailurePolicy {
		require.Nil(t, rule.OnError, "a stand-in is seen")
	}
	require.Equal(t, specText(t, spec), specText(t, again))
}

// checkCanBeManaged suspends, resumes and updates job j, and deletes job also.
func checkCanBeManaged(t *testing.T, c *batch.Controller, job batch.Job, before batch.Status) {
	t.Helper()
	require.ErrorIs(t, c.Create(t.Context(), job), batch.ErrExists)
	require.NoError(t, c.Suspend(t.Context(), "j"))
	require.Equal(t, "Suspended", get(t, c, "j").State())
	require.NoError(t, c.Resume(t.Context(), "j"))
	require.Equal(t, "Running", get(t, c, "j").State())
	require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Parallelism = new(1) }))
	require.Equal(t, 1, get(t, c, "j").Parallelism)
	require.Equal(t, before.Generation+3, get(t, c, "j").Generation)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
	defer cancel()
	waiting, err := c.Wait(ctx, "j")
	require.ErrorIs(t, err, errCause)
	require.True(t, waiting.Is(batch.ConditionStalled))
	require.Zero(t, waiting.Ready+waiting.Active)
	deleted := make(chan error, 1)
	go func() { _, err := c.Wait(t.Context(), "also"); deleted <- err }()
	synctest.Wait()
	require.NoError(t, c.Delete(t.Context(), "also", batch.DeleteForeground))
	require.ErrorIs(t, <-deleted, batch.ErrDeleted)
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
		var log lockedBuffer
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

// A back-off of the user's own is asked when the job has been declared, for the
// failures that there were.
func TestBackoffIsAskedAfterApply(t *testing.T) {
	for name, job := range map[string]batch.Job{
		"of the job":   {BackoffLimit: new(20)},
		"of the index": {BackoffLimitPerIndex: new(20), CompletionMode: batch.Indexed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				var starts []time.Duration
				var made, asked atomic.Int32
				job := job
				job.Name, job.Completions = "j", new(1)
				job.Backoff = batch.BackoffFunc(func() backoff.BackOff {
					made.Add(1)
					n := time.Duration(0)
					return next(func() time.Duration { asked.Add(1); n++; return n * time.Minute })
				})
				job.Executor = fn(func(ctx context.Context) error {
					starts = append(starts, time.Since(epoch))
					if len(starts) == 3 {
						<-ctx.Done() // it is running when the process is killed
						return nil
					}
					if len(starts) == 5 {
						return nil
					}
					return exit(3)
				})
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, job)
				time.Sleep(10 * time.Minute)
				settle()
				require.Equal(t, []time.Duration{0, time.Minute, 3 * time.Minute}, starts)
				left := crash(t, c, &store)
				made.Store(0)
				asked.Store(0)
				c = newController(t, batch.Options{Store: left})
				down := time.Since(epoch)
				time.Sleep(time.Second)
				require.Zero(t, made.Load(), "asked before it was declared")
				apply(t, c, job)
				s := complete(t, c, "j")
				require.Len(t, starts, 5)
				require.InDelta(t, down+3*time.Minute, starts[3], float64(10*time.Millisecond), "the third failure")
				require.InDelta(t, starts[3]+4*time.Minute, starts[4], float64(10*time.Millisecond), "the fourth")
				require.EqualValues(t, 1, made.Load())
				require.EqualValues(t, 4, asked.Load())
				require.Equal(t, 3, s.Failed)
			})
		})
	}
}

// A question that the back-off had not answered is asked again.
func TestBackoffIsAskedAgain(t *testing.T) {
	for name, job := range map[string]batch.Job{
		"of the job": {Backoff: slowly},
		"of the index": {
			Backoff: slowly, BackoffLimitPerIndex: new(20), CompletionMode: batch.Indexed,
		},
		"of the restarts":                           {RestartBackoff: slowly, RestartPolicy: batch.RestartOnFailure},
		"of the job, which has none any more":       {},
		"of the index, which has none any more":     {BackoffLimitPerIndex: new(20), CompletionMode: batch.Indexed},
		"of the restarts, which have none any more": {RestartPolicy: batch.RestartOnFailure},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				var starts atomic.Int32
				release := make(chan struct{})
				hangs := batch.BackoffFunc(func() backoff.BackOff { <-release; return &backoff.StopBackOff{} })
				job.Name, job.Completions = "j", new(1)
				job.Executor = fn(func(context.Context) error {
					if starts.Add(1) == 1 {
						return exit(3)
					}
					return nil
				})
				before := job
				if job.RestartPolicy == batch.RestartOnFailure {
					before.RestartBackoff = hangs
				} else {
					before.Backoff = hangs
				}
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, before)
				time.Sleep(time.Hour)
				require.EqualValues(t, 1, starts.Load())
				left := copyOf(t, &store)
				close(release)
				shut(t, c)
				c = newController(t, batch.Options{Store: left})
				settle()
				require.EqualValues(t, 1, starts.Load())
				apply(t, c, job)
				complete(t, c, "j")
				require.EqualValues(t, 2, starts.Load())
			})
		})
	}
}
