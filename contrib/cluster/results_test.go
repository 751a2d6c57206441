package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A folder is a store of results that all nodes see.
type folder string

func (f folder) Put(_ context.Context, key string, data []byte) error {
	return os.WriteFile(f.path(key), data, 0o600)
}

func (f folder) Get(_ context.Context, key string) ([]byte, error) { return os.ReadFile(f.path(key)) }

func (f folder) path(key string) string {
	return filepath.Join(string(f), strings.ReplaceAll(key, "/", "_"))
}

// A result that is too large for a termination message goes by the store of the user's. A
// service that lacks the store says so, and the next one reads the result.
func TestResultStoreOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := t.TempDir()
	o := p.options()
	share(&o, dir, "CLUSTER_TEST_RESULTS", dir)
	job := batch.Job{Name: "large", ManagedBy: new(Manager), Executor: functions.Executor("large"),
		CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2)}
	without := p.service(o)
	require.NoError(t, without.Create(t.Context(), job))
	s := await(t, without, "large", func(s batch.Status) bool { return s.Is(batch.ConditionStalled) })
	require.Contains(t, s.Explain(), "Options.Functions.Results: nil, and pod large-")

	o.Functions = &Functions{Results: folder(dir)}
	with := p.service(o)
	_, err := with.Run(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, map[int][]byte{0: make([]byte, 5000), 1: make([]byte, 5000)}, resultsOf[[]byte](t, with, "large"))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 2, "each attempt has put its result once")
}
