package batch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A tally is a store that counts what it is given, also what it refuses.
type tally struct {
	batchtest.MemoryStore
	mu             sync.Mutex
	refuses        bool
	records, bytes int // since the last call of take
	largest        int // commit, in bytes
}

func (s *tally) Commit(ctx context.Context, records []batch.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for _, r := range records {
		bytes += len(r.Job) + len(r.Key) + len(r.Value)
	}
	s.records, s.bytes, s.largest = s.records+len(records), s.bytes+bytes, max(s.largest, bytes)
	if s.refuses {
		return errFull
	}
	return s.MemoryStore.Commit(ctx, records)
}

func (s *tally) refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = on
}

// take returns what was counted, and counts anew.
func (s *tally) take() (records, bytes, largest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records, bytes, largest = s.records, s.bytes, s.largest
	s.records, s.bytes, s.largest = 0, 0, 0
	return records, bytes, largest
}

// What a store is given after a failed commit, and when its controller shuts down, is
// what has changed, however many jobs there are: most have finished, and others wait.
func TestFailedCommitDoesNotGrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(tally)
		c := newController(t, batch.Options{Store: store, FinishedJobs: -1})
		const finished, waiting = 1000, 200
		finishMany(t, c, finished, batch.Job{Executor: succeed})
		for i := range waiting {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("suspended-", i), Suspend: true, Executor: succeed})
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("retried-", i), Backoff: batch.ConstantBackoff(24 * time.Hour),
				Executor: fails(errCause)})
		}
		mustCreate(t, c, batch.Job{Name: "last", Completions: new(2),
			Executor: fn(func(ctx context.Context) error { return lasts(ctx, time.Minute) })})
		settle()
		store.take()

		const mostRecords, mostBytes = 12, 3000 // of the one job to which something happens, and of the store
		store.refuse(true)
		time.Sleep(10 * time.Minute)
		_, _, largest := store.take()
		require.NotZero(t, largest, "nothing was refused")
		require.Less(t, largest, mostBytes, "a commit has grown")
		require.Equal(t, "", stallOf(t, c, "job-000000"))
		require.NotEmpty(t, stallOf(t, c, "suspended-0"))
		store.refuse(false)
		time.Sleep(time.Minute)
		records, bytes, _ := store.take()
		require.NotZero(t, records)
		require.LessOrEqual(t, records, mostRecords, "recovery")
		require.Less(t, bytes, mostBytes, "recovery")
		shut(t, c)
		records, bytes, _ = store.take()
		require.LessOrEqual(t, records, mostRecords, "shutdown")
		require.Less(t, bytes, mostBytes, "shutdown")
	})
}

// stallOf says why a job is stalled; empty if it is not.
func stallOf(t *testing.T, c *batch.Controller, name string) string {
	t.Helper()
	for _, condition := range get(t, c, name).Conditions {
		if condition.Type == batch.ConditionStalled {
			return condition.Message
		}
	}
	return ""
}

// finishMany has jobs run that are alike but for their names.
func finishMany(t *testing.T, c *batch.Controller, n int, job batch.Job) {
	t.Helper()
	for i := range n {
		job.Name = fmt.Sprintf("job-%06d", i)
		_, err := c.Run(t.Context(), job)
		if _, failed := errors.AsType[*batch.JobError](err); !failed {
			require.NoError(t, err)
		}
	}
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
	return map[string]row{"complete": {plain, least}, "failed": {failing, least}, "with results": {leaving, least + left}}
}

// TestFinishedJobsTakeLittleMemory wants a job that has finished to need less than 1 KiB
// beside its history and what its attempts have left, in memory only and with a store,
// after somebody has looked at it, and after it has been opened.
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
