package otel

import "sync"

// maxQueued is how many functions may wait in a queue.
const maxQueued = 4096

// A queue calls functions one after the other, on a goroutine that there is only
// while there is something to call. The zero value is ready to use.
type queue struct {
	workers sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	queued []func()
	isBusy bool
}

// put adds a function, whose panic will be ignored. It reports false if there are
// too many; then f is not called.
func (q *queue) put(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued) >= maxQueued {
		return false
	}
	q.queued = append(q.queued, f)
	if !q.isBusy {
		q.isBusy = true
		q.workers.Go(q.work)
	}
	return true
}

func (q *queue) work() {
	for {
		q.mu.Lock()
		functions := q.queued
		q.queued = nil
		q.isBusy = len(functions) > 0
		q.mu.Unlock()
		if len(functions) == 0 {
			return
		}
		for _, f := range functions {
			safely(f)
		}
	}
}

// wait waits until nothing is queued.
func (q *queue) wait() { q.workers.Wait() }
