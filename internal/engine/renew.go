package engine

// Renew is Ended for a plain success in a steady job, in which a success
// changes nothing but counts: the next attempt takes over the place and the
// record of the one that has ended. It is for speed only, and does exactly what
// Ended would do; it reports false, and has done nothing, where that would be
// more. The caller makes sure that there is nothing to close (see
// Attempt.Notify).
func (j *Job) Renew(a *Attempt, now Time) bool {
	now = max(j.now, now)
	if now >= j.steadyUntil || j.left() <= 0 || !a.renewable() {
		return false
	}
	j.now = now
	a.FinishedAt = now
	j.untouch(a)
	j.history.addBrief(a.brief())
	j.history.lost(a.Seq)
	j.retry.success = now
	j.Succeeded++
	a.Number = int(j.created)
	if j.Spec.Indexed {
		j.Completed.Add(a.Index)
		a.Index = j.indexes.next
		a.Number = j.indexes.take(a.Index)
	}
	a.Seq = j.created
	j.created++
	a.renew(now)
	j.history.found(a)
	j.touch(a)
	return true
}

// renew makes a running attempt one that starts now, but for what numbers it.
func (a *Attempt) renew(now Time) {
	a.FinishedAt, a.Failures, a.Ignored, a.Exits = 0, 0, 0, 0
	a.CreatedAt, a.StartedAt, a.runAt, a.readyAt = now, now, now, now
}

// Retry is Ended for a plain failure in a steady job after which the same index
// is tried again at once, and returns the attempt that does. Like Renew it is for
// speed only: it returns nil, and has done nothing, where Ended would do more.
func (j *Job) Retry(a *Attempt, r Result, now Time) *Attempt {
	now = max(j.now, now)
	if now >= j.steadyUntil || !j.Spec.retriesAtOnce(a, r) || j.Failed >= j.Spec.BackoffLimit || !a.renewable() {
		return nil
	}
	j.now = now
	a.Phase, a.FinishedAt, a.Ready = Failed, now, false
	a.ExitCode, a.HasExit = r.Code, true
	a.account, a.countedAt, a.holding, a.counts = counted, now, false, true
	j.noteFailure(a, a.Failures+a.Ignored+1, now)
	j.Failed++

	next := j.history.reuse()
	*next = Attempt{Owner: next.Owner, Conditions: next.Conditions[:0:0], touched: next.touched,
		Seq: j.created, Index: a.Index, Number: a.Number + 1, Failures: a.Failures + 1, Ignored: a.Ignored, Exits: a.Exits,
		Phase: Running, Ready: true, CreatedAt: now, StartedAt: now, runAt: now, readyAt: now,
		holding: true, errorRule: None, slot: a.slot}
	j.created++
	j.indexes.highest = max(j.indexes.highest, next.Number)
	j.live[a.slot] = next
	j.touch(next)
	j.history.found(next)
	j.keep(a)
	return next
}

// retriesAtOnce reports whether nothing about a failure keeps its index from
// being tried again without a delay.
func (s *Spec) retriesAtOnce(a *Attempt, r Result) bool {
	return s.FixedDelay && s.Delay == 0 && !s.CustomDelay && !s.OnFailure && len(s.FailureRules) == 0 &&
		r.Code != 0 && !r.Permanent && a.Failures < s.BackoffLimitPerIndex
}

// left is how many more attempts the job needs than it has.
func (j *Job) left() int {
	left := j.Spec.Completions - j.Succeeded - j.Active
	if j.Spec.Indexed {
		left = min(left, j.Spec.Completions-j.indexes.next)
	}
	return left
}

// renewable reports whether there is nothing about an attempt but that it runs.
func (a *Attempt) renewable() bool {
	return a.Phase == Running && a.Ready && a.DeletedAt == 0 && a.account == open && !a.waiting && !a.timedOut &&
		a.Restarts == 0 && !a.Notify && len(a.Conditions) == 0
}

// steady returns until when the job is steady, unless something else than a
// plain success happens before: zero if it is not, Never if nothing is due.
func (j *Job) steady() Time {
	s := &j.Spec
	switch {
	case j.gone, j.FinishedAt != 0, j.target != nil, j.decideAt != 0, j.failJob != nil, j.exhausted,
		j.DeletedAt != 0, j.isHeld(), j.StartTime == 0, s.Suspend, s.Unmanaged,
		s.Completions == None, len(s.SuccessRules) > 0, s.AttemptTimeout >= 0, s.HoldsPending, s.QueuesStarts,
		j.Active != s.Parallelism, j.Terminating > 0, j.retry.n > 0, j.exits > 0, len(j.indexes.failures) > 0, j.outOfRange,
		len(j.retained) > 0, j.indexes.waiting > 0, j.wakes.Len()+j.retries.Len() > 0:
		return 0
	case s.ActiveDeadline >= 0:
		return j.StartTime.Add(s.ActiveDeadline)
	}
	return Never
}
