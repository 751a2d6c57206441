package batch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// finish has jobs finish one after the other.
func finish(t *testing.T, c *batch.Controller, first, n int) {
	t.Helper()
	for i := range n {
		_, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprintf("job-%02d", first+i), Executor: succeed})
		require.NoError(t, err)
		time.Sleep(time.Second)
	}
	synctest.Wait()
}

func namesOf(c *batch.Controller) (names []string) {
	for s := range c.All() {
		names = append(names, s.Name)
	}
	return names
}

func TestFinishedJobsAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{FinishedJobs: 3, Store: &store})
		mustCreate(t, c, batch.Job{Name: "a-first-that-waits", Suspend: true, Executor: succeed})
		finish(t, c, 0, 2)
		require.Equal(t, []string{"a-first-that-waits", "job-00", "job-01"}, namesOf(c))
		finish(t, c, 2, 4)
		require.Equal(t, []string{"a-first-that-waits", "job-03", "job-04", "job-05"}, namesOf(c))
		require.NoError(t, c.Delete(t.Context(), "job-04", batch.DeleteBackground))
		finish(t, c, 6, 1)
		require.Equal(t, []string{"a-first-that-waits", "job-03", "job-05", "job-06"}, namesOf(c))
		shut(t, c)

		c = newController(t, batch.Options{FinishedJobs: 2, Store: &store})
		synctest.Wait()
		require.Equal(t, []string{"a-first-that-waits", "job-05", "job-06"}, namesOf(c))
	})
}

func TestAllFinishedJobsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{FinishedJobs: -1})
		finish(t, c, 0, 20)
		require.Len(t, namesOf(c), 20)
	})
}

// A job that is removed as it finishes takes no place.
func TestFinishedJobsWithoutTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{FinishedJobs: 1})
		finish(t, c, 0, 1)
		for range 5 {
			_, err := c.Run(t.Context(), batch.Job{Name: "gone", TTLAfterFinished: new(time.Duration(0)), Executor: succeed})
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, []string{"job-00"}, namesOf(c))
	})
}

func TestStoreServesOneController(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		first := newController(t, batch.Options{Store: &store})
		_, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		mustCreate(t, first, batch.Job{Name: "j", Executor: succeed})
		complete(t, first, "j")
		shut(t, first)
		second := newController(t, batch.Options{Store: &store})
		require.Equal(t, 1, get(t, second, "j").Succeeded)
	})
}

// A job without a time to live is removed as it finishes; who waits for it gets its outcome.
// The stories have the other times to live.
func TestTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "now", TTLAfterFinished: new(time.Duration(0)), Executor: takes(time.Second)})
		s, err := c.Wait(t.Context(), "now")
		require.NoError(t, err)
		require.True(t, s.Is(batch.ConditionComplete))
		_, err = c.Get("now")
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = c.Wait(t.Context(), "now")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// What is over leaves the store.
func TestStoreForgets(t *testing.T) {
	for name, remove := range map[string]func(ctx context.Context, c *batch.Controller) error{
		"Background": func(ctx context.Context, c *batch.Controller) error {
			return c.Delete(ctx, "j", batch.DeleteBackground)
		},
		"Foreground": func(ctx context.Context, c *batch.Controller) error {
			return c.Delete(ctx, "j", batch.DeleteForeground)
		},
		"Orphan": func(ctx context.Context, c *batch.Controller) error { return c.Delete(ctx, "j", batch.DeleteOrphan) },
		"TTL": func(ctx context.Context, c *batch.Controller) error {
			return c.Update(ctx, "j", func(j *batch.Job) { j.TTLAfterFinished = new(time.Duration(0)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2000), Parallelism: new(7),
					BackoffLimitPerIndex: new(2),
					Backoff:              batch.ConstantBackoff(time.Second), Executor: batch.ExecutorFunc(func(ctx context.Context,
						a batch.Attempt) error {
						if a.SetOutput("x"); a.Index%3 == 0 {
							return exit(3)
						}
						return lasts(ctx, time.Second)
					})})
				time.Sleep(10 * time.Second)
				require.Greater(t, len(recorded(t, &store)), 10)
				require.NoError(t, remove(t.Context(), c))
				time.Sleep(time.Hour)
				require.Equal(t, []string{"/claim", "/clock", "/dirs", "/format"}, recorded(t, &store))
				shut(t, c)
				require.Equal(t, []string{"/clock", "/dirs", "/format"}, recorded(t, &store))
			})
		})
	}
}

// TestDefaultOfFinishedJobs wants a controller to keep the 10,000 that finished last.
func TestDefaultOfFinishedJobs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		const kept, more = 10_000, 50
		finishMany(t, c, kept+more, batch.Job{Executor: succeed})
		synctest.Wait()
		names := namesOf(c)
		require.Equal(t, kept, len(names))
		require.Equal(t, fmt.Sprintf("job-%06d", more), names[0])
	})
}
