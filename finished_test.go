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

// A job that has finished is what it was when it ended, however often it is read: also
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
	for line, err := range c.Logs(t.Context(), job, attempt, -1, false) {
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

// A leaving is what attempts of a job have left beside their history.
type leaving struct {
	input    any
	late     order // as an attempt that has ended sees it
	results  map[int]string
	failures []failure
	reasons  string // of the job's end, as an error
}

func leavingOf(t *testing.T, c *batch.Controller, name string, ended batch.Attempt) (l leaving) {
	t.Helper()
	job, err := c.Job(name)
	require.NoError(t, err)
	l.input = job.Input
	l.late, err = batch.Input[order](ended)
	require.NoError(t, err)
	l.results, l.failures = resultsOf[string](t, c, name), failuresOf(t, c, name)
	if _, err = c.Wait(t.Context(), name); err != nil {
		l.reasons = err.Error()
	}
	return l
}

// leavingJobs are jobs whose attempts leave all there is, and what is expected of them.
func leavingJobs(ended *batch.Attempt) map[string]struct {
	job      batch.Job
	results  map[int]string
	failures int
} {
	executor := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		*ended = a
		if a.Index%3 == 1 {
			return fmt.Errorf("index %d: %w", a.Index, errCause)
		}
		in, err := batch.Input[order](a)
		return errors.Join(err, a.SetResult(in.Customers[max(0, a.Index)]))
	})
	job := batch.Job{Name: "j", Input: order{[]string{"a", "b", "c", "d", "e", "f"}}, Executor: executor}
	indexed := job
	indexed.CompletionMode, indexed.Completions, indexed.BackoffLimitPerIndex = batch.Indexed, new(6), new(0)
	short := indexed
	short.History, job.History = new(0), new(0)
	type row = struct {
		job      batch.Job
		results  map[int]string
		failures int
	}
	byIndex := map[int]string{0: "a", 2: "c", 3: "d", 5: "f"}
	return map[string]row{
		"Indexed":                    {job: indexed, results: byIndex, failures: 2},
		"Indexed, without a history": {job: short, results: byIndex, failures: 2},
		"NonIndexed":                 {job: job, results: map[int]string{0: "a"}},
	}
}

// What attempts have left is there as long as their job, in this process and the next
// ones, also once the job was changed.
func TestFinishedJobsKeepWhatAttemptsLeft(t *testing.T) {
	var ended batch.Attempt
	for name, tc := range leavingJobs(&ended) {
		for kept, store := range map[string]batch.Store{"in memory": nil, "stored": new(batchtest.MemoryStore)} {
			t.Run(name+", "+kept, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{Store: store})
					_, err := c.Run(t.Context(), tc.job)
					require.Equal(t, tc.failures > 0, errors.Is(err, errCause))
					want := leavingOf(t, c, "j", ended)
					require.Equal(t, `{"customers":["a","b","c","d","e","f"]}`, fmt.Sprintf("%s", want.input))
					require.Equal(t, tc.results, want.results)
					require.Len(t, want.failures, tc.failures)
					for process := range 3 {
						for range 2 {
							time.Sleep(time.Hour)
							require.Equal(t, want, leavingOf(t, c, "j", ended), "process %d", process)
							require.NoError(
								t, c.Update(t.Context(), "j", func(j *batch.Job) {
									j.Labels = map[string]string{
										"a": fmt.Sprint(time.Now().Unix()),
									}
								}),
							)
							require.Equal(t, want, leavingOf(t, c, "j", ended), "process %d, updated", process)
						}
						if store != nil {
							shut(t, c)
							c = newController(t, batch.Options{Store: store})
						}
					}
				})
			})
		}
	}
}

// Errors that were given up are those that executors returned, as long as the process.
func TestFinishedJobsKeepErrorsOfIndexes(t *testing.T) {
	var ended batch.Attempt
	for name, tc := range leavingJobs(&ended) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				_, err := c.Run(t.Context(), tc.job)
				require.Equal(t, tc.failures > 0, err != nil)
				for range 3 {
					time.Sleep(time.Hour)
					failures, err := c.Failures(t.Context(), "j")
					require.NoError(t, err)
					n := 0
					for i, f := range failures {
						n++
						require.ErrorIs(t, f.Err, errCause)
						require.EqualError(t, f.Err, fmt.Sprintf("index %d: %v", i, errCause))
					}
					require.Equal(t, tc.failures, n)
				}
			})
		})
	}
}
