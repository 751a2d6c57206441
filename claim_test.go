package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/internal/proc"
)

// A leased store is one whose claim can be lost.
type leased struct {
	batchtest.MemoryStore

	mu      sync.Mutex // guards the fields below
	lose    context.CancelCauseFunc
	release func()
}

type leaseKey struct{}

func (l *leased) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	held, release, err := l.MemoryStore.Claim(ctx, wait)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	held, l.lose = context.WithCancelCause(held)
	l.release = sync.OnceFunc(release)
	return context.WithValue(held, leaseKey{}, held), l.release, nil
}

func (l *leased) Commit(ctx context.Context, records []batch.Record) error {
	if held, ok := ctx.Value(leaseKey{}).(context.Context); ok && held.Err() != nil {
		return context.Cause(held)
	}
	return l.MemoryStore.Commit(ctx, records)
}

// expire lets others have the store, and only then its holder know.
func (l *leased) expire(cause error) {
	l.mu.Lock()
	lose, release := l.lose, l.release
	l.mu.Unlock()
	release()
	synctest.Wait()
	lose(cause)
}

func standby(t *testing.T, store batch.Store) *batch.Controller {
	t.Helper()
	return newController(t, batch.Options{Store: store, Standby: true})
}

// A store that has no claims itself serves one controller all the same.
func TestPlainStoreServesOneController(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		first := newController(t, batch.Options{Store: &store})
		for range 2 {
			_, err := batch.New(t.Context(), batch.Options{Store: &store})
			require.ErrorIs(t, err, batch.ErrStoreInUse)
			require.ErrorContains(t, err, "batch: store is in use by another controller: process ")
		}
		mustCreate(t, first, batch.Job{Name: "j", Executor: succeed})
		complete(t, first, "j")
		time.Sleep(time.Hour)
		mustCreate(t, first, batch.Job{Name: "later", Executor: succeed})
		complete(t, first, "later")
		shut(t, first)
		require.Contains(t, recorded(t, &store), "/clock")
		require.NotContains(t, recorded(t, &store), "/claim")
		second := newController(t, batch.Options{Store: &store})
		require.Equal(t, 1, get(t, second, "j").Succeeded)
	})
}

// claimedBy is a store with the claim of some process.
func claimedBy(t *testing.T, host string, pid int, started string) *disk {
	t.Helper()
	var store disk
	record, err := json.Marshal(map[string]any{"ID": "another", "Host": host, "PID": pid, "Started": started})
	require.NoError(t, err)
	put(t, &store, "", "claim", record)
	return &store
}

// What is left of a process that is gone keeps nobody away.
func TestPlainStoreOfAnotherProcess(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	living := exec.Command("sleep", "1000")
	require.NoError(t, living.Start())
	t.Cleanup(func() { _ = living.Process.Kill(); _ = living.Wait() })
	dead := exec.Command("true")
	require.NoError(t, dead.Run())
	for name, c := range map[string]struct {
		store *disk
		inUse bool
	}{
		"it lives":                     {claimedBy(t, host, living.Process.Pid, proc.Started(living.Process.Pid)), true},
		"its number is another's now":  {claimedBy(t, host, living.Process.Pid, "earlier"), false},
		"it is dead":                   {claimedBy(t, host, dead.Process.Pid, ""), false},
		"its number is this process's": {claimedBy(t, host, os.Getpid(), proc.Started(os.Getpid())), false},
		"it is on another machine":     {claimedBy(t, "elsewhere", living.Process.Pid, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			controller, err := batch.New(t.Context(), batch.Options{Store: c.store})
			if c.inUse {
				require.ErrorIs(t, err, batch.ErrStoreInUse)
				return
			}
			require.NoError(t, err)
			require.NoError(t, controller.Shutdown(t.Context()))
		})
	}
}

// Somebody whom this process cannot see claims the store: its commits are found out.
func TestPlainStoreIsTakenAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c, err := batch.New(t.Context(), batch.Options{Store: &store})
		require.NoError(t, err)
		causes := make(chan error, 1)
		mustCreate(t, c, batch.Job{Name: "long", Executor: fn(func(ctx context.Context) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil
		})})
		put(t, &store, "", "claim", []byte(`{"ID":"another","Host":"elsewhere","PID":7}`))
		time.Sleep(5 * time.Second)
		require.ErrorIs(t, c.Create(t.Context(), batch.Job{Name: "late", Executor: succeed}), batch.ErrStoreInUse)
		require.ErrorIs(t, <-causes, batch.ErrStoreInUse)
		_, err = c.Wait(t.Context(), "long")
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		require.ErrorContains(t, err, "process 7 on elsewhere")
		require.ErrorIs(t, c.Claimed(t.Context()), batch.ErrStoreInUse)
		synctest.Wait()
		before := len(store.commits)
		require.ErrorIs(t, c.Suspend(t.Context(), "long"), batch.ErrStoreInUse)
		require.ErrorIs(t, c.Shutdown(t.Context()), batch.ErrStoreInUse)
		require.Len(t, store.commits, before)
		require.Equal(t, "Running", get(t, c, "long").State(), "nothing of what came after is reported")
	})
}

