package batch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJobGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store MemoryStore
		ran := make(map[int]int)
		job := Job{Name: "import", CompletionMode: Indexed, Completions: new(10), Parallelism: new(1),
			Executor: ExecutorFunc(func(ctx context.Context, a Attempt) error {
				ran[a.Index]++
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})}
		c, err := New(Options{Store: &store})
		require.NoError(t, err)
		status, err := c.Apply(t.Context(), job)
		require.NoError(t, err)
		require.Equal(t, "Running", status.State())
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		now, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, c.Shutdown(now))
		before, err := c.Get("import")
		require.NoError(t, err)
		require.Equal(t, "0-2", before.CompletedIndexes.String())

		c, err = New(Options{Store: &store})
		require.NoError(t, err)
		waiting, err := c.Get("import")
		require.NoError(t, err)
		require.Equal(t, "waits to be declared: no executor has been declared with Apply", waiting.Explain())
		require.Equal(t, before.CompletedIndexes, waiting.CompletedIndexes)
		require.Equal(t, before.UID, waiting.UID)
		require.Equal(t, before.StartTime.UnixNano(), waiting.StartTime.UnixNano())
		_, err = c.Apply(t.Context(), job)
		require.NoError(t, err)
		done, err := c.Wait(t.Context(), "import")
		require.NoError(t, err)
		require.Equal(t, 10, done.Succeeded)
		require.Equal(t, map[int]int{0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1}, ran)
		require.NoError(t, c.Shutdown(t.Context()))

		c, err = New(Options{Store: &store})
		require.NoError(t, err)
		again, err := c.Apply(t.Context(), job)
		require.NoError(t, err)
		require.True(t, again.Is(ConditionComplete))
		require.Equal(t, done.CompletionTime.UnixNano(), again.CompletionTime.UnixNano())
		require.NoError(t, c.Shutdown(t.Context()))
	})
}
