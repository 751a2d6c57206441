package boltstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/disktest"
	"github.com/runtocompletion/batch/internal/effort"
)

// asNobody calls f as a user whom permissions stop: root is stopped by none.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread() // whose user it is
	defer runtime.UnlockOSThread()
	require.NoError(t, syscall.Setfsuid(65534))
	defer func() { require.NoError(t, syscall.Setfsuid(0)) }()
	f()
}

// openFolder is a folder that every user may use.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "boltstore")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o777))
	return folder
}

func TestOpen_NoPermission(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, folder, path string)
		op      string
	}{
		"the file may only be read": {op: "open", prepare: func(t *testing.T, _, path string) {
			require.NoError(t, os.Chmod(path, 0o444))
		}},
		"the folder may only be read": {op: "create", prepare: func(t *testing.T, folder, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Chmod(folder, 0o555))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := openFolder(t)
			path := filepath.Join(folder, "jobs.db")
			asNobody(t, func() {
				s, err := Open(path, Options{})
				require.NoError(t, err, "with permission")
				require.NoError(t, s.Close())
			})
			c.prepare(t, folder, path)
			before, _ := os.ReadFile(path)
			asNobody(t, func() {
				_, err := Open(path, Options{})
				failed, ok := errors.AsType[*IOError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, c.op, failed.Op)
				require.ErrorIs(t, err, fs.ErrPermission)
			})
			after, _ := os.ReadFile(path)
			require.Equal(t, before, after)
		})
	}
}

// mounted is a folder that is a disk of that many bytes.
func mounted(t *testing.T, size int64) string {
	t.Helper()
	disk, err := disktest.New(size)
	effort.Need(t, err)
	t.Cleanup(func() { require.NoError(t, disk.Close()) })
	return disk.Folder
}

func TestOpen_ReadOnlyDisk(t *testing.T) {
	folder := mounted(t, 1<<20)
	path := filepath.Join(folder, "jobs.db")
	require.NoError(t, open(t, path).Close())
	require.NoError(t, syscall.Mount("none", folder, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for _, name := range []string{path, filepath.Join(folder, "new.db")} {
		_, err := Open(name, Options{})
		_, ok := errors.AsType[*IOError](err)
		require.True(t, ok, "%v", err)
		require.ErrorIs(t, err, syscall.EROFS)
	}
}

func TestOpen_FullDisk(t *testing.T) {
	folder := mounted(t, 64<<10)
	filler := filepath.Join(folder, "filler")
	write(t, filler, make([]byte, 60<<10))
	path := filepath.Join(folder, "jobs.db")
	_, err := Open(path, Options{})
	_, ok := errors.AsType[*IOError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, syscall.ENOSPC)

	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 1, "something is left of the attempt")
	require.NoError(t, os.Remove(filler))
	commit(t, open(t, path), record("job", "key", "value"))
}

func TestCommit_FullDisk(t *testing.T) {
	folder := mounted(t, 2<<20)
	filler := filepath.Join(folder, "filler")
	write(t, filler, make([]byte, 1<<20))
	p := newPatient(t, filepath.Join(folder, "jobs.db"))
	var err error
	for size := 1 << 10; err == nil && size < 4<<20; size += 40 << 10 {
		err = p.suffer(size)
	}
	_, ok := errors.AsType[*IOError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Error(t, p.suffer(900<<10), "still full")
	require.ErrorIs(t, p.suffer(900<<10), syscall.ENOSPC)

	require.NoError(t, os.Remove(filler))
	p.recover()
	require.NoError(t, p.suffer(900<<10), "there is room again")
}

// The largest size of a file acts as a full disk does, at another place: the
// file cannot be extended.
func TestCommit_FileTooLarge(t *testing.T) {
	p := newPatient(t, storePath(t))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	limited := syscall.Rlimit{Cur: uint64(len(contents(t, p.path))), Max: was.Max}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited))
	restore := func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)) }
	t.Cleanup(restore)

	err := p.suffer(3 << 20)
	_, ok := errors.AsType[*IOError](err)
	require.True(t, ok, "%v", err)
	require.ErrorContains(t, err, "file too large")
	require.Error(t, p.suffer(3<<20))
	restore()
	p.recover()
	require.NoError(t, p.suffer(3<<20))
}

// replace puts another file in the place of that of the store, as the system
// sees it, until the function it returns is called.
func (p *patient) replace(path string, flag int) (restore func()) {
	p.t.Helper()
	own := int(p.file.Fd())
	kept, err := syscall.Dup(own)
	require.NoError(p.t, err)
	other, err := os.OpenFile(path, flag, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, syscall.Dup3(int(other.Fd()), own, syscall.O_CLOEXEC))
	require.NoError(p.t, other.Close())
	return func() {
		require.NoError(p.t, syscall.Dup3(kept, own, syscall.O_CLOEXEC))
		require.NoError(p.t, syscall.Close(kept))
	}
}

