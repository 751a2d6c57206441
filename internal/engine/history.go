package engine

import "iter"

// Of a job with millions of attempts only the newest are kept. Two things matter here:
// that a record is used again while it is in the processor's cache, and that failed
// attempts outlast the far more numerous successes, since it is they that an operator
// will ask about.

// A history keeps the newest ended attempts, failed ones preferred, and hands
// the records of the others to new attempts.
//
// Of a plain success a brief is enough. Its record is then free at once, so
// that the next attempt finds it in the processor's cache: with records used
// again only when they leave the history, a short attempt took half as long
// again.
type history struct {
	limit             int
	plain             briefs // successes of which there is little to tell
	lanes             *lanes // with what is to go into plain; nil until first needed
	succeeded, failed list   // failed: also lost and stopped ones
	free              *Attempt
	finder            *finder // nil unless attempts are looked up
}

// A brief is what is kept of a plain success.
type brief struct {
	seq                          int64
	index, number                int
	failures, ignored            int32
	createdAt, startedAt, endsAt Time
}

// plain reports whether a brief tells all there is to tell.
func (a *Attempt) plain() bool {
	return a.succeeded && a.DeletedAt == 0 && a.Restarts == 0 && !a.Notify && len(a.Conditions) == 0
}

// brief is what is kept of a plain success.
func (a *Attempt) brief() brief {
	return brief{a.Seq, a.Index, a.Number, int32(a.Failures), int32(a.Ignored),
		a.CreatedAt, a.StartedAt, a.FinishedAt}
}

// attempt is the record that b is the brief of.
func (b *brief) attempt() *Attempt {
	return &Attempt{Seq: b.seq, Index: b.index, Number: b.number, Failures: int(b.failures), Ignored: int(b.ignored),
		CreatedAt: b.createdAt, StartedAt: b.startedAt, FinishedAt: b.endsAt,
		State: StateEnded, succeeded: true, HasExit: true, account: counted}
}

// briefs is a queue of them.
type briefs struct {
	ring[brief]
	pushed int64 // so far; the place of the next one in the order of all
}

// push puts in the newest.
func (q *briefs) push(b brief) {
	q.ring.push(b)
	q.pushed++
}

// A ring is a queue that grows as needed.
type ring[T any] struct {
	all      []T
	first, n int
}

// push puts in the newest item.
func (q *ring[T]) push(item T) {
	if q.n == len(q.all) {
		q.grow()
	}
	at := q.first + q.n
	if at >= len(q.all) {
		at -= len(q.all)
	}
	q.all[at] = item
	q.n++
}

// grow doubles the room: what is pushed is moved once on average.
func (q *ring[T]) grow() {
	// A small job keeps a few attempts only, and there may be very many small jobs.
	all := make([]T, max(16, 2*q.n))
	for i := range q.n {
		all[i] = *q.at(i)
	}
	q.all, q.first = all, 0
}

// at is the item in that place from the oldest.
func (q *ring[T]) at(i int) *T { return &q.all[(q.first+i)%len(q.all)] }

// drop takes out the oldest item.
func (q *ring[T]) drop() {
	q.n--
	q.first++
	if q.first == len(q.all) {
		q.first = 0
	}
}

// A list is a queue of attempts linked by next.
type list struct {
	first, last *Attempt
	n           int
	pushed      int64 // so far
}

// push puts in the newest attempt.
func (l *list) push(a *Attempt) {
	a.next = nil
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
	l.n++
	l.pushed++
}

// pop takes out the oldest attempt.
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
	h.settle()
	switch {
	case a.plain():
		// Its record is free at once; see history.
		h.addPlain(a)
		return
	case a.succeeded:
		h.succeeded.push(a)
	default:
		h.failed.push(a)
	}
	if h.plain.n+h.succeeded.n+h.failed.n > h.limit {
		h.trim(h.limit)
	}
}

// addPlain keeps a plain success, whose record is free at once.
func (h *history) addPlain(a *Attempt) {
	h.addBrief(a.brief())
	h.recycle(a)
}

