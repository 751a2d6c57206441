package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
	"github.com/runtocompletion/batch/internal/pgtest"
)

// replica is one process of a service, with connections of its own.
func replica(t *testing.T, lease time.Duration) *batch.Controller {
	t.Helper()
	s := open(t, connect(t, "postgres"), pgstore.Options{Lease: lease})
	c, err := batch.New(t.Context(), batch.Options{Store: s, Standby: true})
	require.NoError(t, err)
	t.Cleanup(func() { shutOnSlowMachine(t, c) })
	return c
}

// waits is a job that runs until its context ends, and sends the cause.
func waits(causes chan<- error) batch.Job {
	return batch.Job{Name: "waits", Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return context.Cause(ctx)
	})}
}

// After a shutdown in good order nobody waits for a lease to end.
func TestClaim_Shutdown(t *testing.T) {
	const lease = time.Hour
	var controllers []*batch.Controller
	for range 10 {
		controllers = append(controllers, replica(t, lease))
	}
	require.NoError(t, controllers[0].Claimed(t.Context()))
	var longest time.Duration
	for i, c := range controllers[:9] {
		require.NoError(t, c.Shutdown(t.Context()))
		start := time.Now()
		works := make(chan int, len(controllers))
		for k, next := range controllers[i+1:] {
			go func() {
				if next.Claimed(t.Context()) == nil {
					works <- i + 1 + k
				}
			}()
		}
		n := <-works
		longest = max(longest, time.Since(start))
		controllers[i+1], controllers[n] = controllers[n], controllers[i+1]
	}
	t.Logf("another process works %v after a shutdown at the latest", longest)
}

// Somebody else has claimed the store, though the lease has not ended here: commits are
// refused, what runs ends, and nothing of it is told.
func TestClaim_Overtaken(t *testing.T) {
	pool := connect(t, "postgres")
	c := replica(t, time.Hour)
	causes := make(chan error, 100)
	_, err := c.Apply(t.Context(), waits(causes))
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(),
		"UPDATE "+schemaOf(t)+".claims SET token = token + 1, holder = 'process 7 elsewhere'")
	require.NoError(t, err)
	err = c.SaveRecord(t.Context(), "key", []byte("value"))
	require.ErrorIs(t, err, batch.ErrStoreInUse)
	require.ErrorContains(t, err, "process 7 elsewhere")
	require.ErrorIs(t, <-causes, batch.ErrStoreInUse)
	for key := range c.Records("") {
		require.Fail(t, "it is told", key)
	}
}

// A process that cannot reach the server stops by itself when its lease has ended, and
// works again when it can.
func TestClaim_ServerOutOfReach(t *testing.T) {
	proxy, err := pgtest.NewProxy(server.Port())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	s := open(t, connectTo(t, server.URLAt(proxy.Port())), pgstore.Options{Lease: 300 * time.Millisecond})
	c, err := batch.New(t.Context(), batch.Options{Store: s, Standby: true})
	require.NoError(t, err)
	causes := make(chan error, 100)
	_, err = c.Apply(t.Context(), waits(causes))
	require.NoError(t, err)
	proxy.Hold(true)
	require.ErrorIs(t, <-causes, batch.ErrStoreInUse)
	other := replica(t, 300*time.Millisecond)
	require.NoError(t, other.Claimed(t.Context()))
	_, err = other.Get("waits")
	require.NoError(t, err)
	shutOnSlowMachine(t, other)
	proxy.Hold(false)
	require.NoError(t, c.Claimed(t.Context()))
	shutOnSlowMachine(t, c)
}

// shutOnSlowMachine shuts down a controller whose lease is short: a slow machine may lose
// it at any time.
func shutOnSlowMachine(t *testing.T, c *batch.Controller) {
	t.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Shutdown(now); err != nil {
		require.ErrorIs(t, err, batch.ErrStoreInUse)
	}
}
