// Package duequeue holds things by the time at which they are due.
package duequeue

// A Place is where an item is in a [Queue]: each item has one for each queue
// it can be in. The zero value is in none.
type Place int32

// A Queue is a binary heap of items in which each knows its place, so that an
// item whose time changes is moved and one that is no longer due is taken out:
// the queue never holds more than what waits. Setting and removing cost time in
// the logarithm of the length, and next to nothing among items that are due at
// the same time: those come in no particular order, though always in the same
// one. It is not safe for concurrent use.
type Queue[T any] struct {
	place func(T) *Place
	heap  []entry[T]
}

type entry[T any] struct {
	due  int64
	item T
}

// New returns an empty queue of items whose places are found by place.
func New[T any](place func(T) *Place) Queue[T] { return Queue[T]{place: place} }

// Len returns the number of items.
func (q *Queue[T]) Len() int { return len(q.heap) }

// First returns the earliest time, if the queue is not empty.
func (q *Queue[T]) First() (due int64, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].due, true
}

// Pop takes out an item that is due at now, the earliest first.
func (q *Queue[T]) Pop(now int64) (item T, ok bool) {
	if due, ok := q.First(); !ok || due > now {
		return item, false
	}
	item = q.heap[0].item
	q.Remove(item)
	return item, true
}

// Set makes item due at that time, whether or not it is in the queue.
func (q *Queue[T]) Set(item T, due int64) {
	at := q.place(item)
	if *at == 0 {
		q.heap = append(q.heap, entry[T]{})
		*at = Place(len(q.heap))
	}
	i := int(*at) - 1
	q.heap[i] = entry[T]{due, item}
	q.down(q.up(i))
}

// Remove takes item out, if it is in the queue.
func (q *Queue[T]) Remove(item T) {
	at := q.place(item)
	i, last := int(*at)-1, len(q.heap)-1
	if i < 0 {
		return
	}
	q.swap(i, last)
	q.heap[last] = entry[T]{}
	q.heap = q.heap[:last]
	*at = 0
	if i < last {
		q.down(q.up(i))
	}
}

func (q *Queue[T]) swap(i, k int) {
	q.heap[i], q.heap[k] = q.heap[k], q.heap[i]
	*q.place(q.heap[i].item) = Place(i + 1)
	*q.place(q.heap[k].item) = Place(k + 1)
}

func (q *Queue[T]) before(i, k int) bool { return q.heap[i].due < q.heap[k].due }

func (q *Queue[T]) up(i int) int {
	for i > 0 && q.before(i, (i-1)/2) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (q *Queue[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if child+1 < len(q.heap) && q.before(child+1, child) {
			child++
		}
		if !q.before(child, i) {
			return
		}
		q.swap(i, child)
		i = child
	}
}
