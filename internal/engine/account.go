package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// This file counts how attempts end. Each is counted once, as soon as it is known how:
// when it has ended, or, if a stopping attempt may be replaced at once, a moment after
// it was asked to stop. What a failure comes to is up to the failure policy; then it
// counts towards the limit of the job, and delays the next attempt. There are two
// kinds of delay. A job without a limit per index has one for all its attempts, which
// grows with each failure and is forgotten at the next success. With such a limit
// each index has its own, which follows from how often that index has failed.

// accountFor counts an attempt that has just ended, if it counts.
func (j *Job) accountFor(a *Attempt, now Time) {
	if !j.inRange(a) {
		j.forget(a)
		a.account = exempted
		return
	}
	if a.succeeded && (a.account == open || a.retained) {
		// It was counted as failed when it was asked to stop, and has succeeded after all.
		// Its index is not to be tried again.
		if a.retained && !a.holding {
			j.indexes.take(a.Index) // it was to be tried again
		}
		j.forget(a)
		j.countSuccess(a)
	}
	switch {
	case a.succeeded:
	case a.account == open:
		j.countFailure(a, now)
	case a.retained:
		j.recount(a, now)
	}
}

// recount moves the retry delay of an index whose attempt was counted when it was
// asked to stop: now its end is known, and the delay counts from there.
func (j *Job) recount(a *Attempt, now Time) {
	// The delay is never made shorter: a caller may have been told when it ends.
	end := a.failedAt(now)
	if end <= a.countedAt {
		return
	}
	if a.retryAt != Never {
		j.retryIndexAt(a, end.Add(time.Duration(a.retryAt-a.countedAt)))
	}
	a.countedAt = end
}

// inRange reports whether the index of an attempt exists: after the job was cut, one
// beyond its end counts neither as a success nor as a failure.
func (j *Job) inRange(a *Attempt) bool {
	return !j.Spec.Indexed || a.Index < j.Spec.Completions
}

// countSuccess counts a success. Of an index it is counted once, however many of its
// attempts succeed: the set of completed indexes is what counts.
func (j *Job) countSuccess(a *Attempt) {
	a.account, a.countedAt = counted, 0
	// A success ends the series of failures from which the delay follows, and with it
	// the delay that runs: so does the reference.
	j.retry = retry{wake: Never, success: a.FinishedAt}
	j.exits, j.snoozes = 0, 0
	if !j.Spec.Indexed {
		j.Succeeded++
		return
	}
	// With the replacement policy TerminatingOrFailed an attempt that is stopping and the
	// one in its place may both succeed.
	if j.Completed.Add(a.Index) {
		j.Succeeded++
	}
	a.holding = false
}

// countFailure counts a failed attempt as the failure policy says.
func (j *Job) countFailure(a *Attempt, now Time) {
	if !j.inRange(a) {
		a.account = exempted
		return
	}
	j.touch(a)
	a.account = counted
	rule := j.Spec.match(a)
	action := Count
	switch {
	case rule != None:
		// A rule goes before everything else that is known of the failure, also before the
		// exit of the process: that lets users decide what an exit means.
		action, a.exited, a.snoozed = j.Spec.FailureRules[rule].Action, false, false
	case a.exited:
		// It is the process that has failed. countExit counts that.
		action = Ignore
	case a.permanent:
		action = j.permanentAction()
	case a.snoozed:
		action = Ignore
	}
	a.countedAt = a.failedAt(now)
	switch {
	case j.Spec.perIndex():
		j.failIndexOnce(a, action)
	case a.exited:
		j.noteFailure(a, 1, a.countedAt) // the exit lengthens the delay, once
	case a.snoozed:
		j.snooze(a)
	default:
		j.addFailed(action)
		j.failOnce(a, now)
	}
	// The first one decides: its message is part of a condition, which never changes.
	if action == FailJob && j.failJob == nil {
		j.failJob = j.failJobTarget(a, rule)
	}
}

// permanentAction is what an error does that is not worth a retry: it ends what the
// retry would have been for, the index if it has a limit of its own, or the job.
func (j *Job) permanentAction() FailureAction {
	if j.Spec.perIndex() {
		return FailIndex
	}
	return FailJob
}

// addFailed counts a failed attempt, unless a rule ignores it.
func (j *Job) addFailed(action FailureAction) {
	if action != Ignore {
		j.Failed++
	}
}

// failedAt is the time from which the retry delay counts: the end of the
// container if it has ended, otherwise when the attempt stopped being ready, and
// for one that is ready to the last, or never was, when it was asked to stop. It is
// called while Ready still is as it was when the attempt ended.
func (a *Attempt) failedAt(now Time) Time {
	switch {
	case a.failed() && a.DeletedAt == 0:
		return now
	case a.failed() && a.runEndAt != 0:
		return a.runEndAt
	case a.StartedAt != 0 && !a.Ready && a.readyAt > a.StartedAt:
		return a.readyAt
	}
	return a.DeletedAt
}

// failOnce lengthens the job's retry delay; failures that are ignored do too.
func (j *Job) failOnce(a *Attempt, now Time) {
	j.snoozes = 0
	if !j.retry.note(a.countedAt, now) {
		j.noteFailure(a, 1, a.countedAt)
		return
	}
	j.noteFailure(a, j.retry.n, a.countedAt)
	if a.retryAfter > 0 {
		// The failure is one of the series nevertheless: if the next one says nothing, its
		// delay is that of so many failures in a row.
		j.retry.until = j.retry.last.Add(a.retryAfter)
		return
	}
	j.delayRetry()
}

