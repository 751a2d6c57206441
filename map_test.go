package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// mapErrorOf is the error of a map, which must have one.
func mapErrorOf(t *testing.T, err error) *batch.JobError {
	t.Helper()
	e, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "not a JobError: %v", err)
	return e
}

// TestMapSaysWhichItemsFailed wants the last error of every failed item, also if the
// job keeps nothing, and no item that a retry has saved.
func TestMapSaysWhichItemsFailed(t *testing.T) {
	for name, history := range map[string]*int{"by default": nil, "without a history": new(0),
		"with a short one": new(10)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const items = 3000
				job := batch.Job{
					Name: "map", Parallelism: new(8), BackoffLimitPerIndex: new(1), History: history,
					Backoff: batch.ConstantBackoff(0),
				}
				results, err := batch.Map(t.Context(), job, make([]struct{}, items),
					func(ctx context.Context, _ struct{}) (int, error) {
						a, _ := batch.AttemptFrom(ctx)
						if a.Index%2 == 0 || a.Index%3 == 0 && a.Number > 0 {
							return a.Index, nil
						}
						return 0, fmt.Errorf("item %d, attempt %d", a.Index, a.Number)
					})
				e := mapErrorOf(t, err)
				require.Equal(t, items-1000, e.Status.CompletedIndexes.Len())
				jobErr := failed(t, err, batch.ReasonFailedIndexes)
				n := 0
				for i, attempt := range jobErr.Indexes() {
					n++
					require.True(t, i%2 == 1 && i%3 != 0, i)
					require.Equal(t, i, attempt.Index)
					require.EqualError(t, attempt.Err, fmt.Sprintf("item %d, attempt 1", i))
				}
				require.Equal(t, 1000, n)
				for i := range e.Status.CompletedIndexes.All() {
					require.Equal(t, i, results[i])
				}
			})
		})
	}
}

// TestFailedIndexesSurviveTheProcess wants the last errors of failed indexes back from
// a store, whatever History is.
func TestFailedIndexesSurviveTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(5), Parallelism: new(5),
			BackoffLimitPerIndex: new(0),
			History:              new(0), Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index%2 == 0 {
					return nil
				}
				return fmt.Errorf("index %d: %w", a.Index, exit(40+a.Index))
			})}
		c := newController(t, batch.Options{Store: store})
		_, first := c.Run(t.Context(), job)
		require.NoError(t, c.Shutdown(t.Context()))
		c = newController(t, batch.Options{Store: store})
		_, second := c.Wait(t.Context(), "j")
		for _, err := range []error{first, second} {
			jobErr := failed(t, err, batch.ReasonFailedIndexes)
			indexes := []int{}
			for i, attempt := range jobErr.Indexes() {
				indexes = append(indexes, i)
				require.EqualError(t, attempt.Err, fmt.Sprintf("index %d: exit", i))
				require.Equal(t, 40+i, attempt.ExitCode)
				require.Contains(t, attempt.Attempt, fmt.Sprintf("j-%d-", i))
			}
			require.Equal(t, []int{1, 3}, indexes)
		}
	})
}

// TestCancelledMap wants the items that had succeeded, and the last error.
func TestCancelledMap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
		defer cancel()
		results, err := batch.Map(ctx, batch.Job{Name: "map", Parallelism: new(4)}, []int{1, 100, 0, 2},
			func(ctx context.Context, n int) (int, error) {
				if n == 0 {
					return 0, errDisk
				}
				return n, sleepUnlessDone(ctx, time.Duration(n)*time.Second)
			})
		e := mapErrorOf(t, err)
		require.Equal(t, "0,3", e.Status.CompletedIndexes.String())
		require.Equal(t, []int{1, 0, 0, 2}, results)
		require.ErrorIs(t, err, errCause)
		require.ErrorIs(t, err, errDisk)
		require.ErrorContains(t, err, `job "map"`)
	})
}

// TestMapOfItemsThatTimeOut wants no value of an attempt that did not count.
func TestMapOfItemsThatTimeOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, limit := range map[string]int{"the item has failed": 0, "another attempt has succeeded": 1} {
			job := batch.Job{
				Name: "map", AttemptTimeout: new(time.Second), BackoffLimitPerIndex: new(limit), Backoff: batch.ConstantBackoff(0),
			}
			results, err := batch.Map(t.Context(), job, []int{7}, func(ctx context.Context, n int) (int, error) {
				if a, _ := batch.AttemptFrom(ctx); a.Number == 1 {
					return 70, nil
				}
				time.Sleep(3 * time.Second)
				return n, nil
			})
			require.Equal(t, []int{70 * limit}, results, name)
			require.Equal(t, limit == 1, err == nil, name)
			require.Equal(t, limit == 0, errors.Is(err, batch.ErrAttemptTimeout), name)
		}
	})
}

// TestDefaultsOfMap wants as many calls at once as there are processors, and a retry
// within seconds.
func TestDefaultsOfMap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most atomic.Int64
		items := make([]int, 4*runtime.GOMAXPROCS(0))
		_, err := batch.Map(t.Context(), batch.Job{Name: "map"}, items, func(context.Context, int) (int, error) {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return 0, nil
		})
		require.NoError(t, err)
		require.Equal(t, int64(runtime.GOMAXPROCS(0)), most.Load())
		start := time.Now()
		_, err = batch.Map(
			t.Context(), batch.Job{Name: "map"}, []int{1}, func(context.Context, int) (int, error) { return 0, errDisk },
		)
		require.ErrorIs(t, err, errDisk)
		require.Less(t, time.Since(start), 20*time.Second) // 100 ms, doubling, six times, and half as much again
		require.Greater(t, time.Since(start), 3*time.Second)
	})
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

