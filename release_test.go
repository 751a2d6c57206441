package batch_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestJobsThatGoAreFreed wants nothing that an executor has captured, and no log, to
// be kept of a job that is gone, whichever way it went.
func TestJobsThatGoAreFreed(t *testing.T) {
	remove := func(p string) func(t *testing.T, c *batch.Controller, job batch.Job) {
		return func(t *testing.T, c *batch.Controller, job batch.Job) {
			mustCreate(t, c, job)
			_, err := c.Wait(t.Context(), job.Name)
			require.NoError(t, err)
			require.NoError(t, c.Delete(t.Context(), job.Name, p))
		}
	}
	ways := map[string]func(t *testing.T, c *batch.Controller, job batch.Job){
		"Background": remove(batch.DeleteBackground),
		"Foreground": remove(batch.DeleteForeground),
		"Orphan":     remove(batch.DeleteOrphan),
		"a TTL of 0": func(t *testing.T, c *batch.Controller, job batch.Job) {
			job.TTLAfterFinished = new(time.Duration(0))
			_, err := c.Run(t.Context(), job)
			require.NoError(t, err)
		},
		"Background, while it runs": func(t *testing.T, c *batch.Controller, job batch.Job) {
			removeWhileItRuns(t, c, job, batch.DeleteBackground)
		},
		"Foreground, while it runs": func(t *testing.T, c *batch.Controller, job batch.Job) {
			removeWhileItRuns(t, c, job, batch.DeleteForeground)
		},
		"Orphan, while it runs": func(t *testing.T, c *batch.Controller, job batch.Job) {
			removeWhileItRuns(t, c, job, batch.DeleteOrphan)
		},
		"Run": func(t *testing.T, _ *batch.Controller, job batch.Job) {
			_, err := batch.Run(t.Context(), job)
			require.NoError(t, err)
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := newController(t, batch.Options{})
			mostGrowth(t, 8, func(i int) { way(t, c, capturing(i)) })
			require.Empty(t, slices.Collect(c.All()))
		})
	}
}

func removeWhileItRuns(t *testing.T, c *batch.Controller, job batch.Job, p string) {
	running, released := make(chan struct{}), make(chan struct{})
	inner := job.Executor
	job.Executor = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		defer close(released)
		close(running)
		if p != batch.DeleteOrphan {
			<-ctx.Done()
		}
		return inner.Execute(ctx, a)
	})
	mustCreate(t, c, job)
	<-running
	require.NoError(t, c.Delete(t.Context(), job.Name, p))
	<-released
	for {
		if _, err := c.Attempts(t.Context(), job.Name); err != nil {
			return
		}
		runtime.Gosched()
	}
}

// capturing is a job whose executor has captured a megabyte, and prints.
func capturing(i int) batch.Job {
	payload := make([]byte, 1<<20)
	return batch.Job{Name: fmt.Sprint("j", i), Executor: batch.ExecutorFunc(func(_ context.Context,
		a batch.Attempt) error {
		payload[0]++
		_, err := fmt.Fprintln(a.Stdout(), "done")
		return err
	})}
}

// mostGrowth calls f 64 times and wants the heap to have grown by at most so many MiB.
func mostGrowth(t *testing.T, limit int, f func(i int)) {
	t.Helper()
	before := heapMiB()
	for i := range 64 {
		f(i)
	}
	require.LessOrEqual(t, heapMiB()-before, limit)
}

func heapMiB() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}

// TestJobsThatWaitForASlotAreFreed wants jobs that were deleted in line not to stay
// there.
func TestJobsThatWaitForASlotAreFreed(t *testing.T) {
	c := newController(t, batch.Options{MaxActive: 1})
	running := make(chan struct{})
	mustCreate(t, c, batch.Job{
		Name: "long", Executor: fn(func(ctx context.Context) error { close(running); <-ctx.Done(); return nil }),
	})
	<-running
	mostGrowth(t, 8, func(i int) {
		job := capturing(i)
		mustCreate(t, c, job)
		require.NoError(t, c.Delete(t.Context(), job.Name, batch.DeleteBackground))
	})
}

// TestFinishedJobKeepsLittle wants a finished job not to keep what it had for its
// next attempts.
func TestFinishedJobKeepsLittle(t *testing.T) {
	c := newController(t, batch.Options{})
	mostGrowth(t, 16, func(i int) {
		_, err := c.Run(t.Context(), batch.Job{Name: fmt.Sprint("j", i), Completions: new(2000), Parallelism: new(2000),
			History:  new(0),
			Executor: succeed})
		require.NoError(t, err)
	})
}
