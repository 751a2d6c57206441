package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// What always holds of a job is written down here, apart from the code that makes it
// hold. The fuzz target, the simulation and the replays call Check after every event.

// Check reports every invariant that does not hold, or nil. It is to be called
// between steps, and looks at each attempt that is live or kept and at each
// index that waits or was given up: it is meant for tests.
func (j *Job) Check() error {
	c := checkup{Job: j}
	c.checkCounters()
	c.checkLive()
	c.checkDue()
	if j.Spec.Unmanaged { // all else is as was reported
		return errors.Join(c.faults...)
	}
	c.checkRetained()
	c.checkIndexes()
	c.checkLimits()
	c.checkConditions()
	c.checkEnd()
	c.checkHistory()
	c.checkFinder()
	return errors.Join(c.faults...)
}

// A checkup collects what is wrong with a job.
// It goes on after the first fault: which invariants hold, and which do not, says more
// about a fault than the first one found.
type checkup struct {
	*Job
	faults []error
}

// want notes a fault if ok is false.
func (c *checkup) want(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

// counters are those of a job's counters that follow from its live attempts.
type counters struct {
	Pending, Active, Ready, Terminating, Abandoned, restarts, settling int
}

// checkCounters compares what is counted with what is there.
func (c *checkup) checkCounters() {
	var want counters
	uncounted := c.unrecorded
	for _, a := range c.live {
		want.restarts += a.countedRestarts()
		addIf(&want.Pending, a.StartedAt == 0)
		addIf(&want.Active, a.active())
		addIf(&want.Ready, a.active() && a.Ready)
		addIf(&want.Terminating, a.State == StateStopping)
		addIf(&want.Abandoned, a.Abandoned)
		addIf(&want.settling, a.settleAt != 0)
		// A live attempt that is open may have been counted for the limits already, but not
		// for good.
		addIf(&uncounted, a.account == open)
	}
	if c.Spec.Unmanaged {
		c.want(len(c.live) == 0 && c.created == 0, "attempts of another controller's job")
		return // they are as was reported
	}
	have := counters{c.Pending, c.Active, c.Ready, c.Terminating, c.Abandoned, c.restarts, int(c.settling)}
	c.want(have == want, "counters are %+v, want %+v", have, want)
	c.want(c.exits >= 0 && (c.exits == 0 || !c.Spec.Indexed), "%d exits", c.exits)
	c.want(c.snoozes >= 0 && (c.snoozes == 0 || !c.Spec.Indexed), "%d snoozes", c.snoozes)
	c.want(len(c.runStarts()) < c.Run(), "%d runs begin, and this is run %d", len(c.runStarts()), c.Run())
	c.want(c.Succeeded >= 0 && c.Failed >= 0, "%d succeeded, %d failed", c.Succeeded, c.Failed)
	c.want(int64(c.Succeeded+c.Failed+uncounted) <= c.created, // each is counted once at most
		"%d succeeded, %d failed, %d uncounted: more than %d attempts", c.Succeeded, c.Failed, uncounted, c.created)
}

// addIf counts one more if ok is true.
func addIf(n *int, ok bool) {
	if ok {
		*n++
	}
}

// checkLive looks at each live attempt, and for two that are active with the
// same index.
func (c *checkup) checkLive() {
	// Two attempts of an index may run, but only one that was not asked to stop: otherwise
	// work is done twice for no reason.
	byIndex := make(map[int]*Attempt)
	for i, a := range c.live {
		c.want(int(a.slot) == i, "attempt %d is at %d, not %d", a.Seq, i, a.slot)
		c.want(!a.HasEnded() && a.FinishedAt == 0, "attempt %d has ended and is live", a.Seq)
		c.want(a.Seq >= 0 && a.Seq < c.created, "attempt %d of %d", a.Seq, c.created)
		c.want(!a.Abandoned || a.State == StateStopping, "attempt %d is abandoned and not stopping", a.Seq)
		c.want(a.settleAt == 0 || a.State == StateStopping && a.account == open,
			"attempt %d settles for nothing", a.Seq)
		c.want(!a.active() || a.account == open || c.DeletedAt != 0, "attempt %d is counted while active", a.Seq)
		c.want(a.retained == (c.retained[a.Index] == a), "attempt %d is not where it is retained", a.Seq)
		c.want(c.Spec.Indexed == (a.Index >= 0), "attempt %d has index %d", a.Seq, a.Index)
		c.want(!a.holding || a.Index >= 0, "attempt %d holds no index", a.Seq)
		c.checkState(a)
		if a.Index >= 0 && a.active() {
			c.want(byIndex[a.Index] == nil, "index %d is active twice", a.Index)
			byIndex[a.Index] = a
		}
	}
}

// checkState makes sure that nothing that is kept beside the state of an attempt
// contradicts it.
func (c *checkup) checkState(a *Attempt) {
	c.want((a.State == StateStopping) == (a.DeletedAt != 0), "attempt %d in state %d was deleted at %d",
		a.Seq, a.State, a.DeletedAt)
	c.want((a.State == StateBackoff) == (a.RestartAt != 0), "attempt %d in state %d restarts at %d",
		a.Seq, a.State, a.RestartAt)
	c.want(!a.Ready || a.StartedAt != 0 && !a.idle(), "attempt %d in state %d is ready", a.Seq, a.State)
	c.want(!a.Pinned || !a.idle(), "attempt %d in state %d is executed", a.Seq, a.State)
	c.want(a.State != StateRunning || a.StartedAt != 0, "attempt %d runs and has not started", a.Seq)
}

// checkDue makes sure that whatever is to happen to an attempt will.
func (c *checkup) checkDue() {
	next, queued, restarting := Never, 0, 0
	for _, a := range c.live {
		if a.wake != 0 {
			queued++
		}
		if a.wakeRestart != 0 {
			restarting++
		}
		c.want((a.wakeRestart != 0) == (a.RestartAt != 0 && a.RestartAt != Never),
			"attempt %d restarts at %d, queued: %d", a.Seq, a.RestartAt, a.wakeRestart)
		restartAt := a.RestartAt
		if !c.mayRestart(a) {
			restartAt = 0
		}
		for _, t := range [...]Time{a.settleAt, a.graceAt, a.timeoutAt, a.stallAt, restartAt} {
			if t != 0 {
				next = min(next, t)
			}
		}
	}
	c.want(c.restarting.Len() == restarting, "%d attempts wait for a restart, want %d", c.restarting.Len(), restarting)
	c.want(c.wakes.Len() == queued, "%d attempts wait to be woken, want %d", c.wakes.Len(), queued)
	c.want(first(&c.wakes) <= next, "attempts are woken at %d, want %d", first(&c.wakes), next)
	// What ends a steady state early must be noticed; that it lasts longer than is known
	// only costs time.
	c.want(c.steadyUntil <= c.steady(), "steady until %d, want %d", c.steadyUntil, c.steady())
	c.want(c.Due() >= c.now, "due at %d, and it is %d", c.Due(), c.now)
}

// checkRetained looks at the failed attempts that are counted later.
func (c *checkup) checkRetained() {
	next, queued, counting := Never, 0, 0
	for i, a := range c.retained {
		c.want(a.Index == i && a.retained && a.account == counted, "attempt %d is retained for index %d", a.Seq, i)
		c.want(!c.Completed.Contains(i) && !c.GivenUp.Contains(i),
			"attempt %d is retained for index %d, which is over", a.Seq, i)
		if a.counts {
			counting++
		}
		// The process was counted in its place.
		c.want(!a.exited || !a.counts, "attempt %d was taken along by its process, and counts", a.Seq)
		if a.wakeRetry != 0 {
			queued++
			next = min(next, a.retryAt)
		}
		c.want(a.wakeRetry == 0 || a.retryAt != Never, "attempt %d is queued for no time", a.Seq)
	}
	c.want(c.Spec.perIndex() || len(c.retained) == 0, "attempts are retained without a limit per index")
	c.want(c.unrecorded == counting, "%d unrecorded, want %d", c.unrecorded, counting)
	c.want(c.retries.Len() == queued, "%d attempts wait for a retry, want %d", c.retries.Len(), queued)
	c.want(first(&c.retries) == next, "next retry at %d, want %d", first(&c.retries), next)
}

// checkIndexes makes sure that each index below indexes.next is in exactly one
// place: completed, given up, returned, or held by an attempt.
func (c *checkup) checkIndexes() {
	x := &c.indexes
	if c.gone && len(c.live) == 0 {
		return // what was let go of does not matter any more
	}
	if !c.Spec.Indexed {
		c.want(c.Completed.Len()+c.GivenUp.Len()+x.returned.len()+x.next == 0, "indexes of a job without")
		return
	}
	c.want(c.Succeeded == c.Completed.Len(), "%d succeeded, %d completed", c.Succeeded, c.Completed.Len())
	for i := range c.GivenUp.All() {
		c.want(!c.Completed.Contains(i), "index %d is completed and given up", i)
	}
	if c.FinishedAt != 0 {
		return // a resize does not matter any more
	}
	c.checkPlaces()
}

// checkPlaces counts the places that checkIndexes is about.
func (c *checkup) checkPlaces() {
	x := &c.indexes
	back := cmp.Or(x.returned, new(returned))
	// If an index were in two places it could be done twice, and in none never: the sums
	// are compared, as each place is disjoint from the others by the tests below.
	places := c.Completed.Len() + c.GivenUp.Len() + x.returned.len()
	for i := range back.all.All() {
		c.want(!c.Completed.Contains(i) && !c.GivenUp.Contains(i), "index %d is to be started and over", i)
		a := c.retained[i]
		delayed := a != nil && c.delays(a)
		// A job that is to end starts nothing, so that it need not be known what could start.
		c.want(back.isReady(i) != delayed || c.DeletedAt != 0 || c.target != nil,
			"index %d is ready: %v", i, back.isReady(i))
	}
	held := make(map[int]bool)
	for _, a := range c.live {
		i := a.Index
		if !a.holding || i >= c.Spec.Completions {
			continue
		}
		c.want(!held[i], "index %d is held twice", i)
		c.want(!back.has(i) && !c.Completed.Contains(i) && !c.GivenUp.Contains(i),
			"index %d is held and free", i)
		held[i] = true
		places++
	}
	c.want(places == min(x.next, c.Spec.Completions), "%d indexes are accounted for, want %d of %d",
		places, x.next, c.Spec.Completions)
	c.want(back.n == back.all.Len(), "%d indexes wait, want %d", back.n, back.all.Len())
	for i := range back.ready.All() {
		c.want(back.has(i), "index %d is ready and not returned", i)
	}
	// What a resize has cut off must not come back with a later one.
	limit := min(x.next, c.Spec.Completions)
	for _, n := range []int{c.Completed.Len() - c.Completed.CountBelow(limit),
		c.GivenUp.Len() - c.GivenUp.CountBelow(limit), back.n - back.all.CountBelow(limit)} {
		c.want(n == 0, "%d indexes are not below %d", n, limit)
	}
}

// managed reports whether the job's attempts are as its spec wants them: not
// when its end is near, or when another has taken over.
func (c *checkup) managed() bool {
	return c.now != 0 && c.target == nil && c.decideAt == 0 && c.DeletedAt == 0 && !c.startsNothing() && !c.Spec.Unmanaged
}

// checkLimits makes sure that no more attempts are active than the job wants, as far as
// that does not depend on the time.
func (c *checkup) checkLimits() {
	if !c.managed() {
		return
	}
	if c.Spec.Suspend {
		c.want(c.Active == 0 && c.has(Suspended) && c.StartTime == 0, "suspended with %d active", c.Active)
		return
	}
	if c.awaiting {
		c.want(c.created == 0 && c.StartTime == 0, "%d attempts, and it is not to start", c.created)
		return
	}
	c.want(!c.has(Suspended) && c.StartTime != 0, "not started")
	// That there are enough of them cannot be asked: delays and the time of the last look
	// hold some back.
	c.want(c.Active <= c.wanted(), "%d active, want %d", c.Active, c.wanted())
	c.want(!c.complete(), "complete and not noticed")
}

// checkConditions makes sure that an ended job has the interim condition too,
// that no condition is taken back, and that none contradicts another.
func (c *checkup) checkConditions() {
	at := make(map[string]*Condition)
	for i := range c.Conditions {
		cond := &c.Conditions[i]
		c.want(at[cond.Type] == nil, "condition %s is there twice", cond.Type)
		// Users may rely on a condition other than Suspended once they have seen it.
		c.want(cond.Status == True || cond.Type == Suspended, "condition %s is %s", cond.Type, cond.Status)
		at[cond.Type] = cond
	}
	failing, succeeding := at[FailureTarget], at[SuccessCriteriaMet]
	c.want(failing == nil || succeeding == nil, "conditions for success and failure")
	c.want((c.target != nil) == (failing != nil || succeeding != nil), "conditions without decision")
	c.want((c.FinishedAt != 0) == (at[JobFailed] != nil || at[JobComplete] != nil), "finished without condition")
	// A watcher that sees the end must have been able to see the decision, with the same
	// words.
	for _, pair := range [][2]*Condition{{failing, at[JobFailed]}, {succeeding, at[JobComplete]}} {
		interim, final := pair[0], pair[1]
		if final == nil {
			continue
		}
		c.want(interim != nil && interim.Reason == final.Reason && interim.Message == final.Message && interim.At <= final.At,
			"condition %v follows %v", final, interim)
		c.want(final.At == c.FinishedAt && final == &c.Conditions[len(c.Conditions)-1], "condition %v is misplaced", final)
	}
}

// checkEnd makes sure that nothing goes on in a job that has finished.
func (c *checkup) checkEnd() {
	if c.FinishedAt == 0 {
		return
	}
	c.want(len(c.live) == 0 && len(c.retained) == 0, "finished with %d live, %d retained", len(c.live), len(c.retained))
}

// checkHistory looks at the records of ended attempts, each of which is in one
// place.
func (c *checkup) checkHistory() {
	h := &c.history
	if h.lanes != nil {
		for _, l := range h.lanes.all {
			c.want(!l.isOpen, "a lane is open")
			c.want(l.ends.n <= h.limit, "%d attempts are kept in a lane", l.ends.n)
		}
	}
	h.settle()
	kept := h.plain.n + h.succeeded.n + h.failed.n
	c.want(kept <= max(h.limit, 0), "%d attempts are kept", kept)
	// A record in two places would be used for two attempts at once.
	seen := make(map[*Attempt]bool)
	for _, a := range slices.Concat(c.live, h.succeeded.all(), h.failed.all(), (&list{first: h.free}).all()) {
		c.want(!seen[a], "the record of attempt %d is in two places", a.Seq)
		seen[a] = true
	}
	for _, a := range h.succeeded.all() {
		c.want(a.Phase() == Succeeded && a.wake == 0 && a.wakeRetry == 0, "attempt %d is kept as a success", a.Seq)
	}
	for _, a := range h.failed.all() {
		c.want(a.Phase() == Failed && !a.retained && a.wake == 0 && a.wakeRetry == 0,
			"attempt %d is kept as a failure", a.Seq)
	}
	for _, l := range []*list{&h.succeeded, &h.failed} {
		all := l.all()
		c.want(len(all) == l.n && (l.n == 0 || all[l.n-1] == l.last), "%d attempts are kept, counted %d", len(all), l.n)
	}
	// What leaves the history first is what is at the front: it must be the oldest.
	for i := range h.plain.n - 1 {
		c.want(h.plain.at(i).endsAt <= h.plain.at(i+1).endsAt, "plain successes are out of order")
	}
}

// checkFinder compares what the finder knows, if there is one, with what is there.
func (c *checkup) checkFinder() {
	have := c.history.finder
	if have == nil {
		return
	}
	want := c.newFinder()
	c.want(maps.Equal(have.attempts, want.attempts),
		"%d attempts can be found, want %d", len(have.attempts), len(want.attempts))
	c.want(maps.Equal(have.plain, want.plain),
		"%d plain successes can be found, want %d", len(have.plain), len(want.plain))
}

// all returns the attempts of the list, first to last.
func (l *list) all() (all []*Attempt) {
	for a := l.first; a != nil; a = a.next {
		all = append(all, a)
	}
	return all
}
