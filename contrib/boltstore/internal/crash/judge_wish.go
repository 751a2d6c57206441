//go:build unix

package crash

import "github.com/runtocompletion/batch"

// wishes are what users have asked for. A wish that was not answered may have
// come true, or not.
type wishes struct {
	suspended   bool
	parallelism int
	unanswered  map[string]bool // what was asked for, if no caller has been told
	suspends    bool            // a caller has asked for a suspension, ever
	scales      bool
}

func newWishes(job *batch.Job) wishes {
	return wishes{parallelism: *job.Parallelism, unanswered: make(map[string]bool)}
}

func (r *record) readWish(l line) {
	w := &r.wishes
	if l.Kind == called {
		w.unanswered[l.Text] = true
		r.stopped = true
		r.deleting = r.deleting || l.Text == remove
		w.suspends = w.suspends || l.Text == suspend
		w.scales = w.scales || l.Text == scale
		return
	}
	delete(w.unanswered, l.Text)
	switch l.Text {
	case suspend:
		w.suspended = true
		delete(w.unanswered, resume)
	case resume:
		w.suspended = false
		delete(w.unanswered, suspend)
	case scale:
		w.parallelism = l.N
	}
}

// checkWishes: what users were told to be done is so in the next process.
func (r *record) checkWishes(s *batch.Status) {
	w := &r.wishes
	if s.Suspend != w.suspended && !w.unanswered[suspend] && !w.unanswered[resume] {
		r.find(lost, "suspended is %v, and was agreed to be %v", s.Suspend, w.suspended)
	}
	if s.Parallelism != w.parallelism && !w.unanswered[scale] {
		r.find(lost, "parallelism is %d, and was agreed to be %d", s.Parallelism, w.parallelism)
	}
	w.suspended, w.parallelism = s.Suspend, s.Parallelism
	clear(w.unanswered)
}
