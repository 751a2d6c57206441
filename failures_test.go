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

// A failure is what tests compare of a [batch.AttemptError].
type failure struct {
	Attempt                   string
	Index, Failures, ExitCode int
	Message                   string
	At                        time.Time
}

// TestFailuresOfManyIndexes wants the last failure of each of 100,000 indexes, whatever
// is kept of their attempts, also from the next process.
func TestFailuresOfManyIndexes(t *testing.T) {
	const count = 100_000
	store := new(batchtest.MemoryStore)
	job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2 * count), Parallelism: new(64),
		BackoffLimitPerIndex: new(1), Backoff: batch.ConstantBackoff(0), History: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index%2 == 0 {
				return nil
			}
			return fmt.Errorf("index %d, attempt %d: %w", a.Index, a.Number, exit(3+a.Index%5))
		})}
	c := newController(t, batch.Options{Store: store})
	start := time.Now()
	_, err := c.Run(t.Context(), job)
	failed(t, err, batch.ReasonFailedIndexes)
	check := func(list []failure) {
		require.Len(t, list, count)
		for n, f := range list {
			i := 2*n + 1
			want := failure{Attempt: f.Attempt, Index: i, Failures: 2, ExitCode: 3 + i%5, At: f.At,
				Message: fmt.Sprintf("index %d, attempt 1: exit", i)}
			if f != want || f.At.Before(start) || f.Attempt[:2] != "j-" {
				require.Equal(t, want, f)
			}
		}
	}
	before := failuresOf(t, c, "j")
	check(before)
	shut(t, c)
	check(failuresOf(t, newController(t, batch.Options{Store: store}), "j"))
}

// TestFailuresOfRunningJob wants those indexes that have failed and not succeeded, at
// each moment and in each process.
func TestFailuresOfRunningJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
			BackoffLimitPerIndex: new(9), Backoff: batch.ConstantBackoff(time.Minute),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index > 0 && a.Number < 2*a.Index {
					return fmt.Errorf("attempt %d", a.Number)
				}
				return nil
			})}
		c := newController(t, batch.Options{Store: store})
		start := time.Now()
		apply(t, c, job)
		for minute, want := range [][]failure{
			{{Index: 1, Failures: 1, Message: "attempt 0"}, {Index: 2, Failures: 1, Message: "attempt 0"}},
			{{Index: 1, Failures: 2, Message: "attempt 1"}, {Index: 2, Failures: 2, Message: "attempt 1"}},
			{{Index: 2, Failures: 3, Message: "attempt 2"}},
			{{Index: 2, Failures: 4, Message: "attempt 3"}},
		} {
			time.Sleep(time.Until(start.Add(time.Duration(minute)*time.Minute + time.Second)))
			for i := range want {
				want[i].ExitCode = 1
			}
			at := start.Add(time.Duration(minute) * time.Minute)
			require.Equal(t, want, anonymous(t, at, failuresOf(t, c, "j")), minute)
			require.Equal(t, want, anonymous(t, at, failuresOf(t, fresh(t, store), "j")), minute)
		}
		complete(t, c, "j")
		require.Empty(t, failuresOf(t, c, "j"))
		require.Empty(t, failuresOf(t, fresh(t, store), "j"))
	})
}

// anonymous are failures, which must be of that time, without what is random.
func anonymous(t *testing.T, at time.Time, list []failure) []failure {
	t.Helper()
	for i := range list {
		require.WithinDuration(t, at, list[i].At, 10*time.Millisecond)
		require.NotEmpty(t, list[i].Attempt)
		list[i].Attempt, list[i].At = "", time.Time{}
	}
	return list
}

func failsWhenStopped(err error) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		if a.Number > 0 {
			return sleepUnlessDone(ctx, time.Hour)
		}
		<-ctx.Done()
		time.Sleep(time.Second)
		return err
	})
}

func disruptsWith(reason string) func(t *testing.T, c *batch.Controller, attempt string) {
	return func(t *testing.T, c *batch.Controller, attempt string) {
		require.NoError(t, c.Disrupt(t.Context(), "j", attempt, reason))
	}
}

