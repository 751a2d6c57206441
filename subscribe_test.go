package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A receiver notes what a subscription is told.
type receiver struct {
	mu   sync.Mutex // guards the field below
	told []string
}

func (r *receiver) deliver(_ context.Context, change batch.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, describeEnd(change))
	return nil
}

func describeEnd(change batch.Change) string {
	if change.Deleted {
		return change.Status.Name + " deleted"
	}
	return change.Status.Name + " " + change.Status.State()
}

// since returns what was told since it was last called.
func (r *receiver) since() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told
	r.told = nil
	return told
}

// subscribe subscribes until stop is called, which returns the error.
func subscribe(t *testing.T, c *batch.Controller, name string,
	deliver func(context.Context, batch.Change) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Subscribe(ctx, name, deliver) }()
	return sync.OnceValue(func() error {
		cancel(errCause)
		return <-done
	})
}

// run runs a job to its end, whatever that is.
func run(t *testing.T, c *batch.Controller, name string, executor batch.Executor) {
	t.Helper()
	_, err := c.Run(t.Context(), batch.Job{Name: name, BackoffLimit: new(0), Executor: executor})
	if _, failed := errors.AsType[*batch.JobError](err); !failed {
		require.NoError(t, err)
	}
}

// Each end is told once, in order: success, failure, and deletion before either.
// Deletion after the end is none.
func TestSubscribe(t *testing.T) {
	stores := map[string]func() batch.Store{
		"in memory":  func() batch.Store { return nil },
		"in a store": func() batch.Store { return new(batchtest.MemoryStore) },
	}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Store: store()})
				var mail, audit receiver
				run(t, c, "before", succeed)
				defer subscribe(t, c, "mail", mail.deliver)()
				settle()
				run(t, c, "good", succeed)
				run(t, c, "bad", fails(errCause))
				mustCreate(t, c, batch.Job{Name: "stopped", Executor: untilDone})
				require.NoError(t, c.Delete(t.Context(), "stopped", batch.DeleteBackground))
				require.NoError(t, c.Delete(t.Context(), "good", batch.DeleteBackground))
				mustCreate(t, c, batch.Job{Name: "short", TTLAfterFinished: new(time.Duration(0)), Executor: succeed})
				settle()
				require.Equal(t, []string{"before Complete", "good Complete", "bad Failed", "stopped deleted",
					"short Complete"}, mail.since())

				defer subscribe(t, c, "audit", audit.deliver)()
				settle()
				require.Equal(t, []string{"before Complete", "bad Failed"}, audit.since(), "what is still there")
				require.Empty(t, mail.since())
			})
		})
	}
}

// What is told is the status as the job ended, and a watch can go on from it.
func TestSubscribeTellsTheStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		told := make(chan batch.Status, 1)
		deliver := func(_ context.Context, change batch.Change) error {
			told <- change.Status
			return errCause
		}
		stop := subscribe(t, c, "mail", deliver)
		settle()
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(9), Parallelism: new(9),
			BackoffLimitPerIndex: new(0), Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index%3 == 1 {
					return fmt.Errorf("index %d", a.Index)
				}
				return nil
			})}
		mustCreate(t, c, job)
		status, err := c.Wait(t.Context(), "j")
		require.Error(t, err)
		first := <-told
		require.JSONEq(t, asJSON(t, stored(status)), asJSON(t, stored(first)))
		require.Equal(t, "0,2,3,5,6,8", first.CompletedIndexes.String())
		require.Equal(t, "1,4,7", first.FailedIndexes.String())
		require.NotZero(t, first.Revision)
		require.ErrorIs(t, stop(), errCause)

		c = newController(t, batch.Options{Store: crash(t, c, store)})
		defer subscribe(t, c, "mail", deliver)()
		again := <-told
		require.JSONEq(t, asJSON(t, stored(status)), asJSON(t, stored(again)))
		require.Zero(t, again.Revision, "that of an earlier process means nothing")
	})
}

func asJSON(t *testing.T, s batch.Status) string {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	return string(text)
}

// Ends of which a known subscription was not told survive everything: no caller is
// subscribed, the job is deleted, over its time to live or one too many, and the process
// is killed.
func TestSubscribeAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store, FinishedJobs: 4})
		var told receiver
		stop := subscribe(t, c, "mail", told.deliver)
		settle()
		run(t, c, "told", succeed)
		settle()
		require.ErrorIs(t, stop(), errCause)
		run(t, c, "deleted", succeed)
		require.NoError(t, c.Delete(t.Context(), "deleted", batch.DeleteBackground))
		mustCreate(t, c, batch.Job{Name: "short", TTLAfterFinished: new(time.Duration(0)), Executor: succeed})
		settle()
		run(t, c, "oldest", fails(errCause))
		settle()
		left := crash(t, c, store)

		c = newController(t, batch.Options{Store: left, FinishedJobs: 4})
		run(t, c, "next", succeed)
		left = crash(t, c, left)
		c = newController(t, batch.Options{Store: left, FinishedJobs: 4})
		defer subscribe(t, c, "mail", told.deliver)()
		settle()
		require.Equal(t, []string{"told Complete", "deleted Complete", "short Complete", "oldest Failed", "next Complete"},
			told.since())
	})
}

