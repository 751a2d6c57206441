package engine

import (
	"cmp"
	"slices"
)

// This file keeps as many attempts active as the job wants, and picks which.

// manage stops what is too much and starts what is missing. It stops first and
// then starts, as two passes of the reference would.
func (j *Job) manage(now Time) {
	// It is set below if something has to wait for the delay: otherwise the timer would
	// wake a job that has nothing to start.
	j.retry.wake = Never
	if j.DeletedAt != 0 || j.awaiting {
		return
	}
	if j.Spec.Suspend {
		j.stopAll(DeletedByController, CauseSuspended, now)
		return
	}
	// Their indexes do not count towards what is wanted any more.
	if j.outOfRange {
		j.outOfRange = false
		j.stopOutOfRange(now)
	}
	wanted := j.wanted()
	if j.Active > wanted {
		j.stopSome(j.Active-wanted, now)
	}
	// What settles may yet turn out to have succeeded: its place is not given away before
	// that is known.
	missing := wanted - j.Active - int(j.settling)
	if j.Spec.ReplaceFailed {
		missing = wanted - j.Active - j.Terminating // those that settle among them
	}
	if missing > 0 && !j.startsNothing() {
		j.startSome(missing, now)
	}
}

// wanted is how many attempts are to be active: no more than are missing. A work queue
// knows only at its first success that nothing is missing; what runs then is to end by
// itself, so that nothing is started and nothing stopped.
func (j *Job) wanted() int {
	if j.Spec.Completions != None {
		return min(j.Spec.Parallelism, max(0, j.Spec.Completions-j.Succeeded))
	}
	if j.Succeeded > 0 {
		return j.Active
	}
	return j.Spec.Parallelism
}

// startSome starts up to n attempts. The delay of a job without a limit per index holds
// back all of them, also those of indexes that never failed.
func (j *Job) startSome(n int, now Time) {
	if until := j.retry.heldUntil(); !j.Spec.perIndex() && now < until {
		j.retry.wake = until
		return
	}
	if !j.Spec.Indexed {
		for range n {
			// A job without indexes numbers its attempts in the order of their creation.
			j.create(None, int(j.created), now)
		}
		return
	}
	for started := range n {
		i, ok := j.indexes.candidate(n, started, j.Spec.Completions)
		if !ok {
			return
		}
		j.createIndex(i, now)
	}
}

// createIndex starts an attempt of an index, which takes over the counts of
// the failed one before it.
func (j *Job) createIndex(i int, now Time) {
	a := j.create(i, j.indexes.take(i), now)
	if f, ok := j.indexes.failures[i]; ok {
		a.Failures, a.Ignored, a.Exits, a.Snoozes = f.Counted, f.Ignored, f.Exits, f.Snoozes
		delete(j.indexes.failures, i)
	}
	// A map that is empty is not worth a look for each of ten million indexes.
	if len(j.retained) == 0 {
		return
	}
	if old := j.retained[i]; old != nil {
		// The number of the retained one is not in numbers: it was still to be recorded.
		a.Number = max(a.Number, old.Number+1)
		j.indexes.highest = max(j.indexes.highest, a.Number)
		a.Failures, a.Ignored = old.Failures, old.Ignored
		a.Exits, a.Snoozes = old.exitsAfter(), old.snoozesAfter()
		if old.counts {
			a.Failures++
		} else {
			a.Ignored++
		}
		j.record(old)
	}
}

// stopAll stops every active attempt, uncounted.
func (j *Job) stopAll(by Deleter, why Cause, now Time) {
	for i := len(j.live) - 1; i >= 0 && j.Active > 0; i-- {
		j.stopUncounted(j.live[i], by, why, now)
	}
}

// interrupt stops what runs, and with it what waits to run, unless that is to be
// kept for another process.
func (j *Job) interrupt(ev Event) {
	for i := len(j.live) - 1; i >= 0; i-- {
		if a := j.live[i]; !ev.Keep || !a.idle() {
			// Whether it has failed is for the process that goes on to say: the store has it as
			// one that ran.
			if ev.Keep && a.active() {
				a.interrupted = true
				if a.holding {
					j.indexes.keepFailures(a)
				}
			}
			j.stopUncounted(a, DeletedByController, CauseShutdown, ev.At)
		}
	}
}

// stopOutOfRange stops the attempts of indexes that were cut off.
func (j *Job) stopOutOfRange(now Time) {
	for i := len(j.live) - 1; i >= 0; i-- {
		if a := j.live[i]; !j.inRange(a) {
			j.stopUncounted(a, DeletedByController, CauseScaledDown, now)
		}
	}
}

// stopUncounted stops an active attempt that is not needed any more. Its index is free at
// once, or when it has ended, as the replacement policy says.
func (j *Job) stopUncounted(a *Attempt, by Deleter, why Cause, now Time) {
	if !a.active() {
		return
	}
	// Exempt first: an attempt that ends at once is counted as it ends.
	j.exempt(a)
	j.askToStop(a, by, why, now)
	j.freeIndex(a)
}

// stopSome stops the n active attempts that come first in compareForRemoval.
func (j *Job) stopSome(n int, now Time) {
	// All are sorted although few go: to scale down is rare, and the order has to be exact.
	var active []*Attempt
	for _, a := range j.live {
		if a.active() {
			active = append(active, a)
		}
	}
	slices.SortFunc(active, compareForRemoval)
	for _, a := range active[:n] {
		j.stopUncounted(a, DeletedByController, CauseScaledDown, now)
	}
}

// compareForRemoval orders attempts, first to go first: those that are pending, then
// those that are not ready, ready for a shorter time, restarted more often, newer.
func compareForRemoval(a, b *Attempt) int {
	return cmp.Or(
		cmp.Compare(a.Phase(), b.Phase()),
		compareBool(a.Ready, b.Ready),
		compareReadyTime(a, b),
		-cmp.Compare(a.Restarts, b.Restarts),
		-cmp.Compare(a.CreatedAt, b.CreatedAt),
		cmp.Compare(a.Seq, b.Seq),
	)
}

// compareReadyTime puts those first that have been ready for a shorter time.
func compareReadyTime(a, b *Attempt) int {
	// The time is that of a change to ready, and says nothing about others.
	if !a.Ready || !b.Ready {
		return 0
	}
	return cmp.Compare(b.readyAt, a.readyAt)
}

// compareBool puts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
