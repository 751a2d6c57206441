package boltstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/runtocompletion/batch"
)

// ErrClosed: the store was closed. It is also [fs.ErrClosed].
var ErrClosed = fmt.Errorf("boltstore: store: %w", fs.ErrClosed)

// ErrMoved: while the store was open its file was removed, renamed or replaced. An
// [*IOError] has it. Nothing more is acknowledged until the file has its name
// again.
var ErrMoved = errors.New("another file, or none, has its name now")

// ErrHangs: a read or a write has not come back. An [*IOError] of Close has it.
var ErrHangs = errors.New("the disk does not answer")

// An InUseError reports that a store is open already, in another process or in
// this one. Nothing was changed.
type InUseError struct {
	Path string
	PID  int // the process; 0 if it is not known, as on systems other than Linux
}

// Error names the file and the process.
func (e *InUseError) Error() string {
	switch e.PID {
	case 0:
		return fmt.Sprintf("boltstore: %s is in use by another process", e.Path)
	case os.Getpid():
		return fmt.Sprintf("boltstore: %s is in use by this process (%d)", e.Path, e.PID)
	}
	return fmt.Sprintf("boltstore: %s is in use by process %d", e.Path, e.PID)
}

// Is reports whether target is [batch.ErrStoreInUse].
func (e *InUseError) Is(target error) bool { return target == batch.ErrStoreInUse }

// A FormatError reports that a store has a format that this version of the
// package does not know. Nothing was changed.
type FormatError struct {
	Path  string
	Found int // the format that the file has
	Known int // the format that this version reads and writes
}

// Error names both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("boltstore: %s has format %d, and this program knows format %d", e.Path, e.Found, e.Known)
}

// A ForeignError reports that a file is no store: something else has made it.
// Nothing was changed.
type ForeignError struct {
	Path    string
	Problem string // what it is
}

// Error says what the file is.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("boltstore: %s is no store: it is %s", e.Path, e.Problem)
}

// A CorruptError reports that a store is not as it was left: bytes in it have
// changed, or are missing. Nothing was changed; the file is as it was found, to
// be replaced by a copy of better days, or put aside.
type CorruptError struct {
	Path    string
	Problem string
	Err     error // may be nil
}

// Error says what was found, and where.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("boltstore: %s is damaged: %s", e.Path, e.Problem)
}

// Unwrap returns the error behind it.
func (e *CorruptError) Unwrap() error { return e.Err }

// An IOError reports that the operating system did not do what was asked of it.
// The error within says why, and errors.Is finds it: [io/fs.ErrNotExist] if the
// folder is missing, [io/fs.ErrPermission], syscall.EROFS, syscall.ENOSPC, ...
// What was committed before is safe.
type IOError struct {
	Op   string // what failed: "open", "create", "read", "write" or "close"
	Path string
	Err  error
}

// Error says what was to be done, and why it was not.
func (e *IOError) Error() string {
	err := e.Err
	if told, ok := errors.AsType[*fs.PathError](err); ok && told.Path == e.Path {
		err = told.Err
	}
	return fmt.Sprintf("boltstore: %s %s: %v", e.Op, cmp.Or(e.Path, `""`), err)
}

// Unwrap returns the error of the operating system.
func (e *IOError) Unwrap() error { return e.Err }

// A RecordError reports that a record has no place in a store. Nothing of what
// was to be committed with it was written.
type RecordError struct {
	Job, Key string // may be shortened
	Problem  string // with the limit
}

// Error names the record.
func (e *RecordError) Error() string {
	return fmt.Sprintf("boltstore: record %q of job %q: %s", e.Key, e.Job, e.Problem)
}

// A panicError is a panic of bbolt, after which it may hold its locks.
type panicError struct{ CorruptError }
