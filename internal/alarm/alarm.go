// Package alarm wakes many things at their times with a single timer.
package alarm

import (
	"math"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
)

// An Alarm calls a function for each entry when its time has come. What waits
// costs a place in a heap; only the earliest time has a timer. Its methods may
// be called by several goroutines at once.
type Alarm[T any] struct {
	now  func() int64
	ring func(T)

	mu      sync.Mutex // guards the fields below; nothing else is locked under it
	queue   duequeue.Queue[*Entry[T]]
	timer   *time.Timer
	next    int64 // what the timer is set to
	stopped bool
}

// An Entry is something that can be woken.
type Entry[T any] struct {
	Item  T
	place duequeue.Place
}

// New returns an alarm. Times are nanoseconds as given by now. Ring is called on
// goroutines of the timer's, for what is due at once one after the other.
func New[T any](now func() int64, ring func(T)) *Alarm[T] {
	return &Alarm[T]{
		now:   now,
		ring:  ring,
		queue: duequeue.New(func(e *Entry[T]) *duequeue.Place { return &e.place }),
		next:  math.MaxInt64,
	}
}

// Set makes e ring at that time, once, in place of what was set before;
// math.MaxInt64 is never.
func (a *Alarm[T]) Set(e *Entry[T], at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at == math.MaxInt64 {
		a.queue.Remove(e)
		return // if the timer is too early now, it finds nothing to do
	}
	a.queue.Set(e, at)
	if at < a.next {
		a.arm(at)
	}
}

// Stop lets nothing ring any more.
func (a *Alarm[T]) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// arm sets the timer. It needs the lock.
func (a *Alarm[T]) arm(at int64) {
	a.next = at
	wait := time.Duration(max(0, at-a.now()))
	switch {
	case a.stopped:
	case a.timer == nil:
		a.timer = time.AfterFunc(wait, a.fire)
	default:
		a.timer.Reset(wait)
	}
}

// fire rings what is due and sets the timer to what comes next.
func (a *Alarm[T]) fire() {
	for _, e := range a.takeDue() {
		a.ring(e.Item)
	}
}

func (a *Alarm[T]) takeDue() []*Entry[T] {
	a.mu.Lock()
	defer a.mu.Unlock()
	var due []*Entry[T]
	now := a.now()
	for e, ok := a.queue.Pop(now); ok; e, ok = a.queue.Pop(now) {
		due = append(due, e)
	}
	a.next = math.MaxInt64
	if first, ok := a.queue.First(); ok {
		a.arm(first)
	}
	if a.stopped {
		return nil
	}
	return due
}
