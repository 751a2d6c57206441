package pgstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
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
func TestClaim_Shutdown(t *testing.T) { takeTurns(t, connect(t, "postgres"), 10) }

// takeTurns has one controller after the other work, with a lease that does not end.
func takeTurns(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	var waiting []*batch.Controller
	for range n {
		s := open(t, pool, pgstore.Options{Lease: time.Hour})
		c, err := batch.New(t.Context(), batch.Options{Store: s, Standby: true})
		require.NoError(t, err)
		waiting = append(waiting, c)
	}
	for len(waiting) > 0 {
		i := whoWorks(t, waiting)
		require.NoError(t, waiting[i].Shutdown(t.Context()))
		waiting = slices.Delete(waiting, i, i+1)
	}
}

// whoWorks waits until one of them does.
func whoWorks(t *testing.T, controllers []*batch.Controller) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	works := make(chan int, len(controllers))
	for i, c := range controllers {
		go func() {
			if c.Claimed(ctx) == nil {
				works <- i
			}
		}()
	}
	return <-works
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
