//go:build unix

package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A file that loses its name under a store that is open: what is committed then would not be found
// what is committed to it.
func TestCommit_FileIsMoved(t *testing.T) {
	for name, c := range map[string]struct {
		move func(t *testing.T, path string)
		back func(t *testing.T, path string) // nil if it cannot be undone
	}{
		"removed": {move: func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }},
		"renamed": {
			move: func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".old")) },
			back: func(t *testing.T, path string) { require.NoError(t, os.Rename(path+".old", path)) },
		},
		"replaced by a copy": {
			move: func(t *testing.T, path string) {
				write(t, path+".copy", contents(t, path))
				require.NoError(t, os.Rename(path, path+".old"))
				require.NoError(t, os.Rename(path+".copy", path))
			},
			back: func(t *testing.T, path string) { require.NoError(t, os.Rename(path+".old", path)) },
		},
		"its folder renamed": {
			move: func(t *testing.T, path string) {
				require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old"))
			},
			back: func(t *testing.T, path string) {
				require.NoError(t, os.Rename(filepath.Dir(path)+".old", filepath.Dir(path)))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, storePath(t))
			c.move(t, p.path)
			for _, records := range [][]batch.Record{p.work.commit(5), nil} {
				err := p.Commit(t.Context(), records)
				failed, ok := errors.AsType[*IOError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, "write", failed.Op)
				require.ErrorIs(t, err, ErrMoved)
			}
			if c.back != nil {
				c.back(t, p.path)
				p.recover()
			}
		})
	}
}

// A file that another writes to is not what was committed: nothing more is
// acknowledged until it is.
func TestCommit_FileIsOverwritten(t *testing.T) {
	path := storePath(t)
	p := newPatient(t, path)
	older := contents(t, path)
	p.mustCommit(p.work.commit(5))
	p.mustCommit(p.work.commit(5))
	newest := contents(t, path)
	for range 3 {
		write(t, path, older)
		for _, records := range [][]batch.Record{p.work.commit(5), nil, p.work.commit(5)} {
			err := p.Commit(t.Context(), records)
			_, corrupt := errors.AsType[*CorruptError](err)
			require.True(t, corrupt, "%v", err)
			require.ErrorContains(t, err, "somebody else has written to it while it was open")
			_, err = loaded(p.Store)
			_, corrupt = errors.AsType[*CorruptError](err)
			require.True(t, corrupt, "%v", err)
		}
		require.Equal(t, len(older), len(contents(t, path)), "it was written to")
		write(t, path, newest)
		p.recover()
		newest = contents(t, path)
	}
}

// While commits go on, an older copy takes the place of the file: what is
// acknowledged from then on would be lost.
func TestCommit_FileIsOverwrittenMeanwhile(t *testing.T) {
	path := storePath(t)
	s := open(t, path)
	commit(t, s, record("job", "key", "older"))
	older := contents(t, path)
	overwritten := make(chan error)
	acknowledged := make(chan struct{})
	go func() {
		<-acknowledged
		overwritten <- os.WriteFile(path, older, 0o600)
	}()
	var after error
	for done := false; !done || after == nil; {
		select {
		case err := <-overwritten:
			require.NoError(t, err)
			require.Error(t, s.Commit(t.Context(), []batch.Record{record("job", "key", "after it")}))
			done = true
		default:
		}
		after = s.Commit(t.Context(), []batch.Record{record("job", "key", "newer")})
		select {
		case acknowledged <- struct{}{}:
		default:
		}
	}
	_, corrupt := errors.AsType[*CorruptError](after)
	require.True(t, corrupt, "%v", after)
}

// A store that could not go on with its file lets go of it all the same.
func TestClose_AfterGivingUp(t *testing.T) {
	path := storePath(t)
	s, err := Open(path, Options{})
	require.NoError(t, err)
	commit(t, s, record("job", "key", strings.Repeat("value", 1e5)))
	whole := contents(t, path)
	require.NoError(t, os.Truncate(path, 8192))
	require.Error(t, s.Commit(t.Context(), []batch.Record{record("job", "other", "value")}))
	require.NoError(t, s.Close())
	write(t, path, whole)
	requireHolds(t, model{{"job", "key"}: strings.Repeat("value", 1e5)}, open(t, path))
}

// The process may go elsewhere.
func TestCommit_InAnotherFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s := open(t, "jobs.db")
	t.Chdir(t.TempDir())
	commit(t, s, record("job", "key", "value"))
}

func TestOpen_DanglingLink(t *testing.T) {
	folder := t.TempDir()
	link := danglingLink(t, folder)
	_, err := Open(link, Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(
		t, err,
		"boltstore: open "+link+": it is a link to "+filepath.Join(folder,
			"nothing")+", which is not there: file does not exist",
	)
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

func TestOpen_NameAsLongAsMayBe(t *testing.T) {
	for _, name := range []string{strings.Repeat("x", 250), strings.Repeat("x", 255), strings.Repeat("ä", 127)} {
		path := filepath.Join(t.TempDir(), name)
		commit(t, open(t, path), record("job", "key", "value"))
	}
}

func TestOpen_NoPath(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Open("", Options{})
	require.EqualError(t, err, `boltstore: open "": the path is empty: invalid argument`)
	require.ErrorIs(t, err, fs.ErrInvalid)
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, files)
}