func deletes(t *testing.T, c *batch.Controller, attempt string) {
	require.NoError(t, c.DeleteAttempt(t.Context(), "j", attempt))
}

func waits(*testing.T, *batch.Controller, string) { time.Sleep(2 * time.Minute) }

var failureTests = map[string]struct {
	job  batch.Job
	do   func(t *testing.T, c *batch.Controller, attempt string)
	then time.Duration
	want failure
}{
	"lost": {job: batch.Job{Executor: failsWhenStopped(nil)}, do: disruptsWith("TerminationByKubelet"),
		want: failure{ExitCode: 137, Message: "batch: attempt disrupted"}},
	"deleted, and it stops": {job: batch.Job{Executor: failsWhenStopped(errDisk)}, do: deletes, then: 2 * time.Second,
		want: failure{ExitCode: 1, Message: "disk full"}},
	"deleted, and it does not stop yet": {job: batch.Job{Executor: failsWhenStopped(errDisk)}, do: deletes,
		want: failure{ExitCode: -1, Message: "batch: deleted"}},
	"out of time, with nil": {job: batch.Job{Executor: failsWhenStopped(nil), AttemptTimeout: new(time.Minute)}, do: waits,
		want: failure{ExitCode: 0, Message: "batch: attempt timed out"}},
	"out of time, with an error": {
		job: batch.Job{Executor: failsWhenStopped(errDisk), AttemptTimeout: new(time.Minute)}, do: waits,
		want: failure{ExitCode: 1, Message: "batch: attempt timed out: disk full"}},
	"a panic": {job: batch.Job{Executor: fn(func(context.Context) error { panic("disk") })}, do: waits,
		want: failure{ExitCode: 2, Message: "batch: executor panicked: disk"}},
}

// TestFailuresOfEachKind wants the last failure of an index, however its attempt
// came to its end.
func TestFailuresOfEachKind(t *testing.T) {

	for name, tc := range failureTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := tc.job
				job.Name, job.CompletionMode, job.Completions, job.BackoffLimitPerIndex = "j", batch.Indexed, new(1), new(1)
				job.Backoff = batch.ConstantBackoff(time.Hour)
				store := new(batchtest.MemoryStore)
				c := newController(t, batch.Options{Store: store})
				apply(t, c, job)
				settle()
				tc.do(t, c, attemptsOf(t, c, "j")[0].Name)
				settle()
				time.Sleep(tc.then)
				for _, c := range []*batch.Controller{c, fresh(t, store)} {
					list := failuresOf(t, c, "j")
					require.Len(t, list, 1)
					require.Equal(t, 1, list[0].Failures)
					list[0].Attempt, list[0].At, list[0].Failures = "", time.Time{}, 0
					require.Equal(t, tc.want, list[0])
				}
			})
		})
	}
}

// TestFailuresByCrash wants all indexes that the process took along, until they succeed.
func TestFailuresByCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		rule := batch.FailureRule{Action: batch.ActionFailIndex,
			OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}}}
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(2),
			BackoffLimitPerIndex: new(0), Executor: lasting(time.Minute),
			FailurePolicy: []batch.FailureRule{rule}}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		settle()
		c = newController(t, batch.Options{Store: crash(t, c, store)})
		want := []failure{
			{Index: 0, Failures: 1, ExitCode: -1, Message: "batch: attempt disrupted"},
			{Index: 1, Failures: 1, ExitCode: -1, Message: "batch: attempt disrupted"}}
		require.Equal(t, want, anonymous(t, time.Now(), failuresOf(t, c, "j")))
		apply(t, c, job)
		_, err := c.Wait(t.Context(), "j")
		jobErr := failed(t, err, batch.ReasonFailedIndexes)
		require.Equal(t, "0,1", jobErr.Status.FailedIndexes.String())
		for _, attempt := range jobErr.Indexes() {
			require.NotEmpty(t, attempt.Attempt)
			require.ErrorIs(t, attempt.Err, batch.ErrDisrupted)
		}
	})
}

