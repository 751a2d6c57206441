package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// perRun is a job whose results and errors tell in which run they came to be. In the
// first one, every third index fails; later, the last one sets no result.
func perRun(run *int) batch.Job {
	return batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(9), Parallelism: new(3),
		BackoffLimitPerIndex: new(1), Backoff: batch.ConstantBackoff(time.Second), History: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			time.Sleep(time.Second)
			switch {
			case *run == 1 && a.Index%3 == 2:
				return errors.Join(a.SetResult("failed"), fmt.Errorf("run 1: index %d", a.Index))
			case *run > 1 && a.Index == 8:
				return nil
			}
			return a.SetResult(fmt.Sprint("run ", *run))
		})}
}

// Results and failures are those of what counts as done, or as failed: what runs again
// has neither, in the next process as well, and what stays done keeps its results.
func TestAgainWithResultsAndFailures(t *testing.T) {
	first := map[int]string{0: "run 1", 1: "run 1", 3: "run 1", 4: "run 1", 6: "run 1", 7: "run 1"}
	missing := map[int]string{
		0: "run 1", 1: "run 1", 2: "run 2", 3: "run 1", 4: "run 1", 5: "run 2", 6: "run 1", 7: "run 1",
	}
	all := map[int]string{0: "run 2", 1: "run 2", 2: "run 2", 3: "run 2", 4: "run 2", 5: "run 2", 6: "run 2", 7: "run 2"}
	for name, tc := range map[string]struct {
		failedOnly    bool
		between, then map[int]string
	}{
		"as a whole":      {failedOnly: false, between: map[int]string{}, then: all},
		"what is missing": {failedOnly: true, between: first, then: missing},
	} {
		t.Run(name, func(t *testing.T) {
			eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
				run, store := 1, new(batchtest.MemoryStore)
				c := newController(t, batch.Options{Store: store})
				restart := func() {
					store = end(t, c, store)
					c = newController(t, batch.Options{Store: store})
					apply(t, c, perRun(&run))
				}
				apply(t, c, perRun(&run))
				_, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonFailedIndexes)
				restart()
				require.Equal(t, first, resultsOf[string](t, c, "j"))
				require.Len(t, failuresOf(t, c, "j"), 3)

				run = 2
				again(t, c, "j", tc.failedOnly)
				require.Equal(t, tc.between, resultsOf[string](t, c, "j"))
				require.Empty(t, failuresOf(t, c, "j"))
				restart()
				require.Equal(t, tc.between, resultsOf[string](t, c, "j"))
				for _, f := range failuresOf(t, c, "j") { // by the kill
					require.Equal(t, batch.ErrDisrupted.Error(), f.Message)
					require.Equal(t, 1, f.Failures)
				}
				complete(t, c, "j")
				require.Equal(t, tc.then, resultsOf[string](t, c, "j"))
				restart()
				require.Equal(t, tc.then, resultsOf[string](t, c, "j"))
				require.Empty(t, failuresOf(t, c, "j"))
			})
		})
	}
}

// In a job without indexes the results are those of the completions that stay done.
func TestAgainWithResultsOfCompletions(t *testing.T) {
	for name, tc := range map[string]struct {
		completions *int
		failedOnly  bool
		want        map[int]int
	}{
		"as a whole": {completions: new(3), failedOnly: false, want: map[int]int{0: 2, 1: 2, 2: 2}},
		"what is missing": {
			completions: new(3), failedOnly: true, want: map[int]int{0: 1, 1: 1, 2: 2},
		},
		"a work queue": {failedOnly: true, want: map[int]int{0: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				run, tries, store := 1, 0, new(batchtest.MemoryStore)
				c := newController(t, batch.Options{Store: store})
				apply(t, c, batch.Job{Name: "j", Completions: tc.completions, Parallelism: new(1), BackoffLimit: new(0),
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						if tries++; tries == 3 {
							return errDisk
						}
						return a.SetResult(run)
					})})
				_, err := c.Wait(t.Context(), "j")
				require.Equal(t, tc.completions == nil, err == nil)
				run, tries = 2, 10
				again(t, c, "j", tc.failedOnly)
				complete(t, c, "j")
				require.Equal(t, tc.want, resultsOf[int](t, c, "j"))
				require.Equal(t, tc.want, resultsOf[int](t, fresh(t, store), "j"))
			})
		})
	}
}

