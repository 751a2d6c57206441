package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A limited store takes no large values, as some databases do not.
type limited struct{ batchtest.MemoryStore }

var errLarge = errors.New("value too large")

func (l *limited) Commit(ctx context.Context, records []batch.Record) error {
	for _, r := range records {
		if len(r.Value) > 400<<10 {
			return errLarge
		}
	}
	return l.MemoryStore.Commit(ctx, records)
}

// One job whose record the store refuses stalls by itself, and can be deleted.
func TestStoreThatRefusesOneJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Store: new(limited)})
		mustCreate(t, c, batch.Job{Name: "good", Completions: new(1000), Executor: takes(10 * time.Millisecond)})
		bad := make(chan error, 1)
		mustCreate(t, c, batch.Job{Name: "bad", Executor: batch.ExecutorFunc(func(ctx context.Context,
			a batch.Attempt) error {
			bad <- a.SaveCheckpoint(ctx, make([]byte, 500<<10))
			<-ctx.Done()
			return ctx.Err()
		})})
		storeError(t, <-bad, errLarge)
		s := get(t, c, "bad")
		stalled, ok := s.Condition(batch.ConditionStalled)
		require.True(t, ok)
		require.Equal(t, batch.ReasonStoreFailed, stalled.Reason)
		require.Equal(t, errLarge.Error(), stalled.Message)
		require.Equal(t, 1000, complete(t, c, "good").Succeeded)
		require.False(t, get(t, c, "good").Is(batch.ConditionStalled))

		require.NoError(t, c.Delete(t.Context(), "bad", batch.DeleteBackground))
		synctest.Wait()
		_, err := c.Get("bad")
		require.ErrorIs(t, err, batch.ErrNotFound)
		mustCreate(t, c, batch.Job{Name: "bad", Executor: succeed})
		complete(t, c, "bad")
	})
}

// What waits for a store that hangs ends with its context.
func TestStoreThatHangs(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *batch.Controller, a batch.Attempt) error{
		"Create": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			return c.Create(ctx, batch.Job{Name: "new", Executor: succeed})
		},
		"Apply": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			_, err := c.Apply(ctx, batch.Job{Name: "new", Executor: succeed})
			return err
		},
		"Update": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			return c.Update(ctx, "j", func(j *batch.Job) { j.Parallelism = new(2) })
		},
		"Delete": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			return c.Delete(ctx, "j", batch.DeleteBackground)
		},
		"Attempts": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			_, err := c.Attempts(ctx, "j")
			return err
		},
		"Events": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			_, err := c.Events(ctx, "j")
			return err
		},
		"SaveCheckpoint": func(ctx context.Context, _ *batch.Controller, a batch.Attempt) error {
			return a.SaveCheckpoint(ctx, []byte("x"))
		},
		"SaveRecord": func(ctx context.Context, c *batch.Controller, _ batch.Attempt) error {
			return c.SaveRecord(ctx, "test/x", []byte("x"))
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				attempt := make(chan batch.Attempt, 1)
				mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(ctx context.Context,
					a batch.Attempt) error {
					attempt <- a
					<-ctx.Done()
					return ctx.Err()
				})})
				a := <-attempt
				settle()
				release := store.hold()
				a.SetOutput("something that is to be stored")
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
				defer cancel()
				start := time.Now()
				require.ErrorIs(t, call(ctx, c, a), errCause)
				require.Equal(t, time.Second, time.Since(start))
				release()
				settle()
				_, err := c.Get("new")
				require.ErrorIs(t, err, batch.ErrNotFound, "what was not acknowledged is undone")
			})
		})
	}
}

// A shutdown does not wait much longer than it is to.
func TestShutdownWithAStoreThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "j", Executor: untilDone})
		settle()
		release := store.hold()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		require.Error(t, c.Shutdown(ctx))
		require.Less(t, time.Since(start), 3*time.Second)
		release()
		settle()
	})
}

func TestOpeningAStoreThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		release := store.hold()
		defer release()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		start := time.Now()
		_, err := batch.New(ctx, batch.Options{Store: &store})
		require.ErrorIs(t, err, errCause)
		require.Less(t, time.Since(start), 3*time.Second)
	})
}

// A waitingStore has each commit wait for the end of its context.
type waitingStore struct {
	batchtest.MemoryStore
	waits  atomic.Bool
	over   chan struct{} // closed when the test is over
	causes chan error
}

func (s *waitingStore) Commit(ctx context.Context, records []batch.Record) error {
	if !s.waits.Load() {
		return s.MemoryStore.Commit(ctx, records)
	}
	select {
	case <-ctx.Done():
		s.causes <- context.Cause(ctx)
	case <-s.over:
	}
	return errFull
}

// TestCommitEndsWithShutdown wants a commit that goes on to learn that the shutdown is out
// of time.
func TestCommitEndsWithShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &waitingStore{over: make(chan struct{}), causes: make(chan error, 10)}
		t.Cleanup(func() { close(store.over) })
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "j", Executor: untilDone})
		settle()
		store.waits.Store(true)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errCause)
		defer cancel()
		start := time.Now()
		require.Error(t, c.Shutdown(ctx))
		require.Less(t, time.Since(start), 3*time.Second)
		synctest.Wait()
		require.NotEmpty(t, store.causes, "the commit still waits")
	})
}

// TestEachRecordThatIsRefused wants the job whose record the store refuses to stall, or not
// to be created, and no other one, and it to go when it is deleted.
func TestEachRecordThatIsRefused(t *testing.T) {
	large := strings.Repeat("x", 500<<10)
	for name, job := range map[string]batch.Job{
		"a result": {ResultLimit: new(1 << 20), Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			return a.SetResult(large)
		})},
		"the results of a running job": {ResultLimit: new(1 << 20), Completions: new(2),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Number == 1 {
					<-ctx.Done()
				}
				return a.SetResult(large)
			})},
		"an input": {Input: large, Executor: succeed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Store: new(limited), Logger: slog.New(slog.DiscardHandler)})
				mustCreate(t, c, batch.Job{Name: "good", Completions: new(1000), Executor: takes(10 * time.Millisecond)})
				job.Name = "bad"
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				created := c.Create(ctx, job)
				if created == nil {
					_, err := c.Wait(ctx, "bad")
					require.Error(t, err)
				}
				require.Equal(t, 1000, complete(t, c, "good").Succeeded)
				require.False(t, get(t, c, "good").Is(batch.ConditionStalled))
				mustCreate(t, c, batch.Job{Name: "new", Executor: succeed})
				complete(t, c, "new")
				if created != nil {
					require.ErrorIs(t, created, errLarge)
				} else {
					require.True(t, get(t, c, "bad").Is(batch.ConditionStalled))
					require.NoError(t, c.Delete(t.Context(), "bad", batch.DeleteBackground))
				}
				_, err := c.Get("bad")
				require.ErrorIs(t, err, batch.ErrNotFound)
			})
		})
	}
}

// sortedRecords are the records of a store, as texts.
func sortedRecords(t *testing.T, store batch.Store) (texts []string) {
	t.Helper()
	for _, r := range recordsOf(t, store) {
		texts = append(texts, fmt.Sprintf("%s/%s: %q", r.Job, r.Key, r.Value))
	}
	slices.Sort(texts)
	return texts
}