// As many ends are kept for a subscription as finished jobs are: then the oldest go.
func TestSubscriptionIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var logged lockedBuffer
		store := new(batchtest.MemoryStore)
		logger := slog.New(slog.NewTextHandler(&logged, nil))
		c := newController(t, batch.Options{Store: store, FinishedJobs: 10, Logger: logger})
		var told receiver
		stop := subscribe(t, c, "mail", told.deliver)
		settle()
		require.ErrorIs(t, stop(), errCause)
		var want []string
		for i := range 100 {
			run(t, c, fmt.Sprint("j", i), succeed)
			want = append(want, fmt.Sprintf("j%d Complete", i))
		}
		settle()
		require.Equal(t, 1, strings.Count(logged.String(), "subscription is not told of the oldest ends"))
		c = newController(t, batch.Options{Store: crash(t, c, store), FinishedJobs: 10})
		defer subscribe(t, c, "mail", told.deliver)()
		settle()
		require.Equal(t, want[90:], told.since())
	})
}

// A subscription that is dropped leaves nothing in the store.
func TestSubscriptionIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		var told receiver
		stop := subscribe(t, c, "mail", told.deliver)
		settle()
		require.ErrorIs(t, stop(), errCause)
		run(t, c, "a", succeed)
		settle()
		require.Len(t, endsIn(t, store), 2)
		require.NoError(t, c.Subscribe(t.Context(), "mail", nil))
		require.NoError(t, c.Subscribe(t.Context(), "mail", nil), "once more")
		run(t, c, "b", succeed)
		require.Empty(t, endsIn(t, store))

		put(t, store, "", "end/0000000000000001/gone", []byte("{}"))
		c = newController(t, batch.Options{Store: crash(t, c, store)})
		require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
		defer subscribe(t, c, "mail", told.deliver)()
		settle()
		require.Equal(t, []string{"b Complete"}, told.since(), "it begins anew")
	})
}

// endsIn are the keys of what subscriptions have in a store.
func endsIn(t *testing.T, store batch.Store) (keys []string) {
	t.Helper()
	for record, err := range store.Load(t.Context()) {
		require.NoError(t, err)
		if strings.HasPrefix(record.Key, "end/") || strings.HasPrefix(record.Key, "subscription/") {
			keys = append(keys, record.Key)
		}
	}
	return keys
}

// A job that is run again ends again, each time with its own status, also if no caller was
// subscribed between.
func TestSubscribeToRunsOfAJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		var runs []int
		var told receiver
		deliver := func(ctx context.Context, change batch.Change) error {
			runs = append(runs, change.Status.Run)
			return told.deliver(ctx, change)
		}
		stop := subscribe(t, c, "mail", deliver)
		settle()
		run(t, c, "j", fails(errCause))
		settle()
		require.ErrorIs(t, stop(), errCause)
		for range 2 {
			_, err := c.Again(t.Context(), "j", false)
			require.NoError(t, err)
			_, err = c.Wait(t.Context(), "j")
			require.ErrorIs(t, err, errCause)
		}
		c = newController(t, batch.Options{Store: crash(t, c, store)})
		defer subscribe(t, c, "mail", deliver)()
		settle()
		require.Equal(t, []string{"j Failed", "j Failed", "j Failed"}, told.since())
		require.Equal(t, []int{1, 2, 3}, runs)
	})
}

// Told ends take no room in a store, however many there were.
func TestSubscriptionDoesNotGrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		var told receiver
		defer subscribe(t, c, "mail", told.deliver)()
		for i := range 50 {
			run(t, c, fmt.Sprint("j", i), succeed)
		}
		settle()
		require.Len(t, told.since(), 50)
		require.Equal(t, []string{"subscription/mail"}, endsIn(t, store))
	})
}

func TestSubscribeErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(brokenStore)
		c := newController(t, batch.Options{Store: store})
		var told receiver
		require.EqualError(t, c.Subscribe(t.Context(), "", told.deliver),
			`batch: name of a subscription: "": must have 1 to 60 bytes`)
		require.ErrorContains(t, c.Subscribe(t.Context(), strings.Repeat("x", 61), nil), "must have 1 to 60 bytes")
		require.ErrorIs(t, c.Subscribe(ended(errCause), "mail", told.deliver), errCause)
		run(t, c, "a", succeed)
		store.broken.Store(true)
		require.ErrorIs(t, c.Subscribe(t.Context(), "mail", told.deliver), batch.ErrStore)
		store.broken.Store(false)
		time.Sleep(time.Minute)
		require.Empty(t, endsIn(t, &store.MemoryStore))
		stop := subscribe(t, c, "mail", told.deliver)
		settle()
		require.ErrorIs(t, stop(), errCause)
		require.Equal(t, []string{"a Complete"}, told.since())
	})
}
