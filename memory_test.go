package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
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

// memoryCases are jobs, and the most bytes that one takes once it has finished.
func memoryCases() map[string]struct {
	job  batch.Job
	most int
} {
	plain := batch.Job{History: new(0), TTLAfterFinished: new(24 * time.Hour), Labels: map[string]string{"app": "x"},
		Executor: succeed}
	failing, leaving := plain, plain
	failing.BackoffLimit, failing.Executor = new(0), fails(errCause)
	leaving.CompletionMode, leaving.Completions, leaving.BackoffLimitPerIndex = batch.Indexed, new(2), new(0)
	leaving.Input = "an input"
	leaving.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		if a.Index == 1 {
			return errCause
		}
		return a.SetResult("a result")
	})
	type row = struct {
		job  batch.Job
		most int
	}
	const least, left = 1024, 1280 // left: an input, a result, a failure, and two sets of indexes as they are stored
	return map[string]row{
		"complete":     {job: plain, most: least},
		"failed":       {job: failing, most: least},
		"with results": {job: leaving, most: least + left},
	}
}

// TestFinishedJobsTakeLittleMemory wants a job that has finished to need less than 1 KiB
// beside its history and what its attempts have left, in memory only and with a store,
// after it has been read, and after it has been opened.
func TestFinishedJobsTakeLittleMemory(t *testing.T) {
	const jobs = 3000
	for name, tc := range memoryCases() {
		t.Run(name, func(t *testing.T) {
			each := func(what string, o batch.Options, run bool) {
				o.FinishedJobs = 2 * jobs // each has its place in line
				before := heap()
				c, err := batch.New(t.Context(), o)
				require.NoError(t, err)
				if run {
					finishMany(t, c, jobs, tc.job)
				}
				lookAtAll(t, c, jobs)
				got := (heap() - before) / jobs
				t.Logf("%s: %d bytes", what, got)
				require.Less(t, got, tc.most, what)
				shut(t, c)
			}
			each("in memory", batch.Options{}, true)
			each("with a store", batch.Options{Store: nowhere{}}, true)
			store := new(batchtest.MemoryStore)
			c, err := batch.New(t.Context(), batch.Options{FinishedJobs: -1, Store: store})
			require.NoError(t, err)
			finishMany(t, c, jobs, tc.job)
			shut(t, c)
			each("opened", batch.Options{Store: store}, false)
		})
	}
}

// Nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) Load(context.Context) iter.Seq2[batch.Record, error] {
	return func(func(batch.Record, error) bool) {}
}

func (nowhere) Commit(context.Context, []batch.Record) error { return nil }

// lookAtAll asks for everything there is to know of each job.
func lookAtAll(t *testing.T, c *batch.Controller, jobs int) {
	t.Helper()
	seen := 0
	for s := range c.All() {
		seen++
		_, err := c.Job(s.Name)
		require.NoError(t, err)
		_, err = c.Attempts(t.Context(), s.Name)
		require.NoError(t, err)
		_, err = c.Events(t.Context(), s.Name)
		require.NoError(t, err)
		_, err = batch.Results[string](t.Context(), c, s.Name)
		require.NoError(t, err)
		failuresOf(t, c, s.Name)
	}
	require.Equal(t, jobs, seen)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestRemovedJobsAreFreed wants nothing to be kept of jobs that others removed, that
// have failed, or that have printed a lot.
func TestRemovedJobsAreFreed(t *testing.T) {
	payload := func() error { return &largeError{make([]byte, 1<<20)} }
	loud := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		_, err := io.WriteString(a.Stdout(), strings.Repeat(strings.Repeat("x", 1023)+"\n", 1024))
		return err
	})
	ways := map[string]struct {
		options batch.Options
		job     func(job *batch.Job)
		remove  func(c *batch.Controller, name string) error
	}{
		"as too many have finished": {options: batch.Options{FinishedJobs: 1}},
		"that have failed": {
			options: batch.Options{FinishedJobs: 1},
			job: func(job *batch.Job) {
				job.BackoffLimit, job.Executor = new(0), fn(func(context.Context) error { return payload() })
			},
		},
		"that have printed a lot": {
			options: batch.Options{FinishedJobs: 1},
			job:     func(job *batch.Job) { job.LogLimit, job.Executor = new(1<<20), loud },
		},
		"that were stored": {options: batch.Options{Store: new(batchtest.MemoryStore)},
			remove: func(c *batch.Controller, name string) error {
				return c.Delete(t.Context(), name, batch.DeleteBackground)
			}},
		"that ran again": {remove: func(c *batch.Controller, name string) error {
			_, err := c.Again(t.Context(), name, false)
			if err == nil {
				_, err = c.Wait(t.Context(), name)
			}
			return errors.Join(err, c.Delete(t.Context(), name, batch.DeleteBackground))
		}},
		"that were cancelled": {
			job: func(job *batch.Job) { job.Suspend = true },
			remove: func(c *batch.Controller, name string) error {
				return errors.Join(c.Cancel(t.Context(), name, payload()), c.Delete(t.Context(), name, batch.DeleteBackground))
			}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := newController(t, way.options)
			mostGrowth(t, 8, func(i int) {
				job := capturing(i)
				if way.job != nil {
					way.job(&job)
				}
				mustCreate(t, c, job)
				if !job.Suspend {
					_, err := c.Wait(t.Context(), job.Name)
					require.Equal(t, job.BackoffLimit == nil, err == nil, "%v", err)
				}
				if way.remove != nil {
					require.NoError(t, way.remove(c, job.Name))
				}
			})
		})
	}
}

// A largeError keeps a lot of memory.
type largeError struct{ payload []byte }

func (e *largeError) Error() string { return "large" }
