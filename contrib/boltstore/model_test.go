package boltstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/leaktest"
)

// Roles are what this program is in the place of its tests, by the variable that asks for
// it and has its argument.
var roles = map[string]func(string) error{deployVariable: deploy, holdVariable: hold, dirVariable: makeDirs}

func TestMain(m *testing.M) {
	for variable, play := range roles {
		if argument := os.Getenv(variable); argument != "" {
			if err := play(argument); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	leaktest.Main(m)
}

// A model is what a store should hold: the values by job and key.
type model map[[2]string]string

func (m model) apply(records []batch.Record) {
	for _, r := range records {
		switch {
		case r.Value != nil:
			m[[2]string{r.Job, r.Key}] = string(r.Value)
		case r.Key != "":
			delete(m, [2]string{r.Job, r.Key})
		default:
			maps.DeleteFunc(m, func(at [2]string, _ string) bool { return at[0] == r.Job })
		}
	}
}

func (m model) add(r batch.Record) error {
	at := [2]string{r.Job, r.Key}
	if _, twice := m[at]; twice {
		return fmt.Errorf("record %q of job %q is there twice", r.Key, r.Job)
	}
	m[at] = string(r.Value)
	return nil
}

// loaded is what a store holds.
func loaded(s *Store) (model, error) {
	m := model{}
	for r, err := range s.Load(context.Background()) {
		if err != nil {
			return nil, err
		}
		if err := m.add(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// inImage is what a file holds, which lies in memory.
func inImage(image []byte) (model, error) {
	m := model{}
	return m, walk("image", bytes.NewReader(image), int64(len(image)), m.add)
}

// inFile is what a store holds after it was opened. The file is closed again.
func inFile(path string) (m model, err error) {
	s, err := Open(path, Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := s.Close(); err == nil {
			err = closeErr
		}
	}()
	return loaded(s)
}

// requireHolds requires that a store holds what it should.
func requireHolds(t *testing.T, want model, s *Store) {
	t.Helper()
	got, err := loaded(s)
	require.NoError(t, err)
	requireSame(t, want, got)
}

// requireSame is require.Equal for models, whose values may be long.
func requireSame(t *testing.T, want, got model) {
	t.Helper()
	require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
	for at := range want {
		require.True(t, want[at] == got[at], "the value of %q is another one", at)
	}
}

// A workload makes commits at random, the same for the same seed.
type workload struct {
	*rand.Rand
	jobs, keys int
	maxSize    int
}

func newWorkload(seed uint64) *workload {
	return &workload{Rand: rand.New(rand.NewPCG(seed, 0)), jobs: 12, keys: 9, maxSize: 300}
}

func (w *workload) commit(records int) []batch.Record {
	commit := make([]batch.Record, records)
	for i := range commit {
		commit[i] = w.record()
	}
	return commit
}

func (w *workload) record() batch.Record {
	r := batch.Record{Job: fmt.Sprint("job-", w.IntN(w.jobs))}
	kind := w.IntN(20)
	if kind == 0 {
		return r
	}
	r.Key = fmt.Sprint("key-", w.IntN(w.keys))
	switch {
	case kind < 6: // removed
	case kind < 8: // of a bucket of its own
		r.Value = w.value(largeValue + 1 + w.IntN(2*largeValue))
	default:
		r.Value = w.value(w.IntN(w.maxSize))
	}
	return r
}

func (w *workload) value(size int) []byte {
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(w.Uint32())
	}
	return value
}

// storePath is that of a store in a new folder.
func storePath(t testing.TB) string { return filepath.Join(t.TempDir(), "jobs.db") }

// open opens a store that is closed when the test ends.
func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func commit(t testing.TB, s *Store, records ...batch.Record) {
	t.Helper()
	require.NoError(t, s.Commit(t.Context(), records))
}

func record(job, key, value string) batch.Record {
	return batch.Record{Job: job, Key: key, Value: []byte(value)}
}

func contents(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, data, 0o600))
}
