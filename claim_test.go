package batch_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"strings"
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

// A claim left by a process that is gone is not respected.
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
		"it lives": {
			store: claimedBy(t, host, living.Process.Pid, proc.Started(living.Process.Pid)), inUse: true,
		},
		"its number is another's now":  {store: claimedBy(t, host, living.Process.Pid, "earlier")},
		"it is dead":                   {store: claimedBy(t, host, dead.Process.Pid, "")},
		"its number is this process's": {store: claimedBy(t, host, os.Getpid(), proc.Started(os.Getpid()))},
		"it is on another machine":     {store: claimedBy(t, "elsewhere", living.Process.Pid, "")},
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

// A process that cannot be seen from here claims the store: its commits are noticed.
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

// TestTwoJobsOfOneName opens a store that two controllers have written to: the older job
// is kept, the other one removed, and the log says so.
func TestTwoJobsOfOneName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, other := new(batchtest.MemoryStore), new(batchtest.MemoryStore)
		job := batch.Job{Name: "migrate", Suspend: true, Executor: succeed}
		var uids []string
		for _, s := range []batch.Store{store, other} {
			c := newController(t, batch.Options{Store: s})
			uids = append(uids, apply(t, c, job).UID)
			shut(t, c)
			time.Sleep(time.Second)
		}
		for _, r := range recordsOf(t, other) {
			if r.Job != "" {
				require.NoError(t, store.Commit(t.Context(), []batch.Record{r}))
			}
		}
		for _, mentions := range []int{1, 0} { // it has been repaired
			var log lockedBuffer
			c := newController(t, batch.Options{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.Equal(t, uids[0], get(t, c, "migrate").UID)
			shut(t, c)
			require.Equal(t, mentions, strings.Count(log.String(), `msg="two jobs in the store have one name`), log.String())
			require.Equal(t, mentions, strings.Count(log.String(), "removed="+uids[1]))
		}
	})
}
