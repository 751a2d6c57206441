package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/cluster"
	"github.com/runtocompletion/batch/internal/kubelitetest"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) {
	cluster.Main(functions)
	leaktest.Main(m)
}

// The same shards are saved wherever they are saved.
func TestBackup(t *testing.T) {
	from, here, there := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		require.NoError(t, os.WriteFile(filepath.Join(from, name), []byte("contents of "+name), 0o600))
	}
	require.NoError(t, run(t.Context(), from, here, 3, false))
	kubelitetest.Require(t)
	require.NoError(t, run(t.Context(), from, there, 3, true))
	for _, name := range []string{"shard-0.tar", "shard-1.tar", "shard-2.tar"} {
		want, err := os.ReadFile(filepath.Join(here, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(there, name))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
