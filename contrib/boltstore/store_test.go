package boltstore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// bbolt keeps the file in good order, and we keep our sums: what verify expects
// of a file is what there is, whatever was committed.
func TestStore_AnyCommits(t *testing.T) {
	for seed := range uint64(4) {
		w, want, path := newWorkload(seed), model{}, storePath(t)
		w.jobs, w.maxSize = 1+w.IntN(40), 1+w.IntN(1000)
		s := open(t, path)
		for i := range 80 {
			records := w.commit(w.IntN(30))
			want.apply(records)
			commit(t, s, records...)
			got, err := inImage(contents(t, path))
			require.NoError(t, err, "seed %d, commit %d", seed, i)
			requireSame(t, want, got)
			requireNoPageLost(t, s)
		}
		requireHolds(t, want, s)
		require.NoError(t, s.Close())
		got, err := inFile(path)
		require.NoError(t, err)
		requireSame(t, want, got)
	}
}

// requireNoPageLost requires that every page is free or in use, as bbolt sees it.
func requireNoPageLost(t *testing.T, s *Store) {
	t.Helper()
	require.NoError(t, s.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	}))
}
