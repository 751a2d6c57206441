package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A job that has finished is what it was when it ended, whoever asks and how often: also
// what cannot be written down, such as its errors and functions, and its log.
func TestFinishedJobsStayWhatTheyWere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		calls := 0
		executor := &trying{calls: &calls}
		_, err := c.Run(t.Context(), batch.Job{Name: "j", BackoffLimit: new(1), Backoff: batch.ConstantBackoff(0),
			Annotations:   map[string]string{"note": "<\u2028>"},
			FailurePolicy: []batch.FailureRule{{Action: "Ignore", OnError: isDisk}}, Executor: executor})
		first, ok := errors.AsType[*batch.JobError](err)
		require.True(t, ok, "%v", err)
		synctest.Wait()
		status, attempts := get(t, c, "j"), attemptsOf(t, c, "j")
		events, err := c.Events(t.Context(), "j")
		require.NoError(t, err)
		for range 2 {
			require.Equal(t, stored(status), stored(get(t, c, "j")))
			require.Equal(t, attempts, attemptsOf(t, c, "j"))
			same, err := c.Events(t.Context(), "j")
			require.NoError(t, err)
			require.Equal(t, events, same)
			_, err = c.Wait(t.Context(), "j")
			require.ErrorIs(t, err, errCause)
			again, ok := errors.AsType[*batch.JobError](err)
			require.True(t, ok)
			require.Equal(t, first, again)
			job, err := c.Job("j")
			require.NoError(t, err)
			require.Same(t, executor, job.Executor)
			require.Equal(t, "<\u2028>", job.Annotations["note"])
			require.True(t, job.FailurePolicy[0].OnError(errDisk))
			require.Equal(t, []string{"try 2"}, linesOf(t, c, "j", attempts[1].Name))
			s, err := c.Apply(t.Context(), batch.Job{Name: "j", Parallelism: new(7), Executor: succeed})
			require.NoError(t, err)
			require.Equal(t, 1, s.Parallelism)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 2, calls)
	})
}

func isDisk(err error) bool { return errors.Is(err, errDisk) }

// A trying executor fails, and says how often it was called.
type trying struct{ calls *int }

func (e *trying) Execute(_ context.Context, a batch.Attempt) error {
	*e.calls++
	_, err := fmt.Fprintln(a.Stdout(), "try", *e.calls)
	return errors.Join(err, errCause)
}

func linesOf(t *testing.T, c *batch.Controller, job, attempt string) (lines []string) {
	t.Helper()
	for line, err := range c.Logs(t.Context(), job, attempt, batch.LogOptions{}) {
		require.NoError(t, err)
		lines = append(lines, line.Text)
	}
	return lines
}

// What changes a finished job changes it, as soon as that is known to be durable, and is
// seen by those who watch.
func TestFinishedJobsChange(t *testing.T) {
	for name, o := range map[string]batch.Options{"in memory": {}, "with a store": {Store: new(batchtest.MemoryStore)}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, o)
				_, err := c.Run(t.Context(), batch.Job{Name: "j", Executor: succeed})
				require.NoError(t, err)
				before := get(t, c, "j")
				update := func(change func(*batch.Job)) { require.NoError(t, c.Update(t.Context(), "j", change)) }
				update(func(j *batch.Job) { j.Labels = map[string]string{"a": "b"} })
				update(func(j *batch.Job) { j.TTLAfterFinished = new(time.Hour) })
				update(func(j *batch.Job) { j.TTLAfterFinished = new(2 * time.Hour) })
				after := get(t, c, "j")
				require.Equal(t, before.Generation+2, after.Generation)
				require.Greater(t, after.Revision, before.Revision)
				job, err := c.Job("j")
				require.NoError(t, err)
				require.Equal(t, map[string]string{"a": "b"}, job.Labels)

				var deleted []bool
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				for change, err := range c.Watch(ctx, before.Revision) {
					if err == nil {
						deleted = append(deleted, change.Deleted)
						require.Equal(t, after.Conditions, change.Status.Conditions)
					}
				}
				require.Equal(t, []bool{false, true}, deleted)
				require.Empty(t, slices.Collect(c.All()))
			})
		})
	}
}
