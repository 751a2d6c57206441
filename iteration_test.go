package batch_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// upTo is a sequence of the numbers from 1 to n.
func upTo(n int) batch.Iteration[int, int] {
	return batch.Iteration[int, int]{
		Items: func(_ context.Context, after int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := after + 1; i <= n && yield(i, nil); i++ {
				}
			}
		},
		Cursor: func(i int) int { return i },
	}
}

// attempt runs f as the executor of a job that must not fail.
func attempt(t *testing.T, f func(ctx context.Context, a batch.Attempt)) {
	_, err := batch.Run(t.Context(), batch.Job{Name: "job", BackoffLimit: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error { f(ctx, a); return nil })})
	require.NoError(t, err)
}

// TestIterationGoesOnInAnotherProcess shuts the controller down again and again
// while items are being worked on.
func TestIterationGoesOnInAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		done := make(map[int]int)
		var resumed []int
		numbers := upTo(50)
		numbers.Do = func(ctx context.Context, i int) error { time.Sleep(time.Second); done[i]++; return nil }
		numbers.SaveEvery = -1
		job := batch.Job{Name: "numbers", Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			result, err := numbers.Run(ctx, a)
			if result.ResumedFrom != nil {
				resumed = append(resumed, *result.ResumedFrom)
			}
			return err
		})}
		for finished := false; !finished; {
			c, err := batch.New(t.Context(), batch.Options{Store: &store})
			require.NoError(t, err)
			_, err = c.Apply(t.Context(), job)
			require.NoError(t, err)
			soon, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
			status, _ := c.Wait(soon, "numbers")
			finished = status.Finished()
			require.NoError(t, c.Shutdown(soon))
			cancel()
		}
		require.Equal(t, []int{11, 22, 33, 44}, resumed, "the item in work is finished at a shutdown")
		require.Len(t, done, 50)
		for i, times := range done {
			require.Equal(t, 1, times, "item %d", i)
		}
	})
}

func TestIterationsOfOneAttempt(t *testing.T) {
	attempt(t, func(ctx context.Context, a batch.Attempt) {
		count := 0
		for _, name := range []string{"first", "second", "first"} {
			numbers := upTo(3)
			numbers.Name = name
			numbers.Do = func(context.Context, int) error { count++; return nil }
			result, err := numbers.Run(ctx, a)
			require.NoError(t, err)
			require.Equal(t, 3, result.Done)
		}
		require.Equal(t, 6, count, "the first one was over")
		require.Nil(t, a.Checkpoint(), "which is the executor's own")
	})
}

var errItem = errors.New("broken")

func failsAt(at int, err error) func(context.Context, int) error {
	return func(_ context.Context, i int) error {
		if i == at {
			return err
		}
		return nil
	}
}

var iterationErrorsTests = map[string]struct {
	change func(it *batch.Iteration[int, int])
	check  func(t *testing.T, result batch.Iterated[int], err error)
}{
	"an item": {change: func(it *batch.Iteration[int, int]) { it.Do = failsAt(3, errItem) },
		check: func(t *testing.T, result batch.Iterated[int], err error) {
			failed, ok := errors.AsType[*batch.ItemError[int]](err)
			require.True(t, ok)
			require.ErrorIs(t, err, errItem)
			require.EqualError(t, err, "batch: item at cursor 3: broken")
			require.Equal(t, 3, failed.Cursor)
			require.Equal(t, 2, result.Done)
		}},
	"too many items": {change: func(it *batch.Iteration[int, int]) {
		it.Do = func(context.Context, int) error { return errItem }
		it.MaxSkipped = 2
	}, check: func(t *testing.T, result batch.Iterated[int], err error) {
		require.EqualError(t, err, "batch: item at cursor 3: broken")
		require.Equal(t, []*batch.ItemError[int]{{1, 1, errors.New("broken")}, {2, 1, errors.New("broken")}}, result.Skipped)
	}},
	"a permanent error": {change: func(it *batch.Iteration[int, int]) {
		it.Do, it.MaxSkipped = failsAt(2, batch.Permanent(errItem)), 10
	}, check: func(t *testing.T, result batch.Iterated[int], err error) {
		require.ErrorIs(t, err, errItem)
		require.Empty(t, result.Skipped)
	}},
	"a panic": {change: func(it *batch.Iteration[int, int]) {
		it.Do = func(context.Context, int) error { panic(errItem) }
	}, check: func(t *testing.T, _ batch.Iterated[int], err error) {
		panicked, ok := errors.AsType[*batch.PanicError](err)
		require.True(t, ok)
		require.ErrorIs(t, err, errItem)
		require.Contains(t, string(panicked.Stack), "iteration_test.go")
	}},
	"a field": {change: func(it *batch.Iteration[int, int]) { it.ChunkSize = -1 },
		check: func(t *testing.T, _ batch.Iterated[int], err error) {
			require.ErrorContains(t, err, "batch: iteration: Do, DoChunk: one is required")
		}},
	"a name that is too long": {change: func(it *batch.Iteration[int, int]) { it.Name = strings.Repeat("x", 51) },
		check: func(t *testing.T, _ batch.Iterated[int], err error) {
			require.EqualError(t, err, "batch: name of an iteration: 51 bytes: at most 50 are allowed")
		}},
}

