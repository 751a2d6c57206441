package engine

// This file is what an attempt itself says of when it goes on: that it is only too early
// for it, and that it still makes progress.

// mostSnoozes is how many snoozes in a row do not count. It is far more than the one that
// waits for something needs, and bounds a job that would otherwise never end.
const mostSnoozes = 100

// snoozeLimit is how many snoozes in a row do not count. Without indexes there is one
// series for all attempts, which may all wait for the same thing.
func (s *Spec) snoozeLimit() int {
	if s.Indexed {
		return mostSnoozes
	}
	return mostSnoozes * max(1, s.Parallelism)
}

// Snoozes reports whether such an end of an attempt counts as a snooze, unless a rule of
// the failure policy goes before that.
func (j *Job) Snoozes(a *Attempt, r Result) bool {
	return r.Snooze && r.RetryAfter > 0 && !r.Permanent && a.Snoozes < j.Spec.snoozeLimit()
}

// snoozesAfter is how many snoozes in a row the next attempt of the same index has.
func (a *Attempt) snoozesAfter() int {
	if a.snoozed {
		return a.Snoozes + 1
	}
	return 0
}

// snooze holds back the attempts of a job without a limit per index. It is none of the
// failures in a row, so that the delay after the next failure is what it would have been.
func (j *Job) snooze(a *Attempt) {
	if !j.Spec.Indexed {
		j.snoozes++
	}
	j.noteFailure(a, 0, a.countedAt)
	j.retry.asleep = max(j.retry.asleep, a.countedAt.Add(a.retryAfter))
}

// NoProgress is the reason of an attempt that gave no sign of life for too long.
const NoProgress = "ProgressDeadlineExceeded"

// signKnown records when an attempt last gave a sign of life. It is requested only when
// that may be too long ago: to note each line that an attempt prints would cost more
// than many attempts do.
func (j *Job) signKnown(a *Attempt, last, now Time) {
	limit := j.Spec.ProgressDeadline
	// The answer may be about a run that has ended since it was asked for.
	if a.State != StateRunning || a.Reason != "" || a.stallAt != 0 || limit <= 0 {
		return
	}
	if next := max(last, a.runAt).Add(limit); next > now {
		a.stallAt = next
		j.rearm(a)
		return
	}
	j.stall(a, now)
}

// stall stops an attempt that makes no progress. Like one that has run out of time it
// has failed, whatever its executor returns, and is active until it does.
func (j *Job) stall(a *Attempt, now Time) {
	a.Reason = NoProgress
	j.stop(a, CauseStalled, now)
	j.rearm(a)
}
