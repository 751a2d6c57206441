package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A cutStore keeps what it had after each commit.
type cutStore struct {
	batchtest.MemoryStore
	t    *testing.T
	told func() int

	mu   sync.Mutex // guards the field below
	cuts []cut
}

// A cut is a store as a crash leaves it.
type cut struct {
	store *batchtest.MemoryStore
	told  int // how much had been told
}

func (s *cutStore) Commit(ctx context.Context, records []batch.Record) error {
	if err := s.MemoryStore.Commit(ctx, records); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = append(s.cuts, cut{store: copyOf(s.t, &s.MemoryStore), told: s.told()})
	return nil
}

// Wherever a process is killed between two commits, the next one tells the rest: together
// they have told everything, in order, and again at most what came last.
func TestSubscribeOverACrashAfterEachCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var first receiver
		store := &cutStore{t: t, told: func() int {
			first.mu.Lock()
			defer first.mu.Unlock()
			return len(first.told)
		}}
		c := newController(t, batch.Options{Store: store, FinishedJobs: 2})
		stop := subscribe(t, c, "mail", first.deliver)
		settle()
		registered := len(store.cuts)
		runChain(t, c)
		require.ErrorIs(t, stop(), errCause)
		shut(t, c)
		all := first.since()
		require.Len(t, all, 12)
		require.Greater(t, len(store.cuts), 24)
		for _, cut := range store.cuts[registered-1:] {
			var second receiver
			c := newController(t, batch.Options{Store: cut.store, FinishedJobs: 2})
			stop := subscribe(t, c, "mail", second.deliver)
			runChain(t, c)
			settle()
			require.ErrorIs(t, stop(), errCause)
			shut(t, c)
			told := second.since()
			require.Equal(t, strings.Join(all[len(all)-len(told):], ", "), strings.Join(told, ", "), "in order, to the end")
			again := len(told) - (len(all) - cut.told)
			require.True(t, again == 0 || again == 1, "%d were told again after %d", again, cut.told)
		}
	})
}

// runChain runs jobs, each after the one before, but those of which the store knows that
// they have ended, by the records of an extension.
func runChain(t *testing.T, c *batch.Controller) {
	t.Helper()
	for i := range 12 {
		job := batch.Job{Name: fmt.Sprintf("j%02d", i), BackoffLimit: new(0), Executor: succeed}
		if i%3 == 1 {
			job.Executor = fails(errCause)
		}
		done := "chain/" + job.Name
		if hasRecord(c, done) {
			continue
		}
		apply(t, c, job)
		_, err := c.Wait(t.Context(), job.Name)
		if _, failed := errors.AsType[*batch.JobError](err); !failed {
			require.NoError(t, err)
		}
		require.NoError(t, c.SaveRecord(t.Context(), done, []byte{}))
		if i%4 == 2 {
			require.NoError(t, c.Delete(t.Context(), job.Name, batch.DeleteBackground))
		}
		settle()
	}
}

func hasRecord(c *batch.Controller, key string) bool {
	for range c.Records(key) {
		return true
	}
	return false
}
