//go:build unix

package crash

import (
	"cmp"

	"github.com/runtocompletion/batch"
)

// An ordinal says which of two checkpoints of an index is the later one: that of
// the later attempt, and of one attempt the one with the higher count.
type ordinal struct{ by, n int }

func (a ordinal) before(b ordinal) bool {
	return cmp.Or(cmp.Compare(a.by, b.by), cmp.Compare(a.n, b.n)) < 0
}

// A content is a checkpoint with what is in it.
type content struct {
	ordinal
	sum uint32
}

// saves are the checkpoints of one index.
type saves struct {
	tried        map[content]bool
	acknowledged ordinal // the latest one that a caller was told to be durable
}

func (r *record) saves(index int) *saves {
	s := r.checkpoints[index]
	if s == nil {
		s = &saves{tried: make(map[content]bool)}
		r.checkpoints[index] = s
	}
	return s
}

func (r *record) readCheckpoint(l line) {
	s, c := r.saves(l.Index), content{ordinal{l.By, l.N}, l.Sum}
	switch l.Kind {
	case saving:
		s.tried[c] = true
	case saved:
		if s.acknowledged.before(c.ordinal) {
			s.acknowledged = c.ordinal
		}
		a := r.attempt(token{l.Index, l.Number})
		a.saved = c.ordinal
		a.tell(r.process, l.Restarts+1)
	case resumed:
		r.checkResumed(l, s, c)
	}
}

// checkResumed: an execution goes on from the latest checkpoint that was
// acknowledged before it began, or a later one. Without indexes, attempts that
// run at once have one each, and keep it when they are restarted.
func (r *record) checkResumed(l line, s *saves, c content) {
	p := place{token{l.Index, l.Number}, l.Restarts}
	x, own := r.open[p], r.attempt(p.token).saved
	if c.n > 0 {
		r.counts.resumed++
	}
	switch {
	case x == nil:
		r.find(wrong, "attempt %v looks at a checkpoint, and has not begun", p)
		return
	case c.n > 0 && !s.tried[c]:
		r.find(wrong, "attempt %v finds a checkpoint that nobody has saved: %+v", p, c)
	case r.hasOneChain() && c.before(x.saved):
		r.find(lost, "attempt %v finds the checkpoint %+v, and %+v was acknowledged", p, c, x.saved)
	case l.Restarts > 0 && own.n > 0 && (c.by != own.by || c.n < own.n):
		r.find(lost, "attempt %v is restarted, and finds the checkpoint %+v, not its own, %+v", p, c, own)
	}
	x.resumed = c.ordinal
	for other, y := range r.open {
		if l.Index < 0 && y != x && c.n > 0 && y.resumed == c.ordinal {
			r.find(wrong, "attempts %v and %v go on from the same checkpoint", p, other)
		}
	}
}

// hasOneChain reports whether all checkpoints of an index follow from one
// another.
func (r *record) hasOneChain() bool {
	return r.job.CompletionMode == batch.Indexed ||
		r.job.Completions != nil && *r.job.Completions == 1 && !r.hasInterference()
}

// A walk is what the iterations of an index have done.
type walk struct {
	cursor int // behind which the latest one has begun
	tried  map[int]bool
}

func (r *record) walkOf(index int) *walk {
	w := r.walks[index]
	if w == nil {
		w = &walk{tried: make(map[int]bool)}
		r.walks[index] = w
	}
	return w
}

// readWalk: an iteration begins behind items of which each was worked on, not
// before the place where it began the last time, and does not work on them again.
func (r *record) readWalk(l line) {
	w := r.walkOf(l.Index)
	if l.Kind == item {
		r.counts.effects++
		if l.N <= w.cursor && !r.hasInterference() {
			r.find(duplicated, "item %d of index %d, after the iteration began behind %d", l.N, l.Index, w.cursor)
		}
		w.tried[l.N] = true
		return
	}
	if l.N < w.cursor && !r.hasInterference() {
		r.find(lost, "the iteration of index %d goes back from %d to %d", l.Index, w.cursor, l.N)
	}
	w.cursor = max(w.cursor, l.N)
	r.checkTried(l.Index, l.N)
}

// checkWalked: the iteration of an index that succeeds has worked on all.
func (r *record) checkWalked(index int) { r.checkTried(index, r.items) }

func (r *record) checkTried(index, last int) {
	for n := 1; n <= last; n++ {
		if !r.walkOf(index).tried[n] {
			r.find(lost, "the iteration of index %d has left out item %d", index, n)
		}
	}
}