// An index that was cancelled is among the failures, with the cause, whatever its
// attempts had done and do then.
func TestFailuresOfCancelledIndexes(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(5),
			BackoffLimitPerIndex: new(3), Backoff: batch.ConstantBackoff(time.Hour),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				switch a.Index {
				case 0, 1:
					return errFull // and waits to be tried again
				case 2:
					<-ctx.Done()
					time.Sleep(time.Second)
					return errDisk
				case 3:
					<-ctx.Done()
					return a.SetResult("too late")
				case 4:
					return nil
				}
				return lasts(ctx, 10*time.Hour)
			})})
		settle()
		name := attemptsOf(t, c, "j")[2].Name
		require.NoError(t, c.DeleteAttempt(t.Context(), "j", name)) // it is stopping already
		require.NoError(t, c.Cancel(t.Context(), "j", errCause, 1, 2, 3, 5))
		want := func(index, failures int) failure {
			return failure{Index: index, Failures: failures, ExitCode: -1, Message: errCause.Error()}
		}
		check := func(c *batch.Controller) {
			t.Helper()
			list := failuresOf(t, c, "j")
			require.NotEmpty(t, list)
			require.Equal(t, errFull.Error(), list[0].Message)
			for i := range list {
				require.WithinDuration(t, time.Now(), list[i].At, time.Minute)
				list[i].At = time.Time{}
			}
			require.Equal(t, []failure{want(1, 1), want(2, 1), want(3, 0), want(5, 0)}, list[1:])
		}
		check(c)
		failures, err := c.Failures(t.Context(), "j")
		require.NoError(t, err)
		for index, err := range failures {
			require.Equal(t, index > 0, errors.Is(err, errCause), "index %d", index)
		}
		time.Sleep(10 * time.Second)
		check(c)
		require.Empty(t, resultsOf[string](t, c, "j"))
		check(newController(t, batch.Options{Store: end(t, c, store)}))
	})
}

// A snooze is no failure, until there were too many in a row.
func TestFailuresAndSnoozes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(0),
			History: new(0), Executor: fails(batch.Snooze(errDisk, time.Minute))})
		time.Sleep(99*time.Minute + time.Second)
		require.Empty(t, failuresOf(t, c, "j"))
		_, err := c.Wait(t.Context(), "j")
		failed(t, err, batch.ReasonFailedIndexes)
		require.ErrorIs(t, err, errDisk)
		list := failuresOf(t, c, "j")
		require.Len(t, list, 1)
		require.Equal(t, errDisk.Error(), list[0].Message)
	})
}

// An index that has made no progress says so, also in the next process.
func TestFailuresWithoutProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
			BackoffLimitPerIndex: new(0), ProgressDeadline: time.Minute,
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				<-ctx.Done()
				if a.Index == 0 {
					return nil
				}
				return errDisk
			})})
		_, err := c.Wait(t.Context(), "j")
		failed(t, err, batch.ReasonFailedIndexes)
		for _, c := range []*batch.Controller{c, fresh(t, store)} {
			list := failuresOf(t, c, "j")
			require.Equal(t, "batch: attempt made no progress", list[0].Message)
			require.Equal(t, "batch: attempt made no progress: disk full", list[1].Message)
			failures, err := c.Failures(t.Context(), "j")
			require.NoError(t, err)
			for _, err := range failures {
				require.ErrorIs(t, err, batch.ErrNoProgress)
				require.Equal(t, 1, err.Failures)
			}
		}
	})
}

// The index whose success ends its job is none of those that have failed.
func TestFailuresOfTheLastSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := batch.Run(t.Context(), batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2),
			Parallelism: new(2), BackoffLimitPerIndex: new(1), Backoff: batch.ConstantBackoff(0), History: new(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index == 1 && a.Number == 1 {
					time.Sleep(time.Minute)
					return nil
				}
				return errDisk
			})})
		e := failed(t, err, batch.ReasonFailedIndexes)
		require.Len(t, e.Attempts, 1)
		for index := range e.Indexes() {
			require.Zero(t, index)
		}
	})
}
