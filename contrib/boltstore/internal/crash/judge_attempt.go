//go:build unix

package crash

import (
	"slices"

	"github.com/runtocompletion/batch"
)

// tell notes that a caller was told of an attempt that so many of its executions
// have begun.
func (a *attempted) tell(process, begun int) {
	if begun > a.begun {
		a.begun, a.toldIn = begun, process
	}
}

// begunOf is how many executions of an attempt have begun.
func begunOf(s *batch.AttemptStatus) int {
	if s.StartedAt.IsZero() {
		return 0
	}
	return s.Restarts + 1
}

// readAttempts records the attempts that were told: at the beginning of a
// process, and later.
func (r *record) readAttempts(list []batch.AttemptStatus) {
	seen := make(map[token]bool)
	for i := range list {
		t := token{list[i].Index, list[i].Number}
		seen[t] = true
		r.readAttempt(t, &list[i])
	}
	if r.job.History != nil {
		return
	}
	for t, a := range r.tokens {
		switch {
		case seen[t]:
			a.cutShort = -1
		case a.begun > 0 && (a.uid != "" || a.toldIn < r.process):
			r.find(lost, "attempt %v is not there any more", t)
		case r.listing: // it has vanished with its process before any caller was told
			delete(r.tokens, t)
		}
	}
}

func (r *record) readAttempt(t token, s *batch.AttemptStatus) {
	a := r.attempt(t)
	if a.uid != "" && a.begun > 0 && a.uid != s.UID {
		r.find(duplicated, "attempts %s and %s have the token %v", a.uid, s.UID, t)
	}
	if a.final != nil && !sameEnd(a.final, s) {
		r.find(lost, "the end of attempt %v goes from %+v to %+v", t, a.final, s)
	}
	if r.listing {
		r.checkDisrupted(t, a, s)
	}
	a.uid = s.UID
	a.tell(r.process, begunOf(s))
	if s.Phase == batch.AttemptSucceeded || s.Phase == batch.AttemptFailed {
		a.final = s
	}
	a.settled = a.settled || s.Phase == batch.AttemptSucceeded
	a.success = a.success && s.Phase != batch.AttemptFailed
}

func sameEnd(a, b *batch.AttemptStatus) bool {
	code := func(s *batch.AttemptStatus) int {
		if s.ExitCode == nil {
			return -1
		}
		return *s.ExitCode
	}
	return a.Phase == b.Phase && code(a) == code(b) && a.Reason == b.Reason && a.Message == b.Message &&
		a.FinishedAt.Equal(b.FinishedAt) && a.Output == b.Output
}

// isDisrupted reports whether the process of an attempt has ended under it.
func isDisrupted(s *batch.AttemptStatus) bool {
	return slices.ContainsFunc(s.Conditions, func(c batch.Condition) bool {
		return c.Type == batch.ConditionDisruptionTarget && c.Reason == batch.ReasonTerminationByProcessExit
	})
}

// checkDisrupted looks at an attempt as the next process has found it. If it was
// running when the process was killed it is a disrupted one, unless no caller was
// told that this execution had begun: then it may still wait. A shutdown leaves
// none.
func (r *record) checkDisrupted(t token, a *attempted, s *batch.AttemptStatus) {
	isNew := a.final == nil && isDisrupted(s)
	waits := s.Phase == batch.AttemptPending || s.Phase == batch.AttemptRunning && s.ExitCode != nil
	switch {
	case isNew:
		r.counts.disrupted++
		if r.gracefully && a.cutShort < 0 {
			r.find(wrong, "attempt %v is disrupted after a shutdown", t)
		}
	case a.cutShort < 0 || r.hasInterference() || r.stopped:
	case waits && a.begun <= a.cutShort:
	case s.Phase != batch.AttemptFailed:
		r.find(wrong, "attempt %v was killed, and is %+v", t, s)
	}
}

// readEvents: events stay, as long as there are not too many, and attempts do.
func (r *record) readEvents(events []batch.Event) {
	const few = 90
	type fact struct {
		reason  string
		message string
	}
	now := make(map[fact]bool)
	for _, e := range events {
		now[fact{e.Reason, e.Message}] = true
	}
	for _, e := range r.events {
		if len(events) < few && r.job.History == nil && !now[fact{e.Reason, e.Message}] {
			r.find(lost, "event %s %q is not there any more", e.Reason, e.Message)
		}
	}
	r.events = events
}
