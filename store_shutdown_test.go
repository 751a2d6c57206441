package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A shutdown reports what is not stored, and does not wait for ever.
func TestShutdownWithAFailingStore(t *testing.T) {
	cases := map[string]struct {
		respond func(apply func() error) error
		wait    time.Duration
		cause   error
	}{
		"it fails": {respond: failing, wait: 0, cause: errFull},
		"it fails after a time": {
			respond: func(func() error) error { time.Sleep(time.Second); return errFull }, wait: 6 * time.Second, cause: errFull,
		},
		"it hangs": {
			respond: func(func() error) error { time.Sleep(time.Hour); return errFull }, wait: 30 * time.Second,
			cause: context.DeadlineExceeded,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c, err := batch.New(t.Context(), batch.Options{Store: &store})
				require.NoError(t, err)
				mustCreate(t, c, batch.Job{Name: "j", Completions: new(2), Executor: takes(time.Second)})
				settle()
				before := get(t, c, "j")
				store.set(tc.respond)
				time.Sleep(500 * time.Millisecond)
				start := time.Now()
				err = c.Shutdown(t.Context())
				isStoreError(t, err)
				require.ErrorIs(t, err, tc.cause)
				require.LessOrEqual(t, time.Since(start), tc.wait+time.Second)
				require.Equal(t, stored(before), stored(get(t, c, "j")))
				isStoreError(t, c.Shutdown(t.Context())) // again
				time.Sleep(2 * time.Hour)
				require.Equal(t, "Running", get(t, fresh(t, &store), "j").State())
			})
		})
	}
}

// A shutdown makes the last changes durable, with one more try.
func TestShutdownTriesOnceMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(1), Executor: takes(time.Second)})
		settle()
		store.set(failing)
		time.Sleep(20 * time.Second)
		store.set(nil)
		require.NoError(t, c.Shutdown(t.Context()))
		require.Equal(t, "Complete", get(t, c, "j").State())
		require.Equal(t, "Complete", get(t, fresh(t, &store), "j").State())
	})
}

// An executor that was abandoned and returns late changes nothing in the store, which
// serves another controller after that.
func TestLateReturnLeavesTheStoreAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		job := func(e batch.Executor) batch.Job {
			return batch.Job{
				Name: "j", CompletionMode: batch.Indexed, Completions: new(3), TerminationGracePeriod: new(time.Second),
				Executor: e,
			}
		}
		c, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.NoError(t, err)
		apply(t, c, job(takes(time.Hour)))
		settle()
		err = c.Shutdown(ended(errCause))
		_, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok, "not an AbandonedError: %v", err)
		_, err = batch.New(t.Context(), batch.Options{Store: &store})
		require.ErrorIs(t, err, batch.ErrStoreInUse, "an executor runs that counts on the store")
		n := len(store.commits)
		time.Sleep(2 * time.Hour)
		require.Len(t, store.commits, n)
		second := newController(t, batch.Options{Store: &store})
		apply(t, second, job(succeed))
		want := complete(t, second, "j")
		require.Zero(t, want.Failed, "what a shutdown has interrupted does not count")
		require.NoError(t, c.Shutdown(t.Context()))
		require.Equal(t, "Running", get(t, c, "j").State())
	})
}

// Of what is called for while a controller is shut down, that is stored of which
// the caller was told so.
func TestChangesDuringShutdown(t *testing.T) {
	for delay := range 20 {
		bubble(t, func(t *testing.T) {
			var store disk
			store.set(func(apply func() error) error { time.Sleep(3 * time.Millisecond); return apply() })
			c := newController(t, batch.Options{Store: &store})
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			var wg sync.WaitGroup
			const n = 20
			var created, updated [n]error
			for i := range n {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 500 * time.Microsecond)
					created[i] = c.Create(t.Context(), batch.Job{Name: fmt.Sprintf("new-%d", i), Suspend: true, Executor: succeed})
				})
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 500 * time.Microsecond)
					updated[i] = c.Update(t.Context(), "j", func(j *batch.Job) {
						if j.Labels == nil {
							j.Labels = make(map[string]string)
						}
						j.Labels[fmt.Sprintf("label-%d", i)] = "x"
					})
				})
			}
			time.Sleep(time.Duration(delay) * 500 * time.Microsecond)
			shut(t, c)
			commits := len(store.commits)
			wg.Wait()
			time.Sleep(time.Second)
			require.Equal(t, commits, len(store.commits), "stored after the shutdown")
			again := fresh(t, &store)
			spec, err := again.Job("j")
			require.NoError(t, err)
			for i := range n {
				if updated[i] == nil {
					require.Contains(t, spec.Labels, fmt.Sprintf("label-%d", i))
				} else {
					require.ErrorIs(t, updated[i], batch.ErrShutdown)
				}
				_, err := again.Get(fmt.Sprintf("new-%d", i))
				if created[i] == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, created[i], batch.ErrShutdown)
					require.ErrorIs(t, err, batch.ErrNotFound)
				}
			}
		})
	}
}

// TestStoreIsClosedTooEarly wants callers to learn that the store was closed before
// the controller, and no call to wait for ever.
func TestStoreIsClosedTooEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &disk{}
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{
			Name: "j", Executor: fn(func(ctx context.Context) error { return sleepUnlessDone(ctx, time.Minute) }),
		})
		store.set(func(func() error) error { return fs.ErrClosed })
		_, err = c.Wait(t.Context(), "j")
		require.ErrorIs(t, err, fs.ErrClosed)
		ok := errors.Is(err, batch.ErrStore)
		require.True(t, ok)
		ok = errors.Is(c.Shutdown(ended(errCause)), batch.ErrStore)
		require.True(t, ok)
	})
}

// TestWaitDoesNotHangOnAClosedStore closes a store under callers of all kinds.
func TestWaitDoesNotHangOnAClosedStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(disk)
		c, err := batch.New(t.Context(), batch.Options{Store: store, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "waits", Backoff: batch.ConstantBackoff(time.Hour), Executor: fails(errDisk)})
		mustCreate(t, c, batch.Job{Name: "runs", Executor: untilDone})
		settle()
		store.set(func(func() error) error { return fs.ErrClosed })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		for _, name := range []string{"waits", "runs"} {
			waited := make(chan error, 1)
			go func() { _, err := c.Wait(ctx, name); waited <- err }()
			time.Sleep(time.Minute)
			require.NoError(t, nothingElse(c.DeleteAttempt(ctx, name, attemptsIfAny(c, name)[0].Name)))
			require.ErrorIs(t, <-waited, fs.ErrClosed)
		}
		_, err = c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
		require.ErrorIs(t, err, fs.ErrClosed)
		require.ErrorIs(t, c.Shutdown(ended(errCause)), fs.ErrClosed)
	})
}

// nothingElse is err, except what a closed store and an attempt that has ended lead to.
func nothingElse(err error) error {
	if errors.Is(err, fs.ErrClosed) || errors.Is(err, batch.ErrAttemptEnded) {
		return nil
	}
	return err
}
