//go:build unix

package crash

import (
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// A token is an attempt of a job; its number and index are those of
// [batch.Attempt.Token].
type token struct{ index, number int }

// A place is an execution of an attempt.
type place struct {
	token
	restarts int
}

// An executed place has begun, and not ended.
type executed struct {
	saved   ordinal // the checkpoint that was acknowledged then
	resumed ordinal // the one it has found
}

// An attempted token is one that has been executed, or told.
type attempted struct {
	process   int  // the latest that has executed it
	success   bool // an execution has ended well
	exitCodes []int
	settles   bool // if this process is shut down, it cannot count as failed any more
	settled   bool // it cannot count as failed any more
	released  bool // it need not count as failed: a shutdown has perhaps released it

	toldIn   int // the process in which a caller was told so
	begun    int // how many executions were told to have begun
	uid      string
	final    *batch.AttemptStatus // what was told of its end
	cutShort int                  // the restarts of the execution that was killed; -1 if none was
	saved    ordinal              // the latest checkpoint of its own that was acknowledged
}

func (a *attempted) succeeded() bool  { return a.success }
func (a *attempted) mightCount() bool { return !a.settled }

// attempt finds what is known of a token.
func (r *record) attempt(t token) *attempted {
	a := r.tokens[t]
	if a == nil {
		a = &attempted{cutShort: -1}
		r.tokens[t] = a
	}
	return a
}

func (r *record) countTokens(which func(*attempted) bool) (n int) {
	for _, a := range r.tokens {
		if which(a) {
			n++
		}
	}
	return n
}

func (r *record) hasSucceeded(index int) bool {
	for t, a := range r.tokens {
		if t.index == index && a.success {
			return true
		}
	}
	return false
}

func (r *record) hasFailedWith(code int) bool {
	return r.countTokens(func(a *attempted) bool { return slices.Contains(a.exitCodes, code) }) > 0
}

// mayOverlap reports whether executions of one index may overlap, as one of them
// was stopped in this process.
func (r *record) mayOverlap() bool { return r.stopped || r.hasInterference() }

func (r *record) readExecution(l line) {
	p := place{token{l.Index, l.Number}, l.Restarts}
	if l.Kind == ended {
		r.readEnd(p, l)
		return
	}
	r.counts.executions++
	r.checkBegin(p)
	r.checkTime(l.At)
	r.checkLimit(p)
	r.checkToken(p)
	r.open[p] = &executed{saved: r.saves(p.index).acknowledged}
	r.latest[p], r.executing = r.process, true
	a := r.attempt(p.token)
	a.process, a.cutShort, a.released = r.process, -1, r.halting
	if len(r.open) > r.wishes.parallelism && !r.mayOverlap() {
		r.find(wrong, "%d executions run at once, and %d may", len(r.open), r.wishes.parallelism)
	}
}

// checkToken: an execution is repeated only if no caller was told that it had begun,
// and its process has ended; and the executions of an attempt come one after the
// other.
func (r *record) checkToken(p place) {
	if a := r.attempt(p.token); a.begun > p.restarts && a.toldIn < r.process {
		r.find(duplicated, "attempt %v was told, and is executed again", p)
	}
	if before, repeated := r.latest[p]; repeated {
		r.counts.repeated++
		if before == r.process {
			r.find(wrong, "attempt %v is executed twice in one process", p)
		}
	}
	if r.isOpen(p.token) {
		r.find(wrong, "two executions of attempt %v overlap", p)
	}
}

// checkBegin: what has ended does not run again.
func (r *record) checkBegin(p place) {
	in, isCompleted := r.completed[p.index]
	switch {
	case r.finished != nil:
		r.find(duplicated, "attempt %v of a finished job", p)
	case isCompleted && (in < r.process || !r.mayOverlap()):
		r.find(duplicated, "attempt %v of a completed index", p)
	case r.removed && r.goneIn < r.process:
		r.find(duplicated, "attempt %v of a removed job", p)
	case r.wishes.suspended && !r.stopped:
		r.find(wrong, "attempt %v of a suspended job", p)
	}
}

// checkTime: delays and deadlines go on over the restart, by the wall clock. What
// is due may be late, on a busy machine.
func (r *record) checkTime(at time.Time) {
	const early, late = 5 * time.Millisecond, time.Second
	next, start := r.last.NextRetry, r.last.StartTime
	if !r.executing && !r.hasInterference() && *r.job.Parallelism == 1 && r.job.BackoffLimitPerIndex == nil &&
		at.Before(next.Add(-early)) {
		r.find(wrong, "an execution begins %v before the time of the retry", next.Sub(at))
	}
	if r.job.ActiveDeadline != nil && !start.IsZero() && !r.wishes.suspends && at.After(
		start.Add(*r.job.ActiveDeadline+late),
	) {
		r.find(
			wrong, "an execution begins %v after the start, in spite of a deadline of %v", at.Sub(start), *r.job.ActiveDeadline,
		)
	}
}

// checkLimit: there are no more attempts than the limit of failures permits.
// Those count that have neither succeeded nor perhaps been released by a
// shutdown, and that no process has perhaps taken along.
func (r *record) checkLimit(p place) {
	if r.hasInterference() || r.job.FailurePolicy != nil || r.tokens[p.token] != nil {
		return
	}
	limit, allowed := r.job.BackoffLimitPerIndex, 0
	of := func(t token) bool { return t.index == p.index }
	if limit == nil {
		limit, allowed = r.job.BackoffLimit, *r.job.Parallelism-1 // those that ran when the limit was exceeded
		of = func(token) bool { return true }
	}
	counted := 0
	for t, a := range r.tokens {
		failed := a.process == r.process || a.final != nil && !isDisrupted(a.final)
		if of(t) && failed && !a.success && !a.settled && !a.released && !r.isOpen(t) {
			counted++
		}
	}
	if counted > *limit+allowed {
		r.find(duplicated, "attempt %v begins after %d have failed, and %d may", p, counted, *limit)
	}
}

func (r *record) isOpen(t token) bool {
	for p := range r.open {
		if p.token == t {
			return true
		}
	}
	return false
}

// readEnd records that an execution is about to return.
func (r *record) readEnd(p place, l line) {
	delete(r.open, p)
	a := r.attempt(p.token)
	a.settles = l.N == 0 || l.Text == batch.ErrShutdown.Error()
	a.exitCodes = append(a.exitCodes, l.N)
	if l.N != 0 {
		return
	}
	a.success = true
	r.successes[p.index]++
	r.checkWalked(p.index)
	if r.mayOverlap() {
		return
	}
	if r.job.CompletionMode == batch.Indexed && r.successes[p.index] > 1 {
		r.find(duplicated, "index %d succeeds twice in one process", p.index)
	}
	if before, n := r.last.Succeeded, r.successes[-1]; before+n > *r.job.Completions {
		r.find(duplicated, "%d successes after %d of %d were told", n, before, *r.job.Completions)
	}
}

// readHalting records that a shutdown begins. It may release what has not been
// told to have ended, and that stays so if it is killed before it has done all.
func (j *judge) readHalting() {
	j.halting = true
	for _, r := range j.jobs {
		for _, a := range r.tokens {
			a.released = a.released || a.process == j.process && a.final == nil
		}
	}
}

// endExecutions records how the process has ended.
func (r *record) endExecutions(gracefully bool) {
	if gracefully && len(r.open) > 0 {
		r.find(wrong, "%d executions run when the process has been shut down", len(r.open))
	}
	for p := range r.open {
		r.attempt(p.token).cutShort = p.restarts
	}
	for _, a := range r.tokens {
		a.settled = a.settled || gracefully && a.settles
		a.settles = false
	}
	clear(r.open)
	clear(r.successes)
	r.stopped, r.gracefully, r.executing = false, gracefully, false
}
