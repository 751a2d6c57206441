package watchcache

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

// ErrTooOld: changes since that version are no longer known.
var ErrTooOld = errors.New("version too old")

const (
	// keptChanges is how many changes a log keeps beyond one for each object.
	keptChanges = 4096
	// encodedChanges is how many of the newest changes keep their encodings.
	encodedChanges = 4096
)

// A ChangeType is what happened to an object, in the words of the wire.
type ChangeType string

const (
	Added    ChangeType = "ADDED"
	Modified ChangeType = "MODIFIED"
	Deleted  ChangeType = "DELETED"
)

// A Change is an object that was added, changed or removed.
type Change struct {
	Version   uint64
	Type      ChangeType
	Object    *Object // as it is now, or was last
	Previous  *Object // as it was before; nil if it was added
	Encodings Encodings
}

// Encodings are forms in which a change was sent, so that many watchers cost
// one encoding.
type Encodings struct {
	mu    sync.Mutex // guards the fields below
	forms []encoding
	old   bool // nothing is kept any more
}

type encoding struct {
	key  any
	data []byte
}

// Get returns a change in a form that key stands for. The result must not be
// modified.
func (e *Encodings) Get(key any, encode func() ([]byte, error)) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock() // those who want the same form wait for the first
	for _, form := range e.forms {
		if form.key == key {
			return form.data, nil
		}
	}
	data, err := encode()
	if err == nil && !e.old && len(e.forms) < mostForms {
		e.forms = append(e.forms, encoding{key, data})
	}
	return data, err
}

// mostForms is how many forms of a change are kept.
const mostForms = 8

func (e *Encodings) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forms, e.old = nil, true
}

// A log keeps the newest changes in ascending order of versions. Slices of it
// stay valid: it is appended to, and trimmed by copying.
type log struct {
	changes []*Change
	floor   uint64 // changes up to here are forgotten
}

// add puts in a change; objects is how many objects there are, as a log must at
// least survive a change of each.
func (l *log) add(c *Change, objects int) {
	l.changes = append(l.changes, c)
	if i := len(l.changes) - 1 - encodedChanges; i >= 0 {
		l.changes[i].Encodings.forget()
	}
	if kept := keptChanges + objects; len(l.changes) >= 2*kept {
		l.trim(kept)
	}
}

func (l *log) trim(kept int) {
	cut := len(l.changes) - kept
	l.floor = l.changes[cut-1].Version
	l.changes = slices.Clone(l.changes[cut:])
}

// reset forgets all changes up to a version.
func (l *log) reset(version uint64) { l.changes, l.floor = nil, version }

// since returns the changes after a version, up to another one.
func (l *log) since(version, until uint64) ([]*Change, error) {
	if version < l.floor {
		return nil, ErrTooOld
	}
	i, j := l.after(version), l.after(max(version, until))
	return l.changes[i:j:j], nil
}

// after is where the changes after a version begin.
func (l *log) after(version uint64) int {
	i, _ := slices.BinarySearchFunc(l.changes, version+1, func(c *Change, v uint64) int {
		return cmp.Compare(c.Version, v)
	})
	return i
}
