package runner

import (
	"runtime/debug"

	"github.com/runtocompletion/batch/internal/delay"
	"github.com/runtocompletion/batch/internal/engine"
)

// work runs an attempt, and after it whatever attempt its end makes room for:
// a goroutine goes on as long as there is something to run, as handing over to
// another one costs more than a short attempt does.
func (r *Runner) work(next *run) {
	defer r.leave()
	for next != nil {
		next = r.workUntilPanic(next)
	}
}

// workUntilPanic is work until an executor panics. It then returns what is to
// be run next. If an executor calls runtime.Goexit, this goroutine ends and
// another one goes on. To defer this once, and not for each attempt, saves a
// tenth of what a short one costs.
func (r *Runner) workUntilPanic(x *run) (next *run) {
	executing := false
	defer func() {
		if !executing {
			return
		}
		if v := recover(); v != nil {
			next = x.job.hasPanicked(x, v, debug.Stack())
			return
		}
		r.goOnAfterExit(x, debug.Stack())
	}()
	for x != nil {
		executing = true
		err := x.call(stackMark{x, x})
		if err == nil {
			executing = false
			x = x.job.hasSucceeded(x)
			continue
		}
		x = x.judged(err, &executing)
	}
	return nil
}

// judged is hasFailed once the error has been judged, which is user code like the
// executor. It is a function of its own so that its frame is not under every executor:
// a million of these may be blocked at once.
//
//go:noinline
func (x *run) judged(err error, executing *bool) (next *run) {
	v := x.judge(err)
	*executing = false
	return x.job.hasFailed(x, err, nil, v)
}

// goOnAfterExit has another goroutine go on for one that runtime.Goexit ends.
func (r *Runner) goOnAfterExit(x *run, stack []byte) {
	r.enter()
	r.launch(func() { r.work(x.job.hasPanicked(x, nil, stack)) })
}

// call calls the executor. It is a function of its own for stackIn to find.
//
//go:noinline
func (x *run) call(_ stackMark) error { return x.job.def.Load().Execute(x.ctx, x.handle()) }

// hasSucceeded notes the success of an execution, and returns the next one for this
// goroutine, if there is one.
func (j *Job) hasSucceeded(x *run) *run {
	now := j.r.now()
	if x.lane != nil && x.lane.Renew(x.attempt, now) {
		if j.r.feed.HasSeen(x.revision) {
			x.revision = j.r.feed.Changed(&j.entry)
		}
		return x
	}
	j.mu.Lock() // and the lanes of others stay open
	if j.renewPlainLocked(x, now) {
		j.mu.Unlock()
		return x
	}
	j.catchUpLocked()
	e := effects{spare: 1}
	result, index, failed := x.result, x.attempt.Index, x.attempt.Failures+x.attempt.Ignored
	before, succeeded := j.engine.LastFailure, j.engine.Succeeded
	slot := x.putDownLocked()
	if x.err != nil { // of an execution before a restart in place
		x.err, x.text = nil, ""
	}
	late, mayBeLate := x.lateFailure()
	if late.overdue != nil {
		j.noteFailureLocked(index, late)
		mayBeLate = false
	}
	j.endLocked(&e, x, engine.Result{ErrorRule: engine.None}, now)
	if result != nil && j.engine.Succeeded > succeeded {
		j.keepResultLocked(result, index)
	}
	if mayBeLate {
		j.noteLateLocked(late, index, before)
	}
	j.settleFailureLocked(index)
	var over *delay.Sequences
	if failed > 0 {
		over = j.overLocked(index)
	}
	if j.checkpoints.Len() > 0 && j.engine.Completed.Contains(index) {
		j.checkpoints.Drop(int64(index))
	}
	j.unlock()
	return j.goOn(&e, slot, index, over)
}

// renewPlainLocked lets a run go on with the next attempt after a success, if nothing
// but that is to be done.
func (j *Job) renewPlainLocked(x *run, now engine.Time) bool {
	result, index := x.result, x.attempt.Index
	if !x.isPlainLocked() || !j.renewLocked(x, now) {
		return false
	}
	if result != nil {
		x.result = nil
		j.keepResultLocked(result, index)
	}
	j.changedLocked()
	x.revision = j.entry.Revision()
	return true
}