// delayRetry sets the delay after the latest of the failures in a row, or asks for it.
func (j *Job) delayRetry() {
	if j.Spec.CustomDelay {
		// Nothing starts before the answer is there. It may take long: it is user code, and
		// runs without the lock of the job.
		j.retry.until = Never
		j.out = append(j.out, Action{Kind: NeedDelay, Index: None, N: j.retry.n})
		return
	}
	j.retry.until = j.retry.last.Add(j.Spec.retryDelay(j.retry.n))
}

// failIndexOnce counts a failure of an index with a limit of its own: either
// the index is given up, or the attempt is retained, uncounted, until its
// replacement has taken over its counts.
func (j *Job) failIndexOnce(a *Attempt, action FailureAction) {
	n := a.Failures + a.Ignored + 1
	j.noteFailure(a, n, a.countedAt)
	switch {
	case action == FailIndex, action != Ignore && a.Failures >= j.Spec.BackoffLimitPerIndex:
		j.addFailed(action)
		j.giveUp(a)
	default:
		j.retain(a, action != Ignore)
		switch {
		case a.retryAfter > 0:
			j.retryIndexAt(a, a.countedAt.Add(a.retryAfter))
		case j.Spec.CustomDelay:
			a.retryAt = Never
			j.out = append(j.out, Action{Kind: NeedDelay, Index: a.Index, N: n})
		default:
			j.retryIndexAt(a, a.countedAt.Add(j.Spec.retryDelay(n)))
		}
	}
}

// giveUp fails an index for good.
func (j *Job) giveUp(a *Attempt) {
	a.holding = false
	if !j.Completed.Contains(a.Index) {
		j.GivenUp.Add(a.Index)
	}
}

// retain keeps a failed attempt until its replacement takes over its counts. Until then
// its failure counts towards the limits, but is not in the status: so the reference
// does it, which learns how often an index has failed from the attempt itself.
func (j *Job) retain(a *Attempt, counts bool) {
	if j.retained == nil {
		j.retained = make(map[int]*Attempt)
	}
	j.retained[a.Index] = a
	a.retained, a.counts = true, counts
	if counts {
		j.unrecorded++
	}
}

// retryIndexAt sets when the index of a retained attempt may be tried again.
func (j *Job) retryIndexAt(a *Attempt, t Time) {
	j.touch(a)
	a.retryAt = t
	// An index whose delay is over is ready at once and not at the next tick: a delay of
	// zero is to cost nothing.
	if t > j.now {
		j.indexes.returned.setReady(a.Index, false)
		j.retries.Set(a, int64(t))
		return
	}
	j.retries.Remove(a)
	j.indexes.returned.setReady(a.Index, true)
}

// forget drops a retained attempt without counting it.
func (j *Job) forget(a *Attempt) {
	if !a.retained {
		return
	}
	j.touch(a)
	delete(j.retained, a.Index)
	j.retries.Remove(a)
	a.retained, a.retryAt = false, 0
	if a.counts {
		j.unrecorded--
	}
}

// record counts a retained attempt for good.
func (j *Job) record(a *Attempt) {
	j.forget(a)
	if a.counts {
		j.Failed++
	}
	j.keep(a)
}

// recordAll counts every retained attempt, in the order of their indexes: the
// same events have the same effects.
func (j *Job) recordAll() {
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		j.record(j.retained[i])
	}
}

// forgetAll drops every retained attempt without counting it.
func (j *Job) forgetAll() {
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		a := j.retained[i]
		j.forget(a)
		j.keep(a)
	}
}

// delayKnown records a delay that was asked for with NeedDelay. A negative
// one means that there is to be no retry: the limit counts as exceeded.
func (j *Job) delayKnown(index int, n int, delay time.Duration) {
	if index != None {
		j.indexDelayKnown(index, n, delay)
		return
	}
	// A success or a further failure came in between, and the question is no longer open.
	if j.retry.n != n {
		return
	}
	if delay < 0 {
		j.failJob = cmp.Or(j.failJob, &backoffLimitExceeded)
		return
	}
	j.retry.until = j.retry.last.Add(delay)
}

// indexDelayKnown is delayKnown for an index with a limit of its own. The answer may come
// too late: the index may have succeeded, or failed once more.
func (j *Job) indexDelayKnown(index, n int, delay time.Duration) {
	a := j.retained[index]
	if a == nil || a.Failures+a.Ignored+1 != n {
		return
	}
	if delay >= 0 {
		j.retryIndexAt(a, a.countedAt.Add(delay))
		return
	}
	j.record(a)
	j.indexes.take(index)
	j.giveUp(a)
}

// noteFailure remembers the latest failure for the status. One that counts only
// now may be older: that of an attempt that waited for its restart.
func (j *Job) noteFailure(a *Attempt, n int, at Time) {
	// The status shows one failure, and never an older one than it has shown.
	if at < j.LastFailure.At {
		return
	}
	code := None
	if a.HasExit {
		code = a.ExitCode
	}
	if a.snoozed { // it says what the job waits for, and is none in a row
		n = 0
	}
	j.LastFailure = Failure{Seq: a.Seq, Index: a.Index, Failures: n, ExitCode: code, At: at}
}