var mapTests = map[string]struct {
	job    batch.Job
	items  []int
	fn     func(ctx context.Context, n int) (int, error)
	want   []int
	reason string
	took   time.Duration
}{
	"all is well": {
		job: batch.Job{Parallelism: new(3)}, items: []int{1, 2, 3, 4, 5}, fn: double, want: []int{2, 4, 6, 8, 10},
		took: 0,
	},
	"no items": {job: batch.Job{}, fn: double, want: []int{}, took: 0},
	"one at a time": {
		job: batch.Job{Parallelism: new(1)}, items: []int{1, 2, 3},
		fn: func(context.Context, int) (int, error) { time.Sleep(time.Second); return 1, nil }, want: []int{1, 1, 1},
		took: 3 * time.Second,
	},
	"an item is retried": {
		job: batch.Job{Backoff: batch.ExponentialBackoff(10*time.Second, time.Hour, 0)}, items: []int{1, 2},
		fn: func(ctx context.Context, n int) (int, error) {
			a, ok := batch.AttemptFrom(ctx)
			if !ok || n == 1 && a.Number < 2 {
				return 77, errDisk
			}
			return a.Number, nil
		},
		want: []int{2, 0}, took: 30 * time.Second,
	},
	"an item fails for good": {
		job: batch.Job{Parallelism: new(3), BackoffLimitPerIndex: new(1),
			Backoff: batch.ConstantBackoff(10 * time.Second)},
		items: []int{1, 2, 3}, fn: func(_ context.Context, n int) (int, error) {
			if n == 2 {
				return 77, errDisk
			}
			return n, nil
		},
		want: []int{1, 0, 3}, reason: batch.ReasonFailedIndexes, took: 10 * time.Second,
	},
	"an item panics": {job: batch.Job{Parallelism: new(3), BackoffLimitPerIndex: new(0)}, items: []int{1, 2, 3},
		fn: func(_ context.Context, n int) (int, error) {
			if n == 2 {
				panic("gotcha")
			}
			return n, nil
		}, want: []int{1, 0, 3}, reason: batch.ReasonFailedIndexes, took: 0},
	"a common limit": {job: batch.Job{Parallelism: new(1), BackoffLimit: new(0)}, items: []int{1, 2, 3},
		fn: func(_ context.Context, n int) (int, error) {
			if n == 2 {
				return 0, errDisk
			}
			return n, nil
		}, want: []int{1, 0, 0}, reason: batch.ReasonBackoffLimitExceeded, took: 0},
}

func TestMap(t *testing.T) {

	for name, test := range mapTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				test.job.Name = "map"
				start := time.Now()
				got, err := batch.Map(t.Context(), test.job, test.items, test.fn)
				require.Equal(t, test.want, got)
				require.Equal(t, test.took, time.Since(start))
				if test.reason == "" {
					require.NoError(t, err)
				} else {
					failed(t, err, test.reason)
				}
			})
		})
	}
}

func TestMapIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
		defer cancel()
		got, err := batch.Map(ctx, batch.Job{Name: "map", Parallelism: new(3)}, []int{1, 100, 2},
			func(ctx context.Context, n int) (string, error) {
				return fmt.Sprint(n), func() error {
					if err := sleep(ctx, time.Duration(n)*time.Second); err != exit(3) {
						return err
					}
					return nil
				}()
			})
		require.ErrorIs(t, err, errCause)
		require.Equal(t, []string{"1", "", "2"}, got)
	})
}

func TestMapForbids(t *testing.T) {
	_, err := batch.Map(t.Context(), batch.Job{Name: "map", Executor: succeed, Completions: new(1),
		CompletionMode: batch.NonIndexed},
		[]int{1}, (func(context.Context, int) (int, error))(nil))
	require.EqualError(t, err, `batch: job "map" is invalid: Executor: Required value: the function of Map is nil; `+
		`Executor: Forbidden: is set by Map; Completions: Forbidden: is set by Map; CompletionMode: Forbidden: is set by Map`)
	_, err = batch.Map(t.Context(), batch.Job{}, []int{1}, func(context.Context, int) (int, error) { return 0, nil })
	require.ErrorContains(t, err, "Name: Required value: a job needs a name")
}

// TestMapKeepsValuesAsTheyAre wants values that no encoding would give back, and those
// of the items that have succeeded only.
func TestMapKeepsValuesAsTheyAre(t *testing.T) {
	type secret struct{ n int }
	results, err := batch.Map(t.Context(), batch.Job{Name: "map", BackoffLimitPerIndex: new(0)}, []int{0, 1, 2, 3},
		func(ctx context.Context, n int) (any, error) {
			a, _ := batch.AttemptFrom(ctx)
			require.NoError(t, a.SetResult("not this"))
			switch n {
			case 0:
				return nil, nil
			case 2:
				return secret{n}, errDisk
			}
			return secret{n}, nil
		})
	require.Equal(t, "2", mapErrorOf(t, err).Status.FailedIndexes.String())
	require.Equal(t, []any{nil, secret{1}, nil, secret{3}}, results)
}

// TestMapThatIsLeft wants no write to the results after Map has returned, by an item
// that was abandoned.
func TestMapThatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		job := batch.Job{Name: "map", Parallelism: new(2), TerminationGracePeriod: new(time.Second)}
		results, err := batch.Map(ctx, job, []int{0, 60}, func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Duration(n) * time.Hour)
			return n + 1, nil
		})
		require.Equal(t, "0", mapErrorOf(t, err).Status.CompletedIndexes.String())
		left, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok, "it must say what it has left: %v", err)
		require.Len(t, left.Attempts, 1)
		require.Equal(t, []int{1, 0}, results)
		time.Sleep(100 * time.Hour)
		require.Equal(t, []int{1, 0}, results)
	})
}