// TestStoppedAttemptsAreNoFailures wants nothing of attempts that were suspended, shut
// down, cut off or not needed any more.
func TestStoppedAttemptsAreNoFailures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				<-ctx.Done()
				return errors.New("interrupted")
			})}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		settle()
		require.NoError(t, c.Suspend(t.Context(), "j"))
		settle()
		require.Empty(t, failuresOf(t, c, "j"))
		require.NoError(t, c.Resume(t.Context(), "j"))
		settle()
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(1), new(1) }))
		settle()
		require.Empty(t, failuresOf(t, c, "j"))
		shut(t, c)
		require.Empty(t, failuresOf(t, newController(t, batch.Options{Store: store}), "j"))
	})
}

// TestFailuresOfIndexesThatAreCutOff wants none of them, also when they come back.
func TestFailuresOfIndexesThatAreCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Store: new(batchtest.MemoryStore)})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
			BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Index == 0 || a.Number > 0 {
					return sleepUnlessDone(ctx, time.Hour)
				}
				return errDisk
			})})
		settle()
		require.Len(t, failuresOf(t, c, "j"), 2)
		for n, want := range map[int]int{2: 1} {
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(n), new(n) }))
			require.Len(t, failuresOf(t, c, "j"), want)
		}
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(3), new(3) }))
		require.Len(t, failuresOf(t, c, "j"), 1)
	})
}

func TestErrorsOfFailures(t *testing.T) {
	c := newController(t, batch.Options{})
	failures, err := c.Failures(t.Context(), "none")
	require.ErrorIs(t, err, batch.ErrNotFound)
	for range failures {
		t.Error("there is a failure")
	}
	_, err = c.Run(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0), Executor: fails(errDisk)})
	failed(t, err, batch.ReasonBackoffLimitExceeded)
	require.Empty(t, failuresOf(t, c, "j"), "the job is not Indexed")
}

// TestFailuresWithoutLimitPerIndex wants every index that has failed and not succeeded
// in the error of its job, too.
func TestFailuresWithoutLimitPerIndex(t *testing.T) {
	const count = 30
	c := newController(t, batch.Options{})
	_, err := c.Run(t.Context(), batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(count),
		Parallelism: new(1), BackoffLimit: new(count - 1), Backoff: batch.ConstantBackoff(0), History: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index < 5 && a.Number == 1 {
				return nil
			}
			return fmt.Errorf("index %d", a.Index)
		})})
	jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
	list := failuresOf(t, c, "j")
	require.NotEmpty(t, list)
	for i, attempt := range jobErr.Indexes() {
		require.EqualError(t, attempt.Err, fmt.Sprint("index ", i))
		require.Equal(t, list[0].Attempt, attempt.Attempt)
		require.Equal(t, list[0].Message, fmt.Sprint("index ", i))
		list = list[1:]
	}
	require.Empty(t, list)
}

// TestFailedAttemptsSayWhen wants the attempts of a [batch.JobError] to have what those of
// Failures have.
func TestFailedAttemptsSayWhen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		_, err := batch.Run(t.Context(), batch.Job{
			Name: "j", CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(1),
			Backoff:  batch.ConstantBackoff(time.Minute),
			Executor: fails(fmt.Errorf("part 1: %w", exit(3))),
		})
		var list []failure
		for _, a := range failed(t, err, batch.ReasonFailedIndexes).Attempts {
			require.NotEmpty(t, a.Attempt)
			list = append(list, failure{
				Index: a.Index, Failures: a.Failures, ExitCode: a.ExitCode, Message: a.Message, At: a.At,
			})
		}
		require.Equal(t, []failure{
			{Failures: 1, ExitCode: 3, Message: "part 1: exit", At: start},
			{Failures: 2, ExitCode: 3, Message: "part 1: exit", At: start.Add(time.Minute)},
		}, list)
	})
}
