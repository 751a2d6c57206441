package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore/internal/boltfile"
)

// Options configure a [Store]. The zero value is good.
type Options struct {
	// Mode are the permissions of a file that is made, whatever the umask. Zero
	// means 0600: what is in a store is its owner's business.
	Mode fs.FileMode
	// Standby has Open not fail with an [*InUseError]: the file is opened by the first
	// call that finds it free, and until then that is the error of all. With
	// [batch.Options.Standby] a process waits for the file, such as in a rolling deploy.
	Standby bool
}

// A Store is a [batch.Store] in a file. Its methods may be called by several
// goroutines at once; commits, and the steps of a Load, wait for each other.
type Store struct {
	path     string
	absolute string        // the same, also when the process changes its folder
	info     fs.FileInfo   // distinguishes the file from others; nil before it was opened first
	patience time.Duration // how long Close waits for a call

	mode     fs.FileMode           // of a file that is made
	holder   atomic.Pointer[claim] // nil unless a controller has the store
	commits  atomic.Uint64
	closed   atomic.Bool
	turn     chan struct{} // has an element while a call uses the fields below
	file     *os.File      // locked; nil if it must be opened again
	db       *bbolt.DB     // has file; nil if it was not opened yet, or cannot be trusted any more
	last     boltfile.Meta // what bbolt goes by; not valid before the file was opened
	unsure   bool          // there may be a commit after that, which has failed
	doubt    *metaPage     // what may not be on the disk, though bbolt goes by it; nil if there is none
	buf      []byte        // for the next commit
	closeErr error         // of closing the file
}

// Open opens the store in the file at path, or makes one if there is no file.
// The folder must be there. It reads the whole file, and returns a store only
// if that holds, byte for byte, what was last committed to it.
//
// Otherwise the file is as it was, and the error says why: an [*InUseError], at
// once, if the store is open elsewhere; a [*CorruptError], a [*FormatError] or a
// [*ForeignError] if it cannot be read; an [*IOError] if the system did not let
// it be read or written, or made. An empty path is an [io/fs.ErrInvalid].
func Open(path string, o Options) (*Store, error) {
	mode := o.Mode
	if mode == 0 {
		mode = 0o600
	}
	absolute, err := absolutePath(path)
	if err != nil {
		return nil, ioError("open", path, err)
	}
	s := &Store{path: path, absolute: absolute, mode: mode, patience: closePatience, turn: make(chan struct{}, 1)}
	err = s.makeReady()
	if _, inUse := errors.AsType[*InUseError](err); inUse && o.Standby {
		return s, nil
	}
	if err != nil {
		_ = s.Close() // nothing was changed
		return nil, err
	}
	return s, nil
}

func absolutePath(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("the path is empty: %w", fs.ErrInvalid)
	}
	return filepath.Abs(path)
}

// closePatience is how long Close waits for the disk.
const closePatience = 5 * time.Second

// Close closes the file, for others to open. It waits for a call that is under
// way, for five seconds at most: then it returns an [*IOError] that is an
// [ErrHangs], and the file is closed as soon as the disk answers. A store may be
// closed more than once.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), s.patience, ErrHangs)
	defer cancel()
	s.closed.Store(true) // for calls that wait, and for one that hangs
	if err := s.takeTurn(ctx); err != nil {
		return ioError("close", s.path, err)
	}
	return ioError("close", s.path, s.run(ctx, func() error { return nil }))
}

// close closes the file, once.
func (s *Store) close() {
	db := s.db
	s.db = nil
	if db != nil {
		s.file = nil
		s.closeErr = db.Close()
		return
	}
	s.closeErr = errors.Join(s.closeErr, s.closeFile())
}

// closeFile closes the file when bbolt does not. A bbolt.DB that was given up may
// have it mapped, and so locked, for ever: it is unlocked.
func (s *Store) closeFile() error {
	file := s.file
	s.file = nil
	if file == nil {
		return nil
	}
	return errors.Join(unlock(file), file.Close())
}

