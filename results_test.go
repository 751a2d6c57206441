package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// resulting sets what f returns of an attempt.
func resulting(f func(a batch.Attempt) any) batch.Executor {
	return batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error { return a.SetResult(f(a)) })
}

// TestResultsInOrder wants the results of all indexes, whatever is kept of their
// attempts, in memory and over processes.
func TestResultsInOrder(t *testing.T) {
	const count = 5000
	want := make(map[int]string, count)
	for i := range count {
		want[i] = strings.Repeat(string(rune('a'+i%26)), i%50)
	}
	job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(count), Parallelism: new(8),
		History: new(0), Executor: resulting(func(a batch.Attempt) any { return want[a.Index] })}
	for name, o := range map[string]batch.Options{
		"in memory": {}, "stored": {Store: new(batchtest.MemoryStore)}, "with slots": {MaxActive: 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := newController(t, o)
			apply(t, c, job)
			complete(t, c, "j")
			require.Equal(t, want, resultsOf[string](t, c, "j"))
			if o.Store != nil {
				shut(t, c)
				c = newController(t, o)
				require.Equal(t, want, resultsOf[string](t, c, "j"))
			}
		})
	}
}

// TestResultsByCompletion wants the results of a job without indexes in the order in
// which its completions were counted.
func TestResultsByCompletion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		job := batch.Job{Name: "j", Completions: new(4), Parallelism: new(4), Executor: batch.ExecutorFunc(
			func(_ context.Context, a batch.Attempt) error {
				time.Sleep(time.Duration(4-a.Number) * time.Minute)
				if a.Number == 2 {
					return nil // the second to be done, without a result
				}
				return a.SetResult(a.Number)
			})}
		c := newController(t, batch.Options{})
		apply(t, c, job)
		complete(t, c, "j")
		require.Equal(t, map[int]int{0: 3, 2: 1, 3: 0}, resultsOf[int](t, c, "j"))
	})
}

// TestResultsOfRunningJob wants what there is while the job runs, and all of it after
// two processes have worked on it.
func TestResultsOfRunningJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(2),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if err := a.SetResult(fmt.Sprint(a.Index, ".", a.Number)); err != nil {
					return err
				}
				return sleepUnlessDone(ctx, time.Duration(1+a.Index)*time.Minute)
			})}
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		require.Empty(t, resultsOf[string](t, c, "j"))
		time.Sleep(150 * time.Second)
		want := map[int]string{0: "0.0", 1: "1.0"}
		require.Equal(t, want, resultsOf[string](t, c, "j"))

		c = newController(t, batch.Options{Store: crash(t, c, store)})
		require.Equal(t, want, resultsOf[string](t, c, "j"))
		apply(t, c, job)
		complete(t, c, "j")
		want[2], want[3] = "2.1", "3.1"
		require.Equal(t, want, resultsOf[string](t, c, "j"))
	})
}

// TestResultsThatDoNotCount wants no result of an attempt that was not counted as a
// success.
func TestResultsThatDoNotCount(t *testing.T) {
	indexed := func(job batch.Job) batch.Job {
		job.Name, job.CompletionMode, job.Completions = "j", batch.Indexed, new(1)
		job.Backoff, job.RestartBackoff = batch.ConstantBackoff(0), batch.ConstantBackoff(0)
		return job
	}
	for name, tc := range map[string]struct {
		job     batch.Job
		attempt func(ctx context.Context, a batch.Attempt) error
		want    map[int]string
	}{
		"a failure": {attempt: func(_ context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				return errors.Join(a.SetResult("first"), errDisk)
			}
			return nil
		}},
		"a panic": {attempt: func(_ context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				require.NoError(t, a.SetResult("first"))
				panic("disk")
			}
			return nil
		}},
		"a run before a restart": {job: batch.Job{RestartPolicy: batch.RestartOnFailure},
			attempt: func(_ context.Context, a batch.Attempt) error {
				if a.Restarts == 0 {
					return errors.Join(a.SetResult("first"), errDisk)
				}
				return nil
			}},
		"a timeout": {job: batch.Job{AttemptTimeout: new(time.Second)},
			attempt: func(_ context.Context, a batch.Attempt) error {
				if a.Number == 0 {
					time.Sleep(2 * time.Second)
				}
				return a.SetResult(fmt.Sprint(a.Number))
			}, want: map[int]string{0: "1"}},
		"all but the last call": {attempt: func(_ context.Context, a batch.Attempt) error {
			return errors.Join(a.SetResult("first"), a.SetResult("second"))
		}, want: map[int]string{0: "second"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := indexed(tc.job)
				job.Executor = batch.ExecutorFunc(tc.attempt)
				c := newController(t, batch.Options{})
				apply(t, c, job)
				complete(t, c, "j")
				require.Equal(t, len(tc.want), len(resultsOf[string](t, c, "j")))
				for i, v := range resultsOf[string](t, c, "j") {
					require.Equal(t, tc.want[i], v)
				}
			})
		})
	}
}

