package batch_test

import (
	"context"
	"fmt"
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
