package boltstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

const holdVariable = "BOLTSTORE_TEST_HOLD"

// hold is the other process of TestOpen_InUseByAnotherProcess.
func hold(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	if err := s.Commit(context.Background(), []batch.Record{record("job", "key", "value")}); err != nil {
		return err
	}
	fmt.Println("held")
	select {} // until killed
}

func TestOpen_InUseByAnotherProcess(t *testing.T) {
	path := storePath(t)
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), holdVariable+"="+path)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "held"; {
	}
	before := contents(t, path)

	_, err = Open(path, Options{})
	inUse, ok := errors.AsType[*InUseError](err)
	require.True(t, ok, "%v", err)
	if runtime.GOOS == "linux" {
		require.Equal(t, &InUseError{Path: path, PID: other.Process.Pid}, inUse)
		require.EqualError(t, err, fmt.Sprintf("boltstore: %s is in use by process %d", path, other.Process.Pid))
	}
	require.Equal(t, before, contents(t, path))

	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	requireHolds(t, model{{"job", "key"}: "value"}, open(t, path))
}

func TestOpen_InUseByThisProcess(t *testing.T) {
	path := storePath(t)
	s := open(t, path)
	link := filepath.Join(filepath.Dir(path), "link")
	require.NoError(t, os.Symlink(path, link))
	for _, name := range []string{path, link} {
		_, err := Open(name, Options{})
		inUse, ok := errors.AsType[*InUseError](err)
		require.True(t, ok, "%v", err)
		if runtime.GOOS == "linux" {
			require.Equal(t, os.Getpid(), inUse.PID)
			require.ErrorContains(t, err, "in use by this process")
		}
	}
	require.NoError(t, s.Close())
	require.NoError(t, open(t, link).Close())
	require.EqualError(t, &InUseError{Path: "x"}, "boltstore: x is in use by another process")
}

// Of many that make the same store at once one gets it.
func TestOpen_OnlyOneMakesAStore(t *testing.T) {
	for range 10 {
		path := storePath(t)
		var all sync.WaitGroup
		stores := make([]*Store, 8)
		errs := make([]error, len(stores))
		for i := range stores {
			all.Go(func() { stores[i], errs[i] = Open(path, Options{}) })
		}
		all.Wait()
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				commit(t, stores[i], record("job", "key", "value"))
				require.NoError(t, stores[i].Close())
				continue
			}
			_, inUse := errors.AsType[*InUseError](err)
			require.True(t, inUse, "%v", err)
		}
		require.Equal(t, 1, won)
		requireHolds(t, model{{"job", "key"}: "value"}, open(t, path))
		files, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, files, 1, "something is left of the others")
	}
}

// A process that is killed while it makes a store leaves none, and nothing that
// is in the way.
func TestOpen_AfterAnUnfinishedStart(t *testing.T) {
	path := storePath(t)
	write(t, filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new-1234"), []byte("half a store"))
	commit(t, open(t, path), record("job", "key", "value"))
}

func TestOpen_Mode(t *testing.T) {
	for mode, want := range map[os.FileMode]string{0: "-rw-------", 0o660: "-rw-rw----"} {
		path := storePath(t)
		s, err := Open(path, Options{Mode: mode})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().String())
	}
}

func TestOpen_MissingFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "missing")
	path := filepath.Join(folder, "jobs.db")
	_, err := Open(path, Options{})
	failed, ok := errors.AsType[*IOError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "create", failed.Op)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.True(t, strings.HasPrefix(err.Error(), "boltstore: create "+path+": its folder is missing: "), "%v", err)
	require.NoDirExists(t, folder)
}

func TestOpen_PathThatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	write(t, file, []byte("text"))
	for name, path := range map[string]string{
		"a folder":                folder,
		"below a file":            filepath.Join(file, "jobs.db"),
		"a link to what is not":   danglingLink(t, folder),
		"a name that is too long": filepath.Join(folder, strings.Repeat("x", 300)),
	} {
		_, err := Open(path, Options{})
		_, ok := errors.AsType[*IOError](err)
		require.True(t, ok, "%s: %v", name, err)
	}
	require.Equal(t, "text", string(contents(t, file)))
}

func danglingLink(t *testing.T, folder string) string {
	link := filepath.Join(folder, "link")
	require.NoError(t, os.Symlink(filepath.Join(folder, "nothing"), link))
	return link
}