// endLocked gives the engine the result of an execution. That of an attempt that was
// lost changes nothing that others see, unless it was the last of a job that is gone.
func (j *Job) endLocked(e *effects, x *run, result engine.Result, now engine.Time) {
	wasLost := x.attempt.HasEnded() && !j.engine.IsGone()
	acts := j.engine.Ended(x.attempt, result, now)
	if len(acts) > 0 || !wasLost {
		j.applyLocked(e, acts)
	}
}

// renewLocked lets a run go on with the next attempt, if nothing but that is to be
// done, and from then on in a lane, if there is one for it. What has ended in the
// lanes of others need not be counted before. A result is kept under the lock: lanes
// would have to be closed for each.
func (j *Job) renewLocked(x *run, now engine.Time) bool {
	if x.result == nil {
		x.lane = j.engine.Lane(x.attempt, now)
		if x.lane != nil && x.lane.Renew(x.attempt, now) {
			return true
		}
	}
	j.catchUpLocked()
	return j.engine.Renew(x.attempt, now)
}

// judge says what an error means. It calls user code.
func (x *run) judge(err error) Verdict {
	x.job.r.interruptIfParentEnded()
	return x.job.def.Load().Judge(err, x.stopCause())
}

// hasPanicked is hasFailed for an executor, or an error, that panicked with a value
// or, with nil, called runtime.Goexit. Judging that may do the same.
func (j *Job) hasPanicked(x *run, value any, stack []byte) *run {
	err := j.r.panicked(value, stack)
	v, ok := apart(func() Verdict { return x.judge(err) })
	if !ok {
		v = Verdict{engine.Result{Code: exitPanic, ErrorRule: engine.None}, err.Error()}
	}
	return j.hasFailed(x, err, stack, v)
}

// exitPanic is the exit code of a Go program that panics.
const exitPanic = 2

// apart calls f on a goroutine of its own, and reports false if f panicked or called
// runtime.Goexit.
func apart[T any](f func() T) (value T, ok bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { ok = recover() == nil && ok }()
		value = f()
		ok = true
	}()
	<-done
	return value, ok
}

// hasFailed is hasSucceeded for an execution that returned an error.
func (j *Job) hasFailed(x *run, err error, stack []byte, v Verdict) *run {
	now := j.r.now()
	e := effects{spare: 1}
	j.lock()
	a := x.view()
	stopped := x.stopCauseLocked()
	if stack != nil {
		x.writeStackLocked(stack)
	}
	slot := x.putDownLocked()
	before := j.lastText
	snoozes := v.Result.ErrorRule == engine.None && j.engine.Snoozes(x.attempt, v.Result)
	var f indexFailure
	var ok bool
	if !x.attempt.HasEnded() { // what a lost attempt returns is of no interest any more
		x.err, x.text = err, v.Text
		if f, ok = x.failureOf(stopped, err, v.Text, v.Result.Code); ok && !snoozes {
			j.noteFailureLocked(a.Index, f)
		}
		j.lastText = failureText{a.seq(), err, v.Text}
	}
	if next := j.engine.Retry(x.attempt, v.Result, now); next != nil {
		j.engine.Pin(next)
		j.changedLocked()
		x = j.ownLocked(next)
		j.logFailureLocked(len(j.log.entries), a, v.Text, stack)
		j.unlock()
		return x
	}
	at := len(j.log.entries)
	j.endLocked(&e, x, v.Result, now)
	if f := j.engine.LastFailure; f.At == 0 || f.Seq != a.seq() { // it was stopped, and does not count
		j.lastText = before
	}
	if stopped == nil {
		j.logFailureLocked(at, a, v.Text, stack)
	}
	if ok && snoozes && j.engine.GivenUp.Contains(a.Index) { // a rule has decided that
		j.noteFailureLocked(a.Index, f)
	}
	j.settleFailureLocked(a.Index)
	over := j.overLocked(a.Index)
	j.unlock()
	return j.goOn(&e, slot, a.Index, over)
}

// goOn gives back what an execution had, and returns the next one. If its index is
// over, so are the delays of that; see overLocked.
func (j *Job) goOn(e *effects, s slot, index int, over *delay.Sequences) *run {
	if over != nil {
		over.Drop(index)
	}
	s.release()
	return j.r.performFor(e)
}

// overLocked returns the delays of which an index needs no more; nil if it may, or has
// none of its own.
func (j *Job) overLocked(index int) *delay.Sequences {
	e := j.engine
	if index >= 0 && e.Spec.CustomDelay && (e.Completed.Contains(index) || e.GivenUp.Contains(index)) {
		return j.retries
	}
	return nil
}
