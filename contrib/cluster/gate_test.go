package cluster

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A gate holds the attempts of function "gated" until the test opens it.
type gate struct {
	t    *testing.T
	path string
	file *os.File
}

// newGate makes a gate for the pods of these options.
func newGate(t *testing.T, o *Options) *gate {
	dir := t.TempDir()
	g := &gate{t: t, path: filepath.Join(dir, "gate")}
	require.NoError(t, syscall.Mkfifo(g.path, 0o600))
	var err error
	g.file, err = os.OpenFile(g.path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.file.Close() }) // it may be open
	share(o, dir, "CLUSTER_TEST_GATE", g.path)
	return g
}

// gated is a job whose attempts wait for the gate.
func gated(name string, n int) batch.Job {
	return batch.Job{Name: name, ManagedBy: new(Manager), Executor: functions.Executor("gated"),
		CompletionMode: batch.Indexed, Completions: &n, Parallelism: &n}
}

// waiting has a job with that many attempts, which all wait for the gate.
func (p *place) waiting(t *testing.T, name string, n int) (*batch.Controller, *gate) {
	o := p.options()
	g := newGate(t, &o)
	c := p.service(o)
	require.NoError(t, c.Create(t.Context(), gated(name, n)))
	await(t, c, name, func(s batch.Status) bool { return s.Ready == n })
	return c, g
}

// open lets go all attempts that wait, and those that come.
func (g *gate) open() {
	require.NoError(g.t, os.Remove(g.path))
	require.NoError(g.t, g.file.Close())
}

// passGate is what an attempt does: it reads until nobody can write any more.
func passGate(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which does not wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { _ = file.Close() })
	defer stop()
	if _, err := io.Copy(io.Discard, file); ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}
