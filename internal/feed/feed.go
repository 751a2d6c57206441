// Package feed orders the changes of many objects, so that watchers can follow
// them from any point without a gap.
//
// Changes are not stored. Each object has the revision of its latest change,
// and a watcher asks for the objects that changed after the revision that it
// knows. Changes of one object that no caller has seen merge into one: a revision
// is given out anew only when a caller has seen one as high, so an object that
// changes millions of times a second costs a comparison each.
package feed

import (
	"sync"
	"sync/atomic"
)

// keptRemovals is how many removals are remembered for those who do not watch yet.
// An open watcher may have any number still to come.
const keptRemovals = 1000

// A Feed is a set of objects of type T in the order of their latest changes.
// Its methods may be called by several goroutines at once. For an entry, Add comes
// first, and Remove once.
type Feed[T any] struct {
	seen atomic.Uint64 // the highest revision that any caller has been told

	mu       sync.Mutex // guards the fields below; nothing else is locked under it
	revision uint64     // the latest
	floor    uint64     // removals up to here are forgotten
	newest   *Entry[T]  // of the objects there are, linked by older and newer
	removals []*Entry[T]
	watchers map[*Watcher[T]]struct{}
}

// An Entry is an object's place in a [Feed].
type Entry[T any] struct {
	Item T

	revision atomic.Uint64 // written under Feed.mu

	older, newer *Entry[T]
	created      uint64
	removed      bool
}

// Revision is that of the object's latest change.
func (e *Entry[T]) Revision() uint64 { return e.revision.Load() }

// Begin makes all revisions up to this one too old. It is to be called before
// anything else.
func (f *Feed[T]) Begin(revision uint64) { f.revision, f.floor = revision, revision }

// Latest is the latest revision.
func (f *Feed[T]) Latest() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revision
}

// Add puts in a new object.
func (f *Feed[T]) Add(e *Entry[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renew(e)
	e.created = e.Revision()
}

// Changed says that the object has changed, after it has, and returns its
// revision: until that has been seen, it need not be called again. After Remove
// it does nothing.
func (f *Feed[T]) Changed(e *Entry[T]) uint64 {
	if revision := e.Revision(); !f.HasSeen(revision) {
		return revision
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !e.removed && f.HasSeen(e.Revision()) {
		f.unlink(e)
		f.renew(e)
	}
	return e.Revision()
}

// HasSeen reports whether any caller has been told of a revision as high.
func (f *Feed[T]) HasSeen(revision uint64) bool { return revision <= f.seen.Load() }

// Remove takes the object out. Watchers see it with last in its place, also later
// ones, until many others have been removed: the object itself is not kept.
func (f *Feed[T]) Remove(e *Entry[T], last T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unlink(e)
	f.number(e)
	e.removed = true
	removal := &Entry[T]{Item: last, removed: true}
	removal.revision.Store(e.Revision())
	f.removals = append(f.removals, removal)
	f.forgetRemovals()
}

// forgetRemovals drops the oldest removals that no watcher has still to see.
func (f *Feed[T]) forgetRemovals() {
	for len(f.removals) > keptRemovals {
		oldest := f.removals[0].Revision()
		for w := range f.watchers {
			if w.begun && w.cursor < oldest {
				return
			}
		}
		f.floor = oldest
		f.removals[0] = nil
		f.removals = f.removals[1:]
	}
}

// Observe returns the object's revision for a caller that is going to see it, and
// will see all that had been changed when a call of Changed returned this one.
func (f *Feed[T]) Observe(e *Entry[T]) uint64 {
	revision := e.Revision()
	for {
		seen := f.seen.Load()
		if seen >= revision || f.seen.CompareAndSwap(seen, revision) {
			return revision
		}
	}
}

// Now returns the latest revision for a caller that is going to see all objects, and to
// follow what changes after that.
func (f *Feed[T]) Now() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		seen := f.seen.Load()
		if seen >= f.revision || f.seen.CompareAndSwap(seen, f.revision) {
			return f.revision
		}
	}
}

// renew gives e the next revision and makes it the newest.
func (f *Feed[T]) renew(e *Entry[T]) {
	f.number(e)
	e.older, e.newer = f.newest, nil
	if f.newest != nil {
		f.newest.newer = e
	}
	f.newest = e
}

func (f *Feed[T]) number(e *Entry[T]) {
	f.revision++
	e.revision.Store(f.revision)
	for w := range f.watchers {
		w.wake()
	}
}

func (f *Feed[T]) unlink(e *Entry[T]) {
	if e.older != nil {
		e.older.newer = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		f.newest = e.older
	}
	e.older, e.newer = nil, nil
}
