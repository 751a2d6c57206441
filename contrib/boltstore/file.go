package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// acquire opens a file and locks it. If there is none it makes one.
func acquire(path string, mode fs.FileMode) (*os.File, error) {
	// Another process may make, rename or remove the file meanwhile. Once is
	// enough unless that is done all the time.
	const tries = 10
	for range tries {
		file, err := openLocked(path)
		if errors.Is(err, fs.ErrNotExist) {
			if target, linkErr := os.Readlink(path); linkErr == nil {
				return nil, ioError("open", path, fmt.Errorf("it is a link to %s, which is not there: %w", target, fs.ErrNotExist))
			}
			err = create(path, mode)
			if err != nil {
				return nil, ioError("create", path, err)
			}
			continue
		}
		if !errors.Is(err, ErrMoved) {
			return file, ioError("open", path, err)
		}
	}
	return nil, ioError("open", path, ErrMoved)
}

// openLocked opens a file and locks it.
func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lockNamed(file, path); err != nil {
		_ = file.Close() // nothing was written to it
		return nil, err
	}
	return file, nil
}

// lockNamed locks a file, if it still has its name then.
func lockNamed(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &ForeignError{Path: path, Problem: "not a regular file"}
	}
	held, err := lock(file)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if held {
		return &InUseError{Path: path, PID: owner(file)}
	}
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, named) {
		return ErrMoved
	}
	return err
}

// create makes a store under another name, and gives it its own once it is
// complete and durable: a process that is killed meanwhile leaves no half of a store.
// Another process may be faster.
func create(path string, mode fs.FileMode) error {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its folder is missing: %w", err)
	}
	const longest = 200 // of a name: the system permits 255 bytes
	name := filepath.Base(path)
	file, err := os.CreateTemp(folder, "."+name[:min(len(name), longest)]+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := errors.Join(file.Chmod(mode), initialize(file), file.Close()); err != nil {
		return err
	}
	if err := link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folder)
}

// link gives a file a second name, unless there is a file of that name. Where
// there are no second names, the file gets a new one.
func link(old, new string) error {
	err := os.Link(old, new)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, statErr := os.Lstat(new); !errors.Is(statErr, fs.ErrNotExist) {
		return err
	}
	return os.Rename(old, new)
}

// initialize makes an empty store of an empty file.
func initialize(file *os.File) error {
	db, err := bbolt.Open(file.Name(), 0, boltOptions(os.OpenFile))
	if err != nil {
		return err
	}
	for range 2 { // so that both meta pages are those of a store
		err = errors.Join(err, writeFormat(db, file))
	}
	return errors.Join(err, db.Close())
}

func writeFormat(db *bbolt.DB, file *os.File) error {
	last, err := newestMeta(file)
	if err != nil {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(jobsBucket); err != nil {
			return err
		}
		format, err := tx.CreateBucketIfNotExists(formatBucket)
		if err != nil {
			return err
		}
		return errors.Join(format.Put(formatKey, sealedFormat(formatVersion)), format.SetSequence(last.Sum))
	})
}

// boltOptions are those of all files.
//
//   - The list of free pages is not written. It would be written anew by every
//     commit, and is long after a large job was removed: commits would not cost
//     the same any more. It is found anew when the file is opened, which reads
//     all of the file anyway.
//   - That list is a hash map in memory: the alternative is an array that every
//     commit copies.
//   - Pages have the same size everywhere, so that a file can be moved to another
//     machine.
//   - The lock is not waited for.
//   - What is left as it is: bbolt writes data, syncs, writes a meta page and
//     syncs; a file that grows is extended and synced before. The file is mapped
//     in steps, for which bbolt waits for the end of all reads: none is open while
//     code of others runs.
func boltOptions(open func(string, int, fs.FileMode) (*os.File, error)) *bbolt.Options {
	return &bbolt.Options{
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		PageSize:       boltfile.PageSize,
		Timeout:        time.Nanosecond,
		NoStatistics:   true,
		OpenFile:       open,
	}
}

// openBolt checks the file, and hands it to bbolt.
func (s *Store) openBolt() error {
	info, err := s.file.Stat()
	if err != nil {
		return ioError("read", s.path, err)
	}
	if err := verify(s.path, s.file, info.Size()); err != nil {
		return err
	}
	return s.call("open", s.handOver)
}

// handOver opens the file with bbolt, which closes it if it cannot.
func (s *Store) handOver() error {
	given := func(string, int, fs.FileMode) (*os.File, error) { return s.file, nil }
	db, err := bbolt.Open(s.path, 0, boltOptions(given))
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = &InUseError{Path: s.path, PID: owner(s.file)}
	}
	if err == nil {
		if s.doubt, err = newestMetaPage(s.file); err == nil {
			err = s.readLast()
		}
		if err != nil {
			_ = db.Close() // nothing was changed
		}
	}
	if err != nil {
		s.file = nil
		return err
	}
	s.db = db
	return nil
}
