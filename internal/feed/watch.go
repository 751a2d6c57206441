package feed

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// ErrTooOld is the error of a watcher that asks for changes since a revision
// after which removals have been forgotten, or that is of another feed.
var ErrTooOld = errors.New("revision too old")

// A Watcher follows the changes of a [Feed]. It is for one goroutine.
type Watcher[T any] struct {
	feed   *Feed[T]
	cursor uint64
	begun  bool               // what was there at first has been collected
	awake  chan struct{}      // has room for one
	added  map[*Entry[T]]bool // additions that were superseded
}

// A Change says that an object was added, changed or removed.
type Change[T any] struct {
	Entry    *Entry[T]
	Revision uint64 // of the change; if Observe gives a later one, that change is told later
	Added    bool   // after the revision that the watcher knew
	Removed  bool
}

// Watch returns a watcher of the changes since that revision; zero begins with
// all objects, as added. It must be closed.
func (f *Feed[T]) Watch(since uint64) (*Watcher[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since > f.revision || since != 0 && since < f.floor {
		return nil, ErrTooOld
	}
	w := &Watcher[T]{feed: f, cursor: since, begun: since != 0, awake: make(chan struct{}, 1)}
	if f.watchers == nil {
		f.watchers = make(map[*Watcher[T]]struct{})
	}
	f.watchers[w] = struct{}{}
	w.wake()
	return w, nil
}

// Close ends the watching.
func (w *Watcher[T]) Close() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	delete(w.feed.watchers, w)
	w.feed.forgetRemovals()
}

func (w *Watcher[T]) wake() {
	select {
	case w.awake <- struct{}{}:
	default:
	}
}

// Next waits for changes and returns them in the order of their revisions. The
// error is the cause of ctx. It is nil, with no changes, when stop is closed.
func (w *Watcher[T]) Next(ctx context.Context, stop <-chan struct{}) ([]Change[T], error) {
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-w.awake:
		case <-stop:
			return w.collect(), nil // what came before, first
		}
		if changes := w.collect(); len(changes) > 0 {
			return changes, nil
		}
	}
}

// collect returns what changed since the cursor, and moves it.
func (w *Watcher[T]) collect() []Change[T] {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	var changes []Change[T]
	for e := f.newest; e != nil && e.Revision() > w.cursor; e = e.older {
		changes = append(changes, Change[T]{Entry: e, Revision: e.Revision(), Added: e.created > w.cursor || w.added[e]})
	}
	for _, e := range slices.Backward(f.removals) {
		if e.Revision() <= w.cursor || !w.begun {
			break
		}
		changes = append(changes, Change[T]{Entry: e, Revision: e.Revision(), Removed: true})
	}
	slices.SortFunc(changes, func(a, b Change[T]) int { return cmp.Compare(a.Revision, b.Revision) })
	w.cursor, w.begun = f.revision, true
	clear(w.added)
	f.forgetRemovals()
	return changes
}

// Superseded tells the watcher that a change was not told to any caller because a
// later one will be: if it was an addition, that one is.
func (w *Watcher[T]) Superseded(c Change[T]) {
	if !c.Added {
		return
	}
	if w.added == nil {
		w.added = make(map[*Entry[T]]bool)
	}
	w.added[c.Entry] = true
}