// Commit applies the records in order, all of them or none, and returns once
// they are durable: with two syncs of the file, and more when it grows. Without
// records it writes nothing, but returns the error that a commit would meet
// after one that has failed.
//
// An [*IOError] says that the system could not write, such as on a full disk, or
// that the file does not have its name any more ([ErrMoved]); a [*CorruptError]
// that others have written to it. All that was committed before is in the file;
// these records may be, or not. Once the reason is gone, Commit works again. A
// [*RecordError] says that a record has no place in a store, [ErrClosed] that the
// store is closed: nothing was written then. So it is if ctx has ended before. If it
// ends later, Commit returns its cause at once, and the records will be in the
// file as a whole, or not at all, before anything else is.
func (s *Store) Commit(ctx context.Context, records []batch.Record) error {
	if err := cmp.Or(checkRecords(records), s.checkClaim(ctx)); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	changes := s.changes(records) // while the records are lent
	return s.run(ctx, func() error {
		if err := s.makeReady(); err != nil {
			return err
		}
		return s.call("write", func() error { return s.commit(changes) })
	})
}

func (s *Store) commit(changes []change) error {
	if err := s.checkName(); err != nil {
		return err
	}
	if err := s.readLast(); err != nil || len(changes) == 0 {
		return err
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := apply(tx, changes, s.last.Sum); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return s.finish(tx)
}

// finish writes what a transaction has changed. Before any caller learns of it, the
// file must be the one that was written to.
func (s *Store) finish(tx *bbolt.Tx) error {
	before := s.last
	s.unsure = true
	if err := tx.Commit(); err != nil {
		return s.failed(err)
	}
	if err := s.readLast(); err != nil {
		return err
	}
	if s.last.Sum == before.Sum {
		return s.overwritten()
	}
	if err := s.checkName(); err != nil {
		return err
	}
	s.commits.Add(1)
	return writeReceipt(s.file, before.Slot, s.last)
}

// failed remembers what bbolt goes on from after a commit that has failed:
// what was committed, or, if the last of its writes did not fail, what was
// known before.
func (s *Store) failed(err error) error {
	page, readErr := newestMetaPage(s.file)
	if readErr == nil {
		readErr = s.readLast()
	}
	if readErr != nil {
		s.db = nil
		return errors.Join(err, readErr)
	}
	s.doubt = page
	return err
}

// makeReady opens the file, or mends what a failure has left.
func (s *Store) makeReady() error {
	if s.db == nil {
		if err := s.openFile(); err != nil {
			return err
		}
	}
	if s.doubt != nil {
		err := s.doubt.rewrite(s.file)
		if err == nil {
			err = writeReceipt(s.file, 1-s.last.Slot, s.last)
		}
		if err != nil {
			return ioError("write", s.path, err)
		}
		s.doubt = nil
	}
	return nil
}

// openFile opens the file as it is. A bbolt.DB that there was before may hold locks
// for ever, and is not closed.
func (s *Store) openFile() error {
	switch {
	case s.info == nil:
		if err := s.openFirst(); err != nil {
			return err
		}
	case s.file == nil:
		if err := s.openSame(); err != nil {
			return ioError("open", s.path, err)
		}
	}
	return s.openBolt()
}

// openFirst opens the file, or makes one.
func (s *Store) openFirst() error {
	file, err := acquire(s.absolute, s.mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(ioError("open", s.path, err), file.Close())
	}
	s.file, s.info = file, info
	return nil
}

// openSame opens the file again.
func (s *Store) openSame() error {
	file, err := openLocked(s.absolute)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(info, s.info) {
		err = ErrMoved
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	s.file = file
	return nil
}

// call calls f, which uses db. If db is of no more use it is given up.
func (s *Store) call(op string, f func() error) error {
	err := guard(s.path, f)
	if panicked, ok := errors.AsType[*panicError](err); ok {
		s.db = nil
		return &panicked.CorruptError
	}
	if errors.Is(err, bolterrors.ErrInvalidMapping) {
		s.db = nil
	}
	return ioError(op, s.path, err)
}
