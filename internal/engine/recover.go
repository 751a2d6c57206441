package engine

import (
	"maps"
	"slices"
)

// ByCrash is the reason of the condition DisruptionTarget of an attempt whose
// process is gone.
const ByCrash = "TerminationByProcessExit"

// The exit of a process is one event, however many attempts it takes along. None of
// them counts as a failure, unless a rule of the failure policy matches its
// condition: what counts is the exit, once, and only as one of several in a row. So
// one exit never fails a job. A job that takes its process along each time fails,
// when more exits came in a row than failures are allowed. In a row means without a
// success in between: of the same index if the job is Indexed, where the attempts of
// an index hand the number on to each other, otherwise of the job.
//
// Attempts that a shutdown told to stop, and that did not before the process ended,
// are among those that it took along.

var processExitLimitExceeded = target{reason: "ProcessExitLimitExceeded",
	message: "Process of the job has exited more often in a row than the back-off limit allows"}

// exitLimit is how many exits in a row do not fail the job.
func (s *Spec) exitLimit() int {
	limit := s.BackoffLimit
	// Both limits hold, and the job fails by the one that is reached first.
	if s.perIndex() {
		limit = min(limit, s.BackoffLimitPerIndex)
	}
	// A deploy that kills the process is no failure of the job, even with a limit of zero.
	return max(1, limit)
}

// recover goes on with a job that was loaded. Questions that were not answered
// are asked again, and whatever ran has been lost with its process.
func (j *Job) recover(now Time) {
	j.askAgain()
	exited := false
	// Each that is lost leaves the list.
	for _, a := range slices.Clone(j.live) {
		if !a.idle() {
			j.lose(a, now)
			exited = exited || a.exited
		}
	}
	if exited && j.target == nil {
		j.countExit(now)
	}
}

// askAgain asks the questions again that were not answered when the process ended. Who
// answers them may be other code by now.
func (j *Job) askAgain() {
	if j.retry.n > 0 && j.retry.until == Never {
		j.out = append(j.out, Action{Kind: NeedDelay, Index: None, N: j.retry.n})
	}
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		if a := j.retained[i]; a.retryAt == Never {
			j.out = append(j.out, Action{Kind: NeedDelay, Index: i, N: a.Failures + a.Ignored + 1})
		}
	}
	for _, a := range j.live {
		if a.State == StateBackoff && a.RestartAt == Never {
			j.out = append(j.out, Action{Kind: NeedRestartDelay, Attempt: a, N: a.Restarts + 1})
		}
	}
}

// lose ends an attempt whose executor is gone. It is one that the exit took along if
// nothing else was about to end it.
func (j *Job) lose(a *Attempt, now Time) {
	a.Pinned = false
	a.setCondition(Condition{Type: DisruptionTarget, Status: True, Reason: ByCrash, At: now})
	a.HasExit = false
	a.exited = a.interrupted || a.active() && a.Reason == ""
	// Before the end, which counts the attempt: the decision must be known by then.
	if a.exited && a.Index >= 0 && a.Exits >= j.Spec.exitLimit() {
		j.exceedExits(a)
	}
	j.end(a, false, now)
	if a.exited && a.interrupted && a.Index >= 0 {
		j.indexes.keepSeries(a)
	}
}

// countExit counts the exit of a process that took attempts along.
func (j *Job) countExit(now Time) {
	if j.Spec.perIndex() {
		return // each index has a delay and a count of its own
	}
	// The delay counts from now: when the process ended is not known.
	j.retry.note(now, now)
	j.delayRetry()
	if j.Spec.Indexed {
		return
	}
	if j.exits++; int(j.exits) > j.Spec.exitLimit() {
		j.exceedExits(nil)
	}
}

// exceedExits lets the job fail for its exits, unless a rule of the failure policy
// says what they mean.
func (j *Job) exceedExits(a *Attempt) {
	// Users who want exits to be ignored say so with a rule.
	if j.failJob == nil && (a == nil || j.Spec.match(a) == None) {
		j.failJob = &processExitLimitExceeded
	}
}

// exitsAfter is how many exits in a row the next attempt of the same index has.
func (a *Attempt) exitsAfter() int {
	if a.exited {
		return a.Exits + 1
	}
	return a.Exits
}

// keepSeries hands on to the next attempt of an index how many exits, and how many
// snoozes, it has had in a row.
func (x *indexes) keepSeries(a *Attempt) {
	exits, snoozes := a.exitsAfter(), a.snoozesAfter()
	if exits+snoozes == 0 {
		return
	}
	if x.failures == nil {
		x.failures = make(map[int]failures)
	}
	// Failures that were kept for another reason stay.
	f := x.failures[a.Index]
	f.Exits, f.Snoozes = exits, snoozes
	x.failures[a.Index] = f
}

// start asks for an executor of an attempt that is to start, or to start again. It
// has started then, unless the caller says when it does.
func (j *Job) start(a *Attempt, now Time) {
	j.emit(Start, a)
	if !j.Spec.QueuesStarts && (a.IsRestart() || !j.Spec.HoldsPending) {
		j.started(a, now)
	}
}

// pause holds back what has not started, or lets it go on: starts that were asked
// for and not made are asked for again. In a job that was loaded these may be
// attempts that waited in a line which this caller does not have.
func (j *Job) pause(pause bool, now Time) {
	j.paused = pause
	for _, a := range j.live {
		switch {
		case a.State == StateBackoff:
			// Whether its restart is due depends on whether the job is paused.
			j.rearm(a)
		case a.State == StateQueued && !j.startsNothing():
			j.start(a, now)
		}
	}
}
