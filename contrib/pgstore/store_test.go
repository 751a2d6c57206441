package pgstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// A closable store is one that can be opened again.
type closable struct{ *pgstore.Store }

func (closable) Close() error { return nil }

func TestStore(t *testing.T) { testStore(t, connect(t, "postgres")) }

func testStore(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	schema := schemaOf(t)
	batchtest.TestStore(t, func(dir string) (batch.Store, error) {
		s, err := pgstore.Open(t.Context(), pool, pgstore.Options{Schema: schema, Name: dir})
		return closable{s}, err
	})
}

// Several processes may make the tables at once.
func TestOpen_AtOnce(t *testing.T) {
	pool := connect(t, "postgres")
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = pgstore.Open(t.Context(), pool, pgstore.Options{Schema: schemaOf(t)}) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestOpen_Refuses(t *testing.T) {
	pool := connect(t, "postgres")
	_, err := pgstore.Open(t.Context(), pool, pgstore.Options{Lease: time.Millisecond})
	require.EqualError(t, err, "pgstore: Options.Lease: 1ms: must be at least 100ms")

	open(t, pool, pgstore.Options{})
	_, err = pool.Exec(t.Context(), "INSERT INTO "+schemaOf(t)+".versions (version) VALUES (1000)")
	require.NoError(t, err)
	_, err = pgstore.Open(t.Context(), pool, pgstore.Options{Schema: schemaOf(t)})
	require.ErrorContains(t, err, "has tables of version 1000, this package knows 1")
}

func withExecutor(job *batch.Job) {
	job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
}

// waitFor waits until there is a job, and for its end.
func waitFor(t *testing.T, c *batch.Controller, name string) batch.Status {
	t.Helper()
	for change, err := range c.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if change.Status.Name == name && change.Status.Finished() {
			return change.Status
		}
	}
	return batch.Status{}
}

// Controllers of other names, and in other schemas, are others.
func TestStore_Names(t *testing.T) {
	pool := connect(t, "postgres")
	var stores []*pgstore.Store
	for _, o := range []pgstore.Options{{}, {Name: "other"}, {Schema: schemaOf(t) + "_another", Name: "other"}} {
		stores = append(stores, open(t, pool, o))
	}
	for i, s := range stores {
		c, err := batch.New(t.Context(), batch.Options{Store: s})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Shutdown(context.Background())) })
		require.NoError(t, c.SaveRecord(t.Context(), "of", []byte{byte(i)}))
		for _, value := range c.Records("of") {
			require.Equal(t, []byte{byte(i)}, value)
		}
	}
}

// A job exists exactly if the transaction commits that has created it, also if nobody
// works then, and is created once.
func TestCreateTx(t *testing.T) {
	pool := connect(t, "postgres")
	s := open(t, pool, pgstore.Options{})
	inTx := func(names []string, end func(pgx.Tx) error) {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		for _, name := range names {
			require.NoError(t, s.CreateTx(t.Context(), tx, batch.Job{Name: name, TTLAfterFinished: new(time.Hour)}))
		}
		require.NoError(t, end(tx))
	}
	commit := func(tx pgx.Tx) error { return tx.Commit(t.Context()) }
	inTx([]string{"early", "twice", "twice"}, commit)
	inTx([]string{"never"}, func(tx pgx.Tx) error { return tx.Rollback(t.Context()) })

	c, err := batch.New(t.Context(), batch.Options{Store: s, Standby: true})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan error, 1)
	go func() { received <- s.Receive(ctx, c, withExecutor) }()
	waitFor(t, c, "twice")
	inTx([]string{"late"}, commit)
	waitFor(t, c, "late")
	cancel()
	require.ErrorIs(t, <-received, context.Canceled)
	var names []string
	for status := range c.All() {
		names = append(names, status.Name)
	}
	require.Equal(t, []string{"early", "late", "twice"}, names)
	require.NoError(t, c.Shutdown(t.Context()))

	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	var invalid *batch.ValidationError
	require.ErrorAs(t, s.CreateTx(t.Context(), tx, batch.Job{Name: "Not A Name"}), &invalid)
	require.NoError(t, tx.Rollback(t.Context()))
}