// A standby shows what the store has, and refuses what only the other can do.
func TestStandbyShows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Completions: new(3), Parallelism: new(1), Executor: lasting(time.Minute)})
		synctest.Wait()
		c := standby(t, &store)
		require.Equal(t, 1, get(t, c, "j").Active)
		var seen []int
		watched := make(chan error, 1)
		go func() {
			for change, err := range c.Watch(t.Context(), 0) {
				if err != nil {
					watched <- err
					return
				}
				seen = append(seen, change.Status.Succeeded)
			}
		}()
		time.Sleep(90 * time.Second)
		require.Equal(t, stored(get(t, works, "j")), stored(get(t, c, "j")))
		attempts, err := c.Attempts(t.Context(), "j")
		require.NoError(t, err)
		require.Len(t, attempts, 2)
		for range c.Logs(t.Context(), "j", attempts[0].Name, batch.LogOptions{}) {
			break
		}
		complete(t, c, "j")
		require.NoError(t, works.SaveRecord(t.Context(), "x/y", []byte("z")))
		require.NoError(t, works.Delete(t.Context(), "j", batch.DeleteBackground))
		synctest.Wait()
		require.Equal(t, []string{"x/y=z"}, collectRecords(c.Records("")))
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
		shut(t, works)
		err = <-watched
		require.ErrorIs(t, err, batch.ErrTooOld)
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		require.Equal(t, []int{0, 1, 2, 3, 3}, seen)
	})
}

func TestStandbyRefuses(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *batch.Controller) error{
		"Create": func(ctx context.Context, c *batch.Controller) error {
			return c.Create(ctx, batch.Job{Name: "new", Executor: succeed})
		},
		"Run": func(ctx context.Context, c *batch.Controller) error {
			_, err := c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
			return err
		},
		"Suspend": func(ctx context.Context, c *batch.Controller) error { return c.Suspend(ctx, "j") },
		"Delete":  func(ctx context.Context, c *batch.Controller) error { return c.Delete(ctx, "j", batch.DeleteOrphan) },
		"Disrupt": func(ctx context.Context, c *batch.Controller) error {
			return c.Disrupt(ctx, "j", "j-0", "DeletionByPodGC")
		},
		"DeleteAttempt": func(ctx context.Context, c *batch.Controller) error { return c.DeleteAttempt(ctx, "j", "j-0") },
		"SaveRecord":    func(ctx context.Context, c *batch.Controller) error { return c.SaveRecord(ctx, "k", nil) },
		"Logs": func(ctx context.Context, c *batch.Controller) error {
			for _, err := range c.Logs(ctx, "j", "j-0", batch.LogOptions{Follow: true}) {
				return err
			}
			return nil
		},
		"Stack": func(_ context.Context, c *batch.Controller) error {
			_, err := c.Stack("j", "j-0")
			return err
		},
		"Claimed": func(ctx context.Context, c *batch.Controller) error {
			return c.Claimed(ended(errCause))
		},
	}
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Executor: untilDone})
		c := standby(t, &store)
		for name, call := range calls {
			err := call(t.Context(), c)
			require.ErrorIs(t, err, batch.ErrStoreInUse, name)
			require.ErrorContains(t, err, "batch: store is in use by another controller: this process", name)
		}
		require.Equal(t, "Running", get(t, works, "j").State())
	})
}

// When the one that works shuts down, the standby goes on at once with what it was
// given, and those who wait at it learn the end.
func TestStandbyTakesOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		job := batch.Job{Name: "j", Completions: new(3), Executor: lasting(time.Minute)}
		works := newController(t, batch.Options{Store: &store})
		apply(t, works, job)
		synctest.Wait()
		c := standby(t, &store)
		require.Equal(t, 1, apply(t, c, job).Active)
		require.Zero(t, apply(t, c, batch.Job{Name: "own", Parallelism: new(2), Completions: new(2), Executor: succeed}))
		ends := make(chan batch.Status, 1)
		go func() { ends <- complete(t, c, "j") }()
		time.Sleep(90 * time.Second)
		_, err := works.Get("own")
		require.ErrorIs(t, err, batch.ErrNotFound)
		stopped := time.Now()
		shut(t, works)
		require.NoError(t, c.Claimed(t.Context()))
		require.Equal(t, stopped, time.Now())
		require.Equal(t, 1, get(t, c, "j").Active)
		require.Equal(t, 3, (<-ends).Succeeded)
		require.Equal(t, 2, complete(t, c, "own").Succeeded)
	})
}

