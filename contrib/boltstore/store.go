package boltstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/runtocompletion/batch"
)

// Options configure a [Store]. The zero value is good.
type Options struct {
	// Mode are the permissions of a file that is made, whatever the umask. Zero
	// means 0600: what is in a store is its owner's business.
	Mode fs.FileMode
}

// A Store is a [batch.Store] in a file. Its methods may be called by several
// goroutines at once; commits, and the steps of a Load, wait for each other.
type Store struct {
	path string
	info fs.FileInfo // tells the file from others

	mu     sync.Mutex // guards the fields below; not held while code of others runs
	closed bool
	file   *os.File  // locked; nil if it must be opened again
	db     *bbolt.DB // has file; nil if it was not opened yet, or cannot be trusted any more
	doubt  *metaPage // what may not be on the disk, though bbolt goes by it; nil if there is none
	buf    []byte    // for the next commit
}

var _ batch.Store = (*Store)(nil)

// Open opens the store in the file at path, or makes one if there is no file.
// The folder must be there. It reads the whole file, and returns a store only
// if that holds, byte for byte, what was last committed to it.
//
// Otherwise the file is as it was, and the error says why: an [*InUseError], at
// once, if the store is open elsewhere; a [*CorruptError], a [*FormatError] or a
// [*ForeignError] if it cannot be read; an [*IOError] if the system did not let
// it be read or written, or made.
func Open(path string, o Options) (*Store, error) {
	mode := o.Mode
	if mode == 0 {
		mode = 0o600
	}
	file, err := acquire(path, mode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(ioError("open", path, err), file.Close())
	}
	s := &Store{path: path, info: info, file: file}
	if err := s.makeReady(); err != nil {
		_ = s.Close() // nothing was changed
		return nil, err
	}
	return s, nil
}

// Close closes the file, for others to open. It waits for a commit that is
// under way. A store may be closed more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.db == nil {
		return ioError("close", s.path, s.closeFile())
	}
	return ioError("close", s.path, s.db.Close())
}

func (s *Store) closeFile() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// Commit applies the records in order, all of them or none, and returns once
// they are durable: with two syncs of the file, and more when it grows. Without
// records it writes nothing, but returns the error that a commit would meet
// after one that has failed.
//
// An [*IOError] says that the system could not write, such as on a full disk, a
// [*CorruptError] that the file has been damaged since it was opened. All that
// was committed before is in the file; these records may be, or not. Once the
// reason is gone, Commit works again: no need to open the store anew. A
// [*RecordError] says that a record has no place in a store, [ErrClosed] that
// the store is closed; a ctx that has ended gives its cause. Nothing was written
// then. A ctx that ends later does not end the commit.
func (s *Store) Commit(ctx context.Context, records []batch.Record) error {
	if err := checkRecords(records); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.makeReady(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	return s.call("write", func() error { return s.commit(records) })
}

func (s *Store) commit(records []batch.Record) error {
	last, err := newestMeta(s.file)
	if err != nil {
		return err
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := s.apply(tx, records, last.Sum); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return s.failed(err)
	}
	return nil
}

// apply makes the changes of a transaction that follows the one whose meta page
// has the checksum lastSum.
func (s *Store) apply(tx *bbolt.Tx, records []batch.Record, lastSum uint64) error {
	const keep = 1 << 20 // bytes
	if cap(s.buf) > keep {
		s.buf = nil
	}
	w := writer{all: tx.Bucket(jobsBucket), jobs: map[string]*bbolt.Bucket{}, buf: s.buf[:0]}
	for _, r := range records {
		if err := w.apply(r); err != nil {
			return err
		}
	}
	s.buf = w.buf
	return tx.Bucket(formatBucket).SetSequence(lastSum)
}

// failed remembers what bbolt goes on from after a commit that has failed:
// what was committed, or, if the last of its writes did not fail, what was
// known before.
func (s *Store) failed(err error) error {
	page, readErr := newestMetaPage(s.file)
	if readErr != nil {
		s.db = nil
		return errors.Join(err, readErr)
	}
	s.doubt = page
	return err
}

// makeReady opens the file, or mends what a failure has left.
func (s *Store) makeReady() error {
	if s.closed {
		return ErrClosed
	}
	if s.db == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.doubt != nil {
		if err := s.doubt.rewrite(s.file); err != nil {
			return ioError("write", s.path, err)
		}
		s.doubt = nil
	}
	return nil
}

// begin begins with the file as it is. A bbolt.DB that there was before may hold
// locks for ever, and is not closed.
func (s *Store) begin() error {
	if s.file == nil {
		if err := s.openSame(); err != nil {
			return ioError("open", s.path, err)
		}
	}
	return s.openBolt()
}

// openSame opens the file again.
func (s *Store) openSame() error {
	file, err := openLocked(s.path)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(info, s.info) {
		err = errOther
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

// Load walks over every record, job by job. The values are the caller's. While
// the loop's body runs the store may be used: a job that is changed meanwhile
// is met as it was or as it is, as a whole. The errors are an [*IOError], a
// [*CorruptError], [ErrClosed], or the cause of a ctx that has ended.
func (s *Store) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		var job []byte // the bucket of the last one
		for {
			name, records, err := s.loadAfter(ctx, job)
			if err != nil {
				yield(batch.Record{}, err)
				return
			}
			if name == nil {
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			job = name
		}
	}
}

// loadAfter returns the first job whose bucket comes after one, with its
// records, or nil if there is none.
func (s *Store) loadAfter(ctx context.Context, after []byte) (name []byte, records []batch.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err := s.makeReady(); err != nil {
		return nil, nil, err
	}
	err = s.call("read", func() error {
		return s.db.View(func(tx *bbolt.Tx) (err error) {
			name, records, err = s.readAfter(tx.Bucket(jobsBucket), after)
			return err
		})
	})
	return name, records, err
}

func (s *Store) readAfter(jobs *bbolt.Bucket, after []byte) (name []byte, records []batch.Record, err error) {
	name = bytes.Clone(nextKey(jobs, after))
	if name == nil {
		return nil, nil, nil
	}
	records, err = s.readJob(jobs.Bucket(name), jobOf(name))
	return name, records, err
}

func nextKey(b *bbolt.Bucket, after []byte) []byte {
	c := b.Cursor()
	key, _ := c.Seek(after)
	if after != nil && bytes.Equal(key, after) {
		key, _ = c.Next()
	}
	return key
}

// readJob returns copies of a job's records.
func (s *Store) readJob(b *bbolt.Bucket, job string) ([]batch.Record, error) {
	var records []batch.Record
	var sum uint64
	for c, k, raw := first(b); k != nil; k, raw = c.Next() {
		if raw == nil {
			raw = b.Bucket(k).Get(largeKey)
		}
		value, err := unseal(job, string(k), raw)
		if err != nil {
			return nil, &CorruptError{Path: s.path, Problem: err.Error()}
		}
		sum += weight(sumIn(raw))
		records = append(records, batch.Record{Job: job, Key: string(k), Value: append([]byte{}, value...)})
	}
	if sum != b.Sequence() {
		return nil, &CorruptError{Path: s.path, Problem: "records of a job are missing"}
	}
	return records, nil
}