// TestResultOfLostAttempt wants the result of the attempt that counts, and not that of
// one which was lost and comes back.
func TestResultOfLostAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		late := make(chan error, 1)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), Backoff: batch.ConstantBackoff(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number == 0 {
					require.NoError(t, a.SetResult("lost"))
					time.Sleep(time.Hour)
					late <- a.SetResult("late")
					return nil
				}
				time.Sleep(2 * time.Hour)
				return a.SetResult("kept")
			})}
		c := newController(t, batch.Options{})
		apply(t, c, job)
		settle()
		name := attemptsOf(t, c, "j")[0].Name
		require.NoError(t, c.Disrupt(t.Context(), "j", name, "TerminationByKubelet"))
		complete(t, c, "j")
		require.ErrorIs(t, <-late, batch.ErrAttemptEnded)
		require.Equal(t, map[int]string{0: "kept"}, resultsOf[string](t, c, "j"))
	})
}

// TestResultsThatAreRefused wants an error for each, and the result from before.
func TestResultsThatAreRefused(t *testing.T) {
	var ended batch.Attempt
	job := batch.Job{Name: "j", ResultLimit: new(10), Executor: batch.ExecutorFunc(
		func(_ context.Context, a batch.Attempt) error {
			ended = a
			require.NoError(t, a.SetResult("12345678"))
			require.ErrorContains(t, a.SetResult(math.NaN()), "batch: result: json: unsupported value: NaN")
			require.ErrorContains(t, a.SetResult(make(chan int)), "unsupported type")
			require.ErrorContains(t, a.SetResult(json.RawMessage("{")), "unexpected end of JSON")
			err := a.SetResult("123456789")
			require.EqualError(t, err, "batch: too large: result of 11 bytes: at most 10 are allowed")
			require.ErrorIs(t, err, batch.ErrTooLarge)
			require.PanicsWithValue(t, "encoding", func() { _ = a.SetResult(panicking{}) })
			return nil
		})}
	c := newController(t, batch.Options{})
	apply(t, c, job)
	complete(t, c, "j")
	require.Equal(t, map[int]string{0: "12345678"}, resultsOf[string](t, c, "j"))
	require.ErrorIs(t, ended.SetResult(1), batch.ErrAttemptEnded)
	require.ErrorIs(t, batch.Attempt{}.SetResult(1), batch.ErrAttemptEnded)
}

// TestResultsFromManyGoroutines wants one of the values that were set at once, and
// none from a goroutine that is left behind, also when its run serves other attempts.
func TestResultsFromManyGoroutines(t *testing.T) {
	const count = 300
	left := make(chan batch.Attempt, count)
	job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(count), Parallelism: new(4),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			done := make(chan error)
			for n := range 4 {
				go func() { done <- a.SetResult([]int{a.Index, n}) }()
			}
			left <- a
			return errors.Join(<-done, <-done, <-done, <-done)
		})}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for a := range left {
			for !errors.Is(a.SetResult([]int{-1, 0}), batch.ErrAttemptEnded) {
				runtime.Gosched()
			}
		}
	}()
	c := newController(t, batch.Options{})
	apply(t, c, job)
	complete(t, c, "j")
	close(left)
	<-stop
	for i, v := range resultsOf[[]int](t, c, "j") {
		require.Contains(t, []int{i, -1}, v[0])
	}
}

