package engine

import (
	"time"
)

// This file is how attempts stop and end. To ask one to stop takes back its slot, but
// it is live until its executor has returned, or is known to be lost.

// GraceEnd is when an attempt that was asked to stop is given up, with that
// grace period; zero if it was not asked.
func (a *Attempt) GraceEnd(grace time.Duration) Time {
	switch {
	case a.graceAt != 0:
		return a.graceAt
	case a.Abandoned:
		return a.DeletedAt // whatever it was, it is over
	case a.DeletedAt != 0:
		return a.DeletedAt.Add(grace)
	}
	return a.FinishedAt.Add(grace) // lost; zero plus grace is long past
}

// askToStop marks an attempt for deletion: it may take its grace period.
func (j *Job) askToStop(a *Attempt, by Deleter, why Cause, now Time) {
	if a.terminal() || a.DeletedAt != 0 {
		return
	}
	j.touch(a)
	a.DeletedAt, a.DeletedBy = now, by
	j.Active--
	j.Terminating++
	if a.Ready {
		j.Ready--
	}
	if j.idle(a) {
		j.endIdle(a, now)
		return
	}
	if by != DeletedByTimeout {
		j.stop(a, why, now)
	}
	if a.account == open {
		a.settleAt = now.Add(settleTime)
		j.settling++
	}
	j.rearm(a)
}

// idle reports whether no executor runs for the attempt.
func (j *Job) idle(a *Attempt) bool {
	return a.waiting || a.Phase == Pending && !a.Pinned
}

// endIdle ends an attempt of which nothing runs that could take time to stop.
// One that never started has the exit code of a killed one.
func (j *Job) endIdle(a *Attempt, now Time) {
	if a.Phase == Pending {
		a.ExitCode, a.HasExit = exitKilled, true
	}
	j.end(a, Failed, now)
}

// stop cancels the attempt's context and starts its grace period.
func (j *Job) stop(a *Attempt, why Cause, now Time) {
	if a.graceAt == 0 {
		a.graceAt = now.Add(j.Spec.Grace).Add(a.Slack)
	}
	j.out = append(j.out, Action{Kind: Stop, Attempt: a, Cause: why})
}

// exempt sees to it that the attempt is never counted, however it ends: the job does
// not need it any more, so that neither a success nor a failure means anything.
func (j *Job) exempt(a *Attempt) {
	if a.account == open {
		j.touch(a)
		a.account = exempted
		j.settled(a)
		j.freeIndex(a)
	}
}

// settled ends the time in which a stop does not count yet.
func (j *Job) settled(a *Attempt) {
	if a.settleAt != 0 {
		j.touch(a)
		a.settleAt = 0
		j.settling--
		if !a.terminal() {
			j.rearm(a)
		}
	}
}

// disrupt ends an attempt through no fault of its own.
func (j *Job) disrupt(a *Attempt, reason string, now Time) {
	if a.terminal() {
		return
	}
	a.setCondition(Condition{Type: DisruptionTarget, Status: True, Reason: reason, At: now})
	switch reason {
	case ByKubelet:
		a.ExitCode, a.HasExit = exitKilled, true
	case ByPodGC:
		a.HasExit = false
		if a.DeletedAt == 0 {
			a.DeletedAt, a.DeletedBy = now, DeletedByPodGC
			j.Active--
			j.Terminating++
			if a.Ready {
				j.Ready--
			}
		}
	default:
		j.askToStop(a, DeletedByEviction, CauseDisrupted, now)
		return
	}
	if !j.idle(a) {
		j.stop(a, CauseDisrupted, now)
	}
	j.end(a, Failed, now)
}

// end makes an attempt terminal and counts it, if it counts.
func (j *Job) end(a *Attempt, phase Phase, now Time) {
	j.touch(a)
	if a.DeletedAt == 0 {
		j.Active--
		if a.Ready {
			j.Ready--
		}
	} else {
		j.Terminating--
	}
	if a.Abandoned {
		j.Abandoned--
	}
	if a.Phase == Pending {
		j.Pending--
	}
	j.restarts -= a.Restarts
	a.Phase, a.FinishedAt = phase, now
	a.graceAt, a.timeoutAt = 0, 0
	j.settled(a)
	if a.wake != 0 {
		j.wakes.Remove(a)
	}
	if a.wakeRestart != 0 {
		j.restarting.Remove(a)
	}
	j.drop(a)
	j.accountFor(a, now)
	a.Ready, a.waiting, a.RestartAt = false, false, 0
	j.freeIndex(a)
	if a.Notify {
		j.emit(Close, a)
	}
	j.keep(a)
}

// keep puts an attempt that has ended, and is not needed any more, into the
// history.
func (j *Job) keep(a *Attempt) {
	if a.terminal() && !a.retained {
		j.untouch(a)
		j.history.add(a)
	}
}

// drop takes an attempt out of the live ones.
func (j *Job) drop(a *Attempt) {
	last := len(j.live) - 1
	j.live[a.slot] = j.live[last]
	j.live[a.slot].slot = a.slot
	j.live[last] = nil
	j.live = j.live[:last]
}

// timeOut stops an attempt that ran for too long.
func (j *Job) timeOut(a *Attempt, now Time) {
	a.timedOut = true
	a.Reason = DeadlineExceeded
	if j.idle(a) {
		j.endIdle(a, now)
		return
	}
	j.stop(a, CauseTimeout, now)
}

// abandon gives up waiting for an executor. It stays terminating until it
// returns, and a timed-out attempt becomes so.
func (j *Job) abandon(a *Attempt, now Time) {
	j.askToStop(a, DeletedByTimeout, CauseTimeout, now)
	a.Abandoned = true
	j.Abandoned++
	j.emit(Abandon, a)
}
