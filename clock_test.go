package batch_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// TestMachineSleeps wants deadlines and TTLs to last as long as they were to, whatever
// the wall clock does, and stamps to be what it shows.
func TestMachineSleeps(t *testing.T) {
	for name, step := range map[string]time.Duration{"it slept": 8 * time.Hour, "it was set ahead": time.Minute,
		"it was set back": -8 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				batch.StepWall(c, step)
				start := time.Now()
				mustCreate(t, c, batch.Job{
					Name: "j", ActiveDeadline: new(time.Hour), TTLAfterFinished: new(time.Hour), Executor: untilDone,
				})
				require.WithinDuration(t, start.Add(step), get(t, c, "j").CreatedAt, time.Second)
				status, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonDeadlineExceeded)
				require.WithinDuration(t, start.Add(time.Hour), time.Now(), time.Second)
				require.WithinDuration(
					t, start.Add(step+time.Hour), status.Conditions[len(status.Conditions)-1].LastTransitionTime, time.Second,
				)
				time.Sleep(59 * time.Minute)
				get(t, c, "j")
				time.Sleep(2 * time.Minute)
				_, err = c.Get("j")
				require.ErrorIs(t, err, batch.ErrNotFound)
			})
		})
	}
}

// TestRestartAfterASleep wants a job to go on where it was in the next process, if the
// machine slept under the one before.
func TestRestartAfterASleep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const slept = 8 * time.Hour
		store := new(batchtest.MemoryStore)
		running := batch.Job{Name: "runs", ActiveDeadline: new(time.Hour), Executor: untilDone}
		finished := batch.Job{Name: "done", TTLAfterFinished: new(2 * time.Hour), Executor: succeed}
		c := newController(t, batch.Options{Store: store})
		batch.StepWall(c, slept)
		for _, job := range []batch.Job{running, finished} {
			_, err := c.Apply(t.Context(), job)
			require.NoError(t, err)
		}
		_, err := c.Wait(t.Context(), "done")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, c.Shutdown(ended(errCause)))
		told := get(t, c, "runs").Revision

		time.Sleep(slept) // the next process begins when the wall clock of the one before has ended
		start := time.Now()
		c = newController(t, batch.Options{Store: store})
		require.Greater(t, get(t, c, "runs").Revision, told)
		_, err = c.Apply(t.Context(), running)
		require.NoError(t, err)
		get(t, c, "done")
		_, err = c.Wait(t.Context(), "runs")
		failed(t, err, batch.ReasonDeadlineExceeded)
		require.WithinDuration(t, start.Add(59*time.Minute), time.Now(), time.Second)
		time.Sleep(59 * time.Minute)
		get(t, c, "done")
		time.Sleep(2 * time.Minute)
		_, err = c.Get("done")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// TestClockSetBackBetweenProcesses wants no retry to wait longer than it was to, and
// no revision to be lower than one told. Each bubble begins at the same time.
func TestClockSetBackBetweenProcesses(t *testing.T) {
	store := new(batchtest.MemoryStore)
	attempts := 0
	job := batch.Job{Name: "j", Backoff: batch.ConstantBackoff(time.Minute), TTLAfterFinished: new(time.Hour),
		Executor: fn(func(context.Context) error {
			if attempts++; attempts < 3 {
				return errDisk
			}
			return nil
		})}
	var told uint64
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		c := newController(t, batch.Options{Store: store})
		mustCreate(t, c, job)
		settle()
		require.NoError(t, c.Shutdown(ended(errCause)))
		told = get(t, c, "j").Revision
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := newController(t, batch.Options{Store: store})
		_, err := c.Apply(t.Context(), job)
		require.NoError(t, err)
		require.Greater(t, get(t, c, "j").Revision, told)
		_, err = c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.WithinDuration(t, start.Add(2*time.Minute), time.Now(), time.Second)
		time.Sleep(59 * time.Minute)
		get(t, c, "j")
		time.Sleep(2 * time.Minute)
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// TestDatesAfterASleep wants every date of what happens after the machine has slept to be
// what the wall clock shows, and that of what was before to stay.
func TestDatesAfterASleep(t *testing.T) {
	for name, step := range map[string]time.Duration{"it slept": 8 * time.Hour, "it was set back": -8 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "before", Executor: succeed})
				before := complete(t, c, "before")
				time.Sleep(time.Minute)
				batch.StepWall(c, step)
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						return a.SetCondition(batch.Condition{Type: "example.com/seen", Status: "True"})
					})})
				complete(t, c, "j")
				mustCreate(t, c, batch.Job{Name: "waits", Executor: fails(errDisk)})
				settle()
				for what, at := range datesOf(t, c, "j") {
					require.WithinDuration(t, time.Now().Add(step), at, time.Second, what)
				}
				require.WithinDuration(t, time.Now().Add(step+10*time.Second), get(t, c, "waits").NextRetry, time.Second)
				after := get(t, c, "before")
				require.Equal(t, before.CreatedAt, after.CreatedAt)
				require.Equal(t, before.CompletionTime, after.CompletionTime)
			})
		})
	}
}

// datesOf are all dates of a job that has one attempt.
func datesOf(t *testing.T, c *batch.Controller, name string) map[string]time.Time {
	t.Helper()
	s, a := get(t, c, name), attemptsOf(t, c, name)[0]
	dates := map[string]time.Time{"created": s.CreatedAt, "started": s.StartTime, "completed": s.CompletionTime,
		"attempt created": a.CreatedAt, "attempt started": a.StartedAt, "attempt finished": a.FinishedAt}
	for _, condition := range slices.Concat(s.Conditions, a.Conditions) {
		dates["condition "+condition.Type] = condition.LastTransitionTime
	}
	events, err := c.Events(t.Context(), name)
	require.NoError(t, err)
	for _, e := range events {
		dates["event "+e.Reason] = e.At
	}
	require.Greater(t, len(dates), 9)
	return dates
}
