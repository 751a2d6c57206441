package boltstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
)

// hang lets what is written to a store hang, as it does on a disk that does not
// answer, until the function it returns is called.
func hang(t *testing.T, s *Store) (answer func()) {
	t.Helper()
	var tx *bbolt.Tx
	require.NoError(t, s.begin(t.Context()))
	require.NoError(t, s.run(t.Context(), func() (err error) {
		tx, err = s.db.Begin(true)
		return err
	}))
	return func() { require.NoError(t, tx.Rollback()) }
}

var errEnough = errors.New("enough")

// A waiting context tells when a commit waits for the disk.
type waiting struct {
	context.Context
	cancel context.CancelCauseFunc
	calls  int
	waits  chan struct{}
}

func newWaiting(t *testing.T) *waiting {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return &waiting{Context: ctx, cancel: cancel, waits: make(chan struct{})}
}

// Done is called first for the turn, and then for the disk.
func (w *waiting) Done() <-chan struct{} {
	if w.calls++; w.calls == 2 {
		close(w.waits)
	}
	return w.Context.Done()
}

// A disk that hangs keeps no caller whose context ends.
func TestCommit_DiskHangs(t *testing.T) {
	s := open(t, storePath(t))
	commit(t, s, record("job", "key", "before"))
	answer := hang(t, s)
	ctx := newWaiting(t)
	ended := make(chan error)
	records := []batch.Record{record("job", "key", "meanwhile"), record("job", "other", "meanwhile")}
	go func() { ended <- s.Commit(ctx, records) }()
	<-ctx.waits
	ctx.cancel(errEnough)
	require.ErrorIs(t, <-ended, errEnough)
	for i := range records { // which were only lent
		copy(records[i].Value, "nonsense!")
	}

	short, stop := context.WithTimeoutCause(t.Context(), time.Millisecond, errEnough)
	defer stop()
	require.ErrorIs(t, s.Commit(short, []batch.Record{record("job", "key", "refused")}), errEnough)
	for _, err := range s.Load(short) {
		require.ErrorIs(t, err, errEnough)
	}
	answer()
	requireHolds(t, model{{"job", "key"}: "meanwhile", {"job", "other"}: "meanwhile"}, s)
	commit(t, s, record("job", "key", "after"))
	requireHolds(t, model{{"job", "key"}: "after", {"job", "other"}: "meanwhile"}, s)
	requireNoPageLost(t, s)
}

// Close does not wait for ever either, and says what it leaves behind. That ends
// when the disk answers.
func TestClose_DiskHangs(t *testing.T) {
	path := storePath(t)
	s, err := Open(path, Options{})
	require.NoError(t, err)
	s.patience = 10 * time.Millisecond
	answer := hang(t, s)
	ctx := newWaiting(t)
	go func() {
		<-ctx.waits
		ctx.cancel(errEnough)
	}()
	require.ErrorIs(t, s.Commit(ctx, []batch.Record{record("job", "key", "value")}), errEnough)
	for range 2 {
		err := s.Close()
		require.ErrorIs(t, err, ErrHangs)
		require.EqualError(t, err, "boltstore: close "+path+": the disk does not answer")
	}
	require.ErrorIs(t, s.Commit(t.Context(), nil), ErrClosed)
	_, err = Open(path, Options{})
	_, inUse := errors.AsType[*InUseError](err)
	require.True(t, inUse, "%v", err)

	answer()
	s.patience = time.Minute
	require.NoError(t, s.Close())
	requireHolds(t, model{{"job", "key"}: "value"}, open(t, path))
}

// A loop over what is loaded ends with its context as well.
func TestLoad_DiskHangs(t *testing.T) {
	s := filled(t, 2000)
	defer func() { <-s.turn }()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errEnough)
	defer cancel()
	var last error
	count := 0
	for _, err := range s.Load(ctx) {
		if count++; count == 1 {
			require.NoError(t, s.takeTurn(t.Context())) // for a read that hangs
		}
		last = err
	}
	require.ErrorIs(t, last, errEnough)
}
