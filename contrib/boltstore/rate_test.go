//go:build !race

package boltstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/runtocompletion/batch"
)

// TestDurableCompletions wants completions to be durable at half the rate at
// which a raw loop of transactions stores records, at least.
func TestDurableCompletions(t *testing.T) {
	db, err := bbolt.Open(storePath(t), 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	c, err := batch.New(t.Context(), batch.Options{Store: open(t, storePath(t))})
	require.NoError(t, err)
	defer c.Shutdown(t.Context())

	const commits, completions, tries = 50, 50_000, 5
	ratio := 0.0
	for i := 0; i < tries && ratio < 0.5; i++ {
		start := time.Now()
		for k := range commits {
			require.NoError(t, rawCommit(db, benchRecords(k, 100)))
		}
		raw := float64(commits*100) / time.Since(start).Seconds()
		start = time.Now()
		runNoops(t, c, completions, 64)
		ratio = completions / time.Since(start).Seconds() / raw
		t.Logf("%.2f × the rate of raw records", ratio)
		require.NoError(t, c.Delete(t.Context(), "noop", batch.DeleteForeground))
	}
	require.GreaterOrEqual(t, ratio, 0.5)
}