func TestIterationErrors(t *testing.T) {

	for name, test := range iterationErrorsTests {
		t.Run(name, func(t *testing.T) {
			attempt(t, func(ctx context.Context, a batch.Attempt) {
				it := upTo(5)
				test.change(&it)
				result, err := it.Run(ctx, a)
				test.check(t, result, err)
			})
		})
	}
}

func TestIterationOfAnotherKind(t *testing.T) {
	attempt(t, func(ctx context.Context, a batch.Attempt) {
		one := upTo(3)
		one.Do = func(context.Context, int) error { return nil }
		_, err := one.Run(ctx, a)
		require.NoError(t, err)
		other := batch.Iteration[string, string]{Do: func(context.Context, string) error { t.Error("called"); return nil },
			Items:  func(context.Context, string) iter.Seq2[string, error] { return func(func(string, error) bool) {} },
			Cursor: func(s string) string { return s }}
		_, err = other.Run(ctx, a)
		require.ErrorIs(t, err, batch.ErrBadCheckpoint)
	})
}

func TestIterationWhoseCheckpointIsTooLarge(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{Name: "job", BackoffLimit: new(0), CheckpointLimit: new(10),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			it := upTo(3)
			it.Do = func(context.Context, int) error { return nil }
			_, err := it.Run(ctx, a)
			return err
		})})
	require.ErrorIs(t, err, batch.ErrTooLarge)
}

// A source that is refused more than one item at a time is read to its end.
func TestIterationWhoseSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused, done := errors.New("too many requests"), map[int]int{}
		it := upTo(10)
		it.Do = func(_ context.Context, i int) error { done[i]++; return nil }
		it.Items = func(_ context.Context, after int) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if after < 10 && yield(after+1, nil) {
					yield(0, refused)
				}
			}
		}
		attempts := 0
		_, err := batch.Run(t.Context(), batch.Job{Name: "job", BackoffLimit: new(20),
			Backoff: batch.ConstantBackoff(time.Second),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				result, err := it.Run(ctx, a)
				attempts++
				require.Equal(t, min(attempts, 10), result.Done)
				if attempts <= 10 {
					require.ErrorIs(t, err, refused)
				}
				return err
			})})
		require.NoError(t, err)
		require.Equal(t, 11, attempts)
		for i := range 10 {
			require.Equal(t, 1, done[i+1], "item %d", i+1)
		}
	})
}

// The checkpoint of an iteration has room for any number of skipped items.
func TestIterationThatSkipsMany(t *testing.T) {
	attempt(t, func(ctx context.Context, a batch.Attempt) {
		it := upTo(10_000)
		it.MaxSkipped, it.ChunkSize = 10_000, 100
		it.Do = func(context.Context, int) error { return errors.New(strings.Repeat("a long error ", 20)) }
		for range 2 { // the second time it is loaded
			result, err := it.Run(ctx, a)
			require.NoError(t, err)
			require.Equal(t, 10_000, len(result.Skipped)+result.Unlisted)
		}
	})
}
