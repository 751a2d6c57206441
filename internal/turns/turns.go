// Package turns shares a limited number of slots fairly.
package turns

import "sync"

// Turns hands slots to those who stand in line, each getting one slot before
// anybody gets a second. Its methods may be called by several goroutines at
// once.
type Turns[T any] struct {
	limit int

	mu   sync.Mutex // guards the fields below; nothing else is locked under it
	used int
	line Place[T] // a ring: its next is the first in line, its previous the last
}

// A Place is somebody's place in a line. It must not be copied.
type Place[T any] struct {
	Item           T
	next, previous *Place[T] // nil while it is in no line
}

// New returns turns of limit slots.
func New[T any](limit int) *Turns[T] {
	t := &Turns[T]{limit: limit}
	t.line.next, t.line.previous = &t.line, &t.line
	return t
}

// Join puts p at the end of the line, unless it is in line already.
func (t *Turns[T]) Join(p *Place[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.next != nil {
		return
	}
	p.previous, p.next = t.line.previous, &t.line
	p.previous.next, p.next.previous = p, p
}

// Leave takes p out of the line, if it is there.
func (t *Turns[T]) Leave(p *Place[T]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.unlink()
}

func (p *Place[T]) unlink() {
	if p.next == nil {
		return
	}
	p.previous.next, p.next.previous = p.next, p.previous
	p.next, p.previous = nil, nil
}

// Take gives a free slot to the first in line, if there are both. Whoever has a
// slot calls Release once.
func (t *Turns[T]) Take() (x T, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.line.next
	if t.used == t.limit || first == &t.line {
		return x, false
	}
	t.used++
	first.unlink()
	return first.Item, true
}

// Release gives a slot back.
func (t *Turns[T]) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used--
}