// addBrief keeps what there is to tell of a plain success.
func (h *history) addBrief(b brief) {
	// Not even a place is used up: a job that keeps nothing pays nothing.
	if h.limit == 0 {
		return
	}
	h.settle()
	h.pushPlain(b)
	if h.plain.n+h.succeeded.n+h.failed.n > h.limit {
		h.trim(h.limit)
	}
}

// pushPlain puts in a brief, and lets the finder know where it is.
func (h *history) pushPlain(b brief) {
	if h.finder != nil {
		h.finder.plain[b.seq] = h.plain.pushed
	}
	h.plain.push(b)
}

// settle records what has ended in lanes.
func (h *history) settle() {
	if h.lanes != nil {
		h.merge()
	}
}

// merge records the ends of all lanes in their order.
func (h *history) merge() {
	for {
		var next *Lane
		// There are few lanes, each in order: this is a merge of sorted lists.
		for _, l := range h.lanes.all {
			if l.ends.n > 0 && (next == nil || l.ends.at(0).at < next.ends.at(0).at) {
				next = l
			}
		}
		if next == nil {
			return
		}
		h.pushPlain(next.ends.at(0).brief())
		next.ends.drop()
		if h.plain.n+h.succeeded.n+h.failed.n > h.limit {
			h.dropOldest()
		}
	}
}

// trim gives up the oldest attempts above the limit, failed ones last.
func (h *history) trim(limit int) {
	h.settle()
	// A lower limit takes effect at once, and a higher one with what ends from now on.
	h.limit = limit
	for h.plain.n+h.succeeded.n+h.failed.n > limit {
		h.dropOldest()
	}
}

// dropOldest gives up the oldest attempt, a failed one only if there is no other.
func (h *history) dropOldest() {
	switch {
	case h.plain.n > 0 && (h.succeeded.n == 0 || h.plain.at(0).endsAt <= h.succeeded.first.FinishedAt):
		// Plain and other successes are kept apart, but leave in the order of their ends.
		if h.finder != nil {
			delete(h.finder.plain, h.plain.at(0).seq)
		}
		h.plain.drop()
	case h.succeeded.n > 0:
		h.recycle(h.succeeded.pop())
	default:
		h.recycle(h.failed.pop())
	}
}

// recycle makes a record free, unless an executor still runs for it.
func (h *history) recycle(a *Attempt) {
	h.lost(a.Seq)
	// Otherwise its executor still refers to it; the record goes when that has returned.
	if !a.Pinned {
		a.next = h.free
		h.free = a
	}
}

// reuse returns a record for a new attempt.
func (h *history) reuse() *Attempt {
	a := h.free
	if a == nil {
		return new(Attempt)
	}
	// The last that was freed comes first: it is most likely in the processor's cache.
	h.free = a.next
	return a
}

// All iterates over every attempt that is live or kept, in no order. Of an
// attempt that has ended it may yield a copy without its owner.
func (j *Job) All() iter.Seq[*Attempt] {
	return func(yield func(*Attempt) bool) {
		for _, a := range j.live {
			if !yield(a) {
				return
			}
		}
		j.history.all(yield, j.retained)
	}
}

// all iterates over what is kept, and over the retained attempts that have ended: those
// that have not are live as well.
func (h *history) all(yield func(*Attempt) bool, retained map[int]*Attempt) {
	h.settle()
	for _, l := range [...]list{h.succeeded, h.failed} {
		for a := l.first; a != nil; a = a.next {
			if !yield(a) {
				return
			}
		}
	}
	for _, a := range retained {
		if a.HasEnded() && !yield(a) {
			return
		}
	}
	// Records are made of briefs one by one: a caller may stop early.
	for i := range h.plain.n {
		if !yield(h.plain.at(i).attempt()) {
			return
		}
	}
}

// size is how many attempts are kept.
func (h *history) size() int { return h.plain.n + h.succeeded.n + h.failed.n }
