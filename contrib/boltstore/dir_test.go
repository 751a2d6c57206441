package boltstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

const dirVariable = "BOLTSTORE_TEST_DIR"

// A gated store takes nothing more once it is shut.
type gated struct {
	*Store
	isShut atomic.Bool
}

func (g *gated) Commit(ctx context.Context, records []batch.Record) error {
	if g.isShut.Load() {
		select {} // until killed
	}
	return g.Store.Commit(ctx, records)
}

// makeDirs is the process that TestDirsOfAKilledProcess kills. Of its attempts, the store
// learns nothing.
func makeDirs(path string) error {
	ctx := context.Background()
	store, err := Open(path, Options{})
	if err != nil {
		return err
	}
	g := &gated{Store: store}
	c, err := batch.New(ctx, batch.Options{Store: g})
	if err != nil {
		return err
	}
	const attempts = 3
	dirs := make(chan string, attempts)
	if err := c.Create(ctx, batch.Job{Name: "j", Suspend: true, Completions: new(attempts), Parallelism: new(attempts),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			dir, err := a.Dir()
			dirs <- dir
			<-ctx.Done()
			return errors.Join(err, ctx.Err())
		})}); err != nil {
		return err
	}
	g.isShut.Store(true)
	go func() { _ = c.Resume(ctx, "j") }() // it waits for the store
	for range attempts {
		fmt.Println("made", <-dirs)
	}
	select {} // until killed
}

// Directories of which nothing was stored, as the process was killed just after it had
// made them, are removed when the next one opens the store; those of other stores, and
// what belongs to no store, stay.
func TestDirsOfAKilledProcess(t *testing.T) {
	path, tmp := filepath.Join(t.TempDir(), "jobs.db"), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	killed := exec.Command(os.Args[0])
	killed.Env = append(os.Environ(), dirVariable+"="+path)
	out, err := killed.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, killed.Start())
	var dirs []string
	for lines := bufio.NewScanner(out); len(dirs) < 3 && lines.Scan(); {
		if dir, ok := strings.CutPrefix(lines.Text(), "made "); ok {
			dirs = append(dirs, dir)
		}
	}
	require.NoError(t, killed.Process.Kill())
	require.Error(t, killed.Wait())
	require.Len(t, dirs, 3)
	for _, dir := range dirs {
		require.DirExists(t, dir)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	}
	others := []string{"batch-backup", "batch-0123456789abcdef-j-x", "batch-j-00000000-0000-4000-8000-000000000000"}
	for _, name := range others {
		require.NoError(t, os.Mkdir(filepath.Join(tmp, name), 0o700))
	}

	store, err := Open(path, Options{})
	require.NoError(t, err)
	defer store.Close()
	c, err := batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	require.NoError(t, c.Shutdown(t.Context())) // the job was never declared: no attempt is repeated
	entries, err := os.ReadDir(tmp)
	require.NoError(t, err)
	var left []string
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	require.ElementsMatch(t, others, left)
}
