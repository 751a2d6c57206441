package batch_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A receiver that fails is told again, later and later, and nothing else waits for it.
func TestSubscribeRetries(t *testing.T) {
	cases := map[string]struct {
		deliver func(ctx context.Context) error
		takes   time.Duration
		logged  string
	}{
		"error": {deliver: func(context.Context) error { return errCause }, takes: 0, logged: "the user's cause"},
		"panic": {deliver: func(context.Context) error { panic("broken") }, takes: 0, logged: "receiver panicked: broken"},
		"exit":  {deliver: func(context.Context) error { runtime.Goexit(); return nil }, takes: 0, logged: "runtime.Goexit"},
		"hang": {deliver: func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }, takes: time.Minute,
			logged: "out of time"},
	}
	for name, failure := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var logged lockedBuffer
				c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
				var starts []time.Duration
				var told receiver
				begin := time.Now()
				defer subscribe(t, c, "mail", func(ctx context.Context, change batch.Change) error {
					starts = append(starts, time.Since(begin))
					if len(starts) <= 8 {
						return failure.deliver(ctx)
					}
					return told.deliver(ctx, change)
				})()
				mustCreate(t, c, batch.Job{Name: "first", Executor: succeed})
				synctest.Wait()
				run(t, c, "second", takes(time.Second))
				require.Less(t, time.Since(begin), 2*time.Second, "a job has waited for the receiver")
				time.Sleep(20 * time.Minute)
				require.Equal(t, []string{"first Complete", "second Complete"}, told.since())
				at := starts[0]
				for i, delay := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
					at += failure.takes + delay*time.Second
					require.Equal(t, at, starts[i+1], "call %d", i+1)
				}
				require.Contains(t, logged.String(), "subscription not told")
				require.Contains(t, logged.String(), failure.logged)
			})
		})
	}
}

// A receiver that does not return is left behind. Its name stays taken, and what it says
// in the end counts.
func TestSubscriberThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		release := make(chan error)
		var calls atomic.Int64
		deliver := func(context.Context, batch.Change) error { calls.Add(1); return <-release }
		stop := subscribe(t, c, "mail", deliver)
		settle()
		run(t, c, "first", succeed)
		run(t, c, "second", succeed)
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, calls.Load(), "one at a time")
		require.ErrorContains(t, c.Subscribe(t.Context(), "mail", deliver), `subscription "mail"`)
		require.ErrorIs(t, stop(), errCause)
		require.ErrorContains(t, c.Subscribe(t.Context(), "mail", deliver), `subscription "mail"`)
		require.ErrorContains(t, c.Subscribe(t.Context(), "mail", nil), `subscription "mail"`)
		release <- nil
		settle()
		var told receiver
		stop = subscribe(t, c, "mail", told.deliver)
		settle()
		require.Equal(t, []string{"second Complete"}, told.since())
		require.ErrorIs(t, stop(), errCause)

		stop = subscribe(t, c, "mail", deliver)
		run(t, c, "third", succeed)
		settle()
		abandoned, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
		require.True(t, ok)
		require.Equal(t, 1, abandoned.Calls)
		require.Error(t, stop())
		release <- errCause
		settle()
	})
}

// Shutdown lets receivers be told of what ends meanwhile, until its context ends.
func TestShutdownTells(t *testing.T) {
	stores := map[string]batch.Store{"in memory": nil, "in a store": new(batchtest.MemoryStore)}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Store: store})
				var told receiver
				stop := subscribe(t, c, "mail", func(ctx context.Context, change batch.Change) error {
					time.Sleep(time.Second)
					return told.deliver(ctx, change)
				})
				settle()
				run(t, c, "a", succeed)
				run(t, c, "b", succeed)
				mustCreate(t, c, batch.Job{Name: "c", Executor: takes(time.Minute)})
				settle()
				require.NoError(t, c.Shutdown(t.Context()))
				require.Equal(t, []string{"a Complete", "b Complete", "c Complete"}, told.since())
				settle()
				require.ErrorIs(t, stop(), batch.ErrShutdown)
				require.ErrorIs(t, c.Subscribe(t.Context(), "mail", told.deliver), batch.ErrShutdown)
			})
		})
	}
}

// Shutdown does not wait for a receiver that fails, and cancels one that is slow.
func TestShutdownOfReceivers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		defer subscribe(t, c, "failing", func(context.Context, batch.Change) error { return errCause })()
		var cause error
		defer subscribe(t, c, "slow", func(ctx context.Context, _ batch.Change) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return cause
		})()
		defer subscribe(t, c, "inside", func(context.Context, batch.Change) error {
			return c.Shutdown(context.Background())
		})()
		settle()
		run(t, c, "a", succeed)
		settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		require.NoError(t, c.Shutdown(ctx))
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, cause, batch.ErrShutdown)
	})
}

// A hungStore does not return from Commit until it is released.
type hungStore struct {
	batchtest.MemoryStore
	hangs   atomic.Bool
	release chan struct{}
}

func (s *hungStore) Commit(ctx context.Context, records []batch.Record) error {
	if s.hangs.Load() {
		<-s.release
	}
	return s.MemoryStore.Commit(ctx, records)
}

// While a store hangs, a call of Subscribe waits, and nothing waits for that call: Shutdown does
// not take it for a call that it has left behind.
func TestSubscribeToAStoreThatHangs(t *testing.T) {
	for _, name := range []string{"known", "new"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := &hungStore{release: make(chan struct{})}
				c, err := batch.New(t.Context(), batch.Options{Store: store})
				require.NoError(t, err)
				var told receiver
				stop := subscribe(t, c, "known", told.deliver)
				settle()
				require.ErrorIs(t, stop(), errCause)
				store.hangs.Store(true)
				stop = subscribe(t, c, name, told.deliver)
				settle()
				begin := time.Now()
				err = c.Shutdown(ended(errCause))
				require.ErrorIs(t, err, batch.ErrStore)
				_, abandoned := errors.AsType[*batch.AbandonedError](err)
				require.False(t, abandoned, "%v", err)
				require.Less(t, time.Since(begin), 10*time.Second)
				settle()
				require.Error(t, stop())
				close(store.release)
				settle()
			})
		})
	}
}