func TestCommit_FailedWrite(t *testing.T) {
	for name, c := range map[string]struct {
		path string // the store's own if empty
		flag int
		want error
	}{
		"writes fail":                 {flag: os.O_RDONLY, want: syscall.EBADF},
		"reads fail as well":          {path: "/dev/full", flag: os.O_WRONLY, want: syscall.EBADF},
		"reads give something else":   {path: "/dev/zero", flag: os.O_RDWR, want: errNoMeta},
		"reads give nothing any more": {path: "/dev/null", flag: os.O_RDWR, want: errNoMeta},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, storePath(t))
			for range 5 {
				restore := p.replace(cmp.Or(c.path, p.path), c.flag)
				for range 3 {
					err := p.suffer(100)
					_, ok := errors.AsType[*IOError](err)
					require.True(t, ok, "%v", err)
					require.ErrorIs(t, err, c.want)
				}
				restore()
				p.recover()
			}
		})
	}
}

// While bbolt is at it, writes fail, or syncs do: a device that takes what is
// written and forgets it cannot be synced.
func TestCommit_FailsHalfway(t *testing.T) {
	for name, replace := range map[string]func(p *patient) (restore func()){
		"write": func(p *patient) func() { return p.replace(p.path, os.O_RDONLY) },
		"sync":  func(p *patient) func() { return p.replace("/dev/null", os.O_RDWR) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, storePath(t))
			for range 20 {
				var restore func()
				err := p.interrupted(func() { restore = replace(p) })
				_, ok := errors.AsType[*IOError](err)
				require.True(t, ok, "%v", err)
				restore()
				p.recover()
			}
		})
	}
}

// interrupted commits, and calls f when bbolt begins to write.
func (p *patient) interrupted(f func()) error {
	tx, err := p.db.Begin(true)
	require.NoError(p.t, err)
	require.NoError(p.t, apply(tx, p.changes(p.work.commit(30)), p.last.Sum))
	f()
	return p.call("write", func() error { return p.finish(tx) })
}

// After a sync that has failed, the system takes what was written for synced.
// So it is written again before anything else is.
func TestCommit_WritesAgainWhatMayBeLost(t *testing.T) {
	p := newPatient(t, storePath(t))
	page, err := newestMetaPage(p.file)
	require.NoError(t, err)
	p.doubt = page
	restore := p.replace(p.path, os.O_RDONLY)
	require.ErrorIs(t, p.Commit(t.Context(), nil), syscall.EBADF, "it was not written again")
	restore()
	require.NoError(t, p.Commit(t.Context(), nil))
	require.Nil(t, p.doubt)
	p.recover()

	d := &recordedDisk{}
	require.NoError(t, page.rewrite(d))
	require.Equal(t, []string{fmt.Sprint("write 4096 at ", page.at), "sync"}, d.calls)
}

type recordedDisk struct{ calls []string }

func (d *recordedDisk) WriteAt(data []byte, at int64) (int, error) {
	d.calls = append(d.calls, fmt.Sprint("write ", len(data), " at ", at))
	return len(data), nil
}

func (d *recordedDisk) Sync() error {
	d.calls = append(d.calls, "sync")
	return nil
}

// A file that is cut under a store that is open makes reading it fault. That
// does not end the process, and the store does not go on with what is left.
func TestCommit_FileIsCut(t *testing.T) {
	p := newPatient(t, storePath(t))
	whole := contents(t, p.path)
	require.NoError(t, os.Truncate(p.path, 8192))
	for range 3 {
		_, corrupt := errors.AsType[*CorruptError](p.Commit(t.Context(), p.work.commit(200)))
		require.True(t, corrupt)
		_, err := loaded(p.Store)
		_, corrupt = errors.AsType[*CorruptError](err)
		require.True(t, corrupt, "%v", err)
		require.Len(t, contents(t, p.path), 8192, "it was written to")
	}
	file, err := os.OpenFile(p.path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.Write(whole)
	require.NoError(t, errors.Join(err, file.Close()))
	p.recover()
}

// What bbolt cannot read while it is open is found, if it comes to it.
func TestLoad_FileIsDamaged(t *testing.T) {
	p := newPatient(t, storePath(t))
	p.mustCommit([]batch.Record{record("job-1", "key-1", "something to be found")})
	image := contents(t, p.path)
	file, err := os.OpenFile(p.path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer file.Close()
	for at := 0; at+len("something") < len(image); at++ {
		if string(image[at:at+len("something")]) == "something" {
			_, err := file.WriteAt([]byte("S"), int64(at))
			require.NoError(t, err)
		}
	}
	_, err = loaded(p.Store)
	_, corrupt := errors.AsType[*CorruptError](err)
	require.True(t, corrupt, "%v", err)
	_, err = file.WriteAt(image, 0)
	require.NoError(t, err)
	p.recover()
}
