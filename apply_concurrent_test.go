package batch_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// Two that declare a job at once, while the store takes its time, get the same
// job; so do those who create it, but for all but one of them.
func TestApplyAtOnce(t *testing.T) {
	for name, there := range map[string]bool{"a new job": false, "a stored job": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				var starts atomic.Int32
				job := batch.Job{
					Name: "j", Executor: fn(func(ctx context.Context) error { starts.Add(1); return lasts(ctx, time.Minute) }),
				}
				c := newController(t, batch.Options{Store: &store})
				if there {
					apply(t, c, job)
					shut(t, c)
					c = newController(t, batch.Options{Store: &store})
					starts.Store(0)
				}
				release := store.hold()
				uids := make(chan string, 10)
				var wg sync.WaitGroup
				for range cap(uids) {
					wg.Go(func() {
						s, err := c.Apply(t.Context(), job)
						uids <- s.UID + fmt.Sprint(err)
					})
				}
				time.Sleep(time.Second)
				require.Empty(t, uids)
				release()
				wg.Wait()
				want := get(t, c, "j").UID + "<nil>"
				for range cap(uids) {
					require.Equal(t, want, <-uids)
				}
				complete(t, c, "j")
				require.EqualValues(t, 1, starts.Load())
			})
		})
	}
}

// One who waits for another's Apply need not do so for ever.
func TestApplyAtOnceEnds(t *testing.T) {
	cases := map[string]struct {
		respond func(apply func() error) error
		check   func(t *testing.T, err error)
	}{
		"with the context": {respond: func(apply func() error) error { time.Sleep(time.Hour); return apply() },
			check: func(t *testing.T, err error) { require.ErrorIs(t, err, errCause) }},
		"with the store": {
			respond: func(func() error) error { time.Sleep(time.Second); return errFull }, check: isStoreError,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				c := newController(t, batch.Options{Store: &store})
				store.set(tc.respond)
				job := batch.Job{Name: "j", Executor: succeed}
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
				defer cancel()
				answers := make(chan error, 2)
				go func() { answers <- c.Create(t.Context(), job) }()
				synctest.Wait()
				_, err := c.Apply(ctx, job)
				tc.check(t, err)
				<-answers
				store.set(nil)
				time.Sleep(3 * time.Hour) // nothing is left that hangs
			})
		})
	}
}

// An Apply during a shutdown either happens or says why it does not.
func TestApplyDuringShutdown(t *testing.T) {
	for _, there := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored before %v", there), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				job := batch.Job{Name: "j", Executor: lasting(time.Minute)}
				c := newController(t, batch.Options{Store: &store})
				if there {
					apply(t, c, job)
					shut(t, c)
					c = newController(t, batch.Options{Store: &store})
				}
				release := store.hold()
				answers, down := make(chan error, 1), make(chan error, 1)
				go func() { _, err := c.Apply(t.Context(), job); answers <- err }()
				synctest.Wait()
				go func() { down <- c.Shutdown(ended(errCause)) }()
				synctest.Wait()
				require.Empty(t, down, "the last changes are not durable")
				release()
				require.NoError(t, <-answers)
				require.NoError(t, <-down)
				_, err := c.Apply(t.Context(), job)
				require.ErrorIs(t, err, batch.ErrShutdown)
				s := get(t, c, "j")
				require.True(t, s.Halted)
				c = newController(t, batch.Options{Store: &store})
				require.Equal(t, s.UID, apply(t, c, job).UID)
				require.Equal(t, 1, complete(t, c, "j").Succeeded)
			})
		})
	}
}
