package engine

import "iter"

// A history keeps the newest ended attempts, failed ones preferred, and hands
// the records of those it gives up to new attempts.
type history struct {
	limit            int
	succeeded, other list
	free             *Attempt // linked by next
}

// A list is a queue of attempts linked by next.
type list struct {
	first, last *Attempt
	n           int
}

func (l *list) push(a *Attempt) {
	a.next = nil
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
	l.n++
}

func (l *list) pop() *Attempt {
	a := l.first
	l.first = a.next
	if l.first == nil {
		l.last = nil
	}
	l.n--
	a.next = nil
	return a
}

// add keeps an ended attempt.
func (h *history) add(a *Attempt) {
	if a.Phase == Succeeded {
		h.succeeded.push(a)
	} else {
		h.other.push(a)
	}
	h.trim(h.limit)
}

// trim gives up the oldest attempts above the limit.
func (h *history) trim(limit int) {
	h.limit = limit
	for h.succeeded.n+h.other.n > limit {
		oldest := &h.succeeded
		if oldest.n == 0 {
			oldest = &h.other
		}
		a := oldest.pop()
		if !a.Pinned {
			a.next = h.free
			h.free = a
		}
	}
}

// reuse returns a record for a new attempt.
func (h *history) reuse() *Attempt {
	a := h.free
	if a == nil {
		return new(Attempt)
	}
	h.free = a.next
	return a
}

// All walks over every attempt that is live or kept, in no order.
func (j *Job) All() iter.Seq[*Attempt] {
	return func(yield func(*Attempt) bool) {
		for _, a := range j.live {
			if !yield(a) {
				return
			}
		}
		for _, l := range [...]list{j.history.succeeded, j.history.other} {
			for a := l.first; a != nil; a = a.next {
				if !yield(a) {
					return
				}
			}
		}
		for _, a := range j.retained {
			if a.terminal() && !yield(a) {
				return
			}
		}
	}
}