func TestErrorsOfResults(t *testing.T) {
	store := new(disk)
	c := newController(t, batch.Options{Store: store})
	_, err := batch.Results[int](t.Context(), c, "none")
	require.ErrorIs(t, err, batch.ErrNotFound)
	apply(t, c, batch.Job{Name: "j", Executor: resulting(func(batch.Attempt) any { return "text" })})
	complete(t, c, "j")
	results, err := batch.Results[int](t.Context(), c, "j")
	require.ErrorContains(t, err, `batch: result 0 of job "j": json: cannot unmarshal string`)
	require.Empty(t, maps.Collect(results))
	for range results {
		t.Error("there is a result")
	}
	all, err := batch.Results[any](t.Context(), c, "j")
	require.NoError(t, err)
	for range all {
		break
	}
	for name, ctx := range map[string]context.Context{"ended": ended(errCause)} {
		_, err = batch.Results[string](ctx, c, "j")
		require.NoError(t, err, name) // there is nothing to wait for
	}
}

// TestResultsBeforeTheyAreDurable wants an error with them while the store fails.
func TestResultsBeforeTheyAreDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		job := batch.Job{Name: "j", Completions: new(2), Executor: batch.ExecutorFunc(
			func(_ context.Context, a batch.Attempt) error {
				time.Sleep(time.Minute)
				return a.SetResult(a.Number)
			})}
		apply(t, c, job)
		settle()
		store.set(func(func() error) error { return errDisk })
		time.Sleep(61 * time.Second)
		results, err := batch.Results[int](t.Context(), c, "j")
		storeError(t, err, errDisk)
		require.Equal(t, map[int]int{0: 0}, maps.Collect(results))
		require.Empty(t, resultsOf[int](t, fresh(t, &store), "j"))
		store.set(nil)
		complete(t, c, "j")
		require.Equal(t, map[int]int{0: 0, 1: 1}, resultsOf[int](t, fresh(t, &store), "j"))
	})
}

// TestResultsOfIndexesThatAreCutOff wants none of them, and new ones if they come back.
func TestResultsOfIndexesThatAreCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Store: new(batchtest.MemoryStore)})
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				switch {
				case a.Index == 0:
					return sleepUnlessDone(ctx, time.Hour)
				case a.Index == 3 && a.Number > 0:
					return nil
				}
				return a.SetResult(a.Number)
			})}
		apply(t, c, job)
		time.Sleep(time.Minute)
		require.Equal(t, map[int]int{1: 0, 2: 0, 3: 0}, resultsOf[int](t, c, "j"))
		resize := func(n int) {
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(n), new(n) }))
		}
		resize(2)
		require.Equal(t, map[int]int{1: 0}, resultsOf[int](t, c, "j"))
		resize(3)
		settle()
		require.Equal(t, map[int]int{1: 0, 2: 1}, resultsOf[int](t, c, "j"))
		resize(4)
		settle()
		require.True(t, get(t, c, "j").CompletedIndexes.Contains(3))
		require.Equal(t, map[int]int{1: 0, 2: 1}, resultsOf[int](t, c, "j"), "index 3 has no result this time")
		complete(t, c, "j")
	})
}

// TestStoreOfResults wants records of at most twice the bytes of the results, and
// commits that cost what is new.
func TestStoreOfResults(t *testing.T) {
	const count, size = 20_000, 20
	value := strings.Repeat("x", size-2)
	written, kept := make(map[string]int), make(map[string]int)
	for name, executor := range map[string]batch.Executor{
		"with results": resulting(func(batch.Attempt) any { return value }), "without": succeed,
	} {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(count), Parallelism: new(4),
			History: new(0), Executor: executor})
		complete(t, c, "j")
		shut(t, c)
		for _, records := range store.commits {
			for _, r := range records {
				written[name] += len(r.Key) + len(r.Value)
			}
		}
		for r, err := range store.Load(t.Context()) {
			require.NoError(t, err)
			if strings.HasPrefix(r.Key, "result") {
				kept[name] += len(r.Key) + len(r.Value)
			}
		}
	}
	require.Zero(t, kept["without"])
	require.LessOrEqual(t, kept["with results"], 2*count*size)
}
