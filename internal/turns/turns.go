// Package turns shares a limited number of slots fairly.
package turns

import (
	"slices"
	"sync"
)

// Turns hands slots to those who stand in line, each getting one slot before
// anybody gets a second. Its methods may be called by several goroutines at
// once.
type Turns[T any] struct {
	limit int

	mu   sync.Mutex // guards the fields below; nothing else is locked under it
	used int
	line []T
	head int // the first in line is line[head]
}

// New returns turns of limit slots.
func New[T any](limit int) *Turns[T] { return &Turns[T]{limit: limit} }

// Join puts x at the end of the line.
func (t *Turns[T]) Join(x T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line = append(t.line, x)
}

// Take gives a free slot to the first in line, if there are both.
func (t *Turns[T]) Take() (x T, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used == t.limit || t.head == len(t.line) {
		return x, false
	}
	t.used++
	x = t.line[t.head]
	var none T
	t.line[t.head] = none
	t.head++
	if t.head == len(t.line) || t.head > 1024 && t.head > len(t.line)/2 {
		t.line = slices.Delete(t.line, 0, t.head)
		t.head = 0
	}
	return x, true
}

// Release gives a slot back.
func (t *Turns[T]) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used--
}
