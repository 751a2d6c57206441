package engine

// A job is steady while nothing is due, nothing is delayed and as many attempts run as
// are wanted. A success then changes only counts, which is what fast.go makes use of:
// it asks once, after each step, and not for each attempt.

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
	return a.State == StateRunning && a.Ready && a.account == open && a.Reason == "" &&
		a.Restarts == 0 && !a.Notify && len(a.Conditions) == 0
}

// steady returns until when the job is steady, unless something else than a
// plain success happens before: zero if it is not, Never if nothing is due.
func (j *Job) steady() Time {
	s := j.Spec
	switch {
	case j.gone, j.FinishedAt != 0, j.target != nil, j.decideAt != 0, j.failJob != nil,
		j.DeletedAt != 0, j.startsNothing(), j.StartTime == 0, s.Suspend, s.Unmanaged,
		s.Completions == None, len(s.SuccessRules) > 0, s.AttemptTimeout >= 0, s.ProgressDeadline > 0,
		s.HoldsPending, s.QueuesStarts, j.Active != s.Parallelism, j.Terminating > 0,
		j.retry.n > 0, j.retry.asleep > 0, j.exits > 0, len(j.indexes.failures) > 0, j.outOfRange,
		len(j.retained) > 0, j.indexes.returned.len() > 0, j.wakes.Len()+j.retries.Len() > 0:
		return 0
	case s.ActiveDeadline >= 0:
		// The deadline is the one thing that happens to a steady job without an event.
		return j.StartTime.Add(s.ActiveDeadline)
	}
	return Never
}