// A claim that is lost ends what runs, and nothing of it is reported. The controller
// works again when it is its turn.
func TestClaimIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store leased
		type end struct {
			fence int64
			cause error
		}
		ends := make(chan end, 2)
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2),
			TerminationGracePeriod: new(time.Second), Executor: batch.ExecutorFunc(func(ctx context.Context,
				a batch.Attempt) error {
				if a.Index == 0 {
					return nil
				}
				err := lasts(ctx, time.Hour)
				ends <- end{a.Fence(), context.Cause(ctx)}
				if err != nil {
					return nil // it says so in spite of it
				}
				return nil
			})}
		first := standby(t, &store)
		apply(t, first, job)
		second := standby(t, &store)
		apply(t, second, job)
		waits := make(chan batch.Status, 1)
		go func() { waits <- complete(t, first, "j") }()
		time.Sleep(time.Minute)

		store.expire(errCause)
		lost := <-ends
		require.ErrorIs(t, lost.cause, batch.ErrStoreInUse)
		require.ErrorIs(t, lost.cause, errCause)
		require.EqualValues(t, 1, lost.fence)
		require.NoError(t, second.Claimed(t.Context()))
		time.Sleep(time.Minute) // the exit of the first one has delayed the next attempt
		require.ErrorIs(t, first.Claimed(ended(errCause)), batch.ErrStoreInUse)
		require.ErrorIs(t, first.Suspend(t.Context(), "j"), batch.ErrStoreInUse)
		for _, c := range []*batch.Controller{first, second} {
			s := get(t, c, "j")
			require.Equal(t, 1, s.Succeeded)
			require.Equal(t, 1, s.Active)
		}

		shut(t, second)
		require.EqualValues(t, 2, (<-ends).fence)
		require.NoError(t, first.Claimed(t.Context()))
		require.Equal(t, 2, (<-waits).Succeeded)
		require.EqualValues(t, 3, (<-ends).fence)
	})
}

// A job that was done, and removed, while another controller worked is not done again.
func TestStandbyDoesNothingAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		runs := 0
		run := fn(func(context.Context) error { runs++; return nil })
		job := batch.Job{Name: "once", TTLAfterFinished: new(time.Minute), Executor: run}
		works := newController(t, batch.Options{Store: &store})
		c := standby(t, &store)
		apply(t, c, job)
		apply(t, works, job)
		complete(t, works, "once")
		time.Sleep(time.Hour)
		shut(t, works)
		require.NoError(t, c.Claimed(t.Context()))
		_, err := c.Get("once")
		require.ErrorIs(t, err, batch.ErrNotFound)
		require.Equal(t, 1, runs)
	})
}

// A standby that is shut down stays what it is.
func TestStandbyIsShutDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		works := newController(t, batch.Options{Store: &store})
		mustCreate(t, works, batch.Job{Name: "j", Executor: untilDone})
		c := standby(t, &store)
		waits := make(chan error, 1)
		go func() {
			_, err := c.Wait(t.Context(), "j")
			waits <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Shutdown(t.Context()))
		require.ErrorIs(t, <-waits, batch.ErrShutdown)
		require.ErrorIs(t, c.Claimed(t.Context()), batch.ErrShutdown)
		shut(t, works)
		require.Equal(t, "Running", get(t, c, "j").State())
	})
}

// A lockable store cannot be read while it is locked.
type lockable struct {
	batchtest.MemoryStore
	locked atomic.Bool
}

func (l *lockable) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	if l.locked.Load() {
		return func(yield func(batch.Record, error) bool) { yield(batch.Record{}, batch.ErrStoreInUse) }
	}
	return l.MemoryStore.Load(ctx)
}

func TestStandbyThatCannotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store lockable
		store.locked.Store(true)
		_, release, err := store.Claim(t.Context(), nil)
		require.NoError(t, err)
		c := standby(t, &store)
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		store.locked.Store(false)
		release()
		require.NoError(t, c.Claimed(t.Context()))
		_, err = c.Get("j")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

func TestStandbyNeedsAStore(t *testing.T) {
	_, err := batch.New(t.Context(), batch.Options{Standby: true})
	require.EqualError(t, err, "batch: Options.Standby: true: needs Options.Store")
	c := newController(t, batch.Options{})
	require.NoError(t, c.Claimed(ended(errors.New("late"))))
}

// An expiring store has its first claim end at once.
type expiring struct {
	leased
	hasExpired atomic.Bool
}

func (e *expiring) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	held, release, err := e.leased.Claim(ctx, wait)
	if err == nil && e.hasExpired.CompareAndSwap(false, true) {
		e.lose(batch.ErrStoreInUse)
		release()
	}
	return held, release, err
}

// A machine may be so slow that a claim is lost before anything was stored under it.
func TestClaimIsLostAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := batch.New(t.Context(), batch.Options{Store: new(expiring)})
		require.ErrorIs(t, err, batch.ErrStoreInUse)
		c := standby(t, new(expiring))
		require.NoError(t, c.Claimed(t.Context()))
		mustCreate(t, c, batch.Job{Name: "j", Executor: succeed})
		complete(t, c, "j")
	})
}
