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
		// The caller must not wait for it once more.
		return a.DeletedAt // whatever it was, it is over
	case a.DeletedAt != 0:
		return a.DeletedAt.Add(grace)
	}
	return a.FinishedAt.Add(grace) // lost; zero plus grace is long past
}

// askToStop marks an attempt for deletion: it may take its grace period.
func (j *Job) askToStop(a *Attempt, by Deleter, why Cause, now Time) {
	if !a.active() {
		return
	}
	j.touch(a)
	idle := a.idle()
	j.terminate(a, by, now)
	if idle {
		j.endIdle(a, now)
		return
	}
	// The executor of one that timed out was stopped then.
	if by != DeletedByTimeout {
		j.stop(a, why, now)
	}
	if a.account == open {
		// It may yet return at once, and is then judged by how it ended.
		a.settleAt = now.Add(settleTime)
		j.settling++
	}
	j.rearm(a)
}

// terminate moves an attempt from those that are active to those that are stopping.
func (j *Job) terminate(a *Attempt, by Deleter, now Time) {
	a.DeletedAt, a.DeletedBy = now, by
	if !a.idle() {
		a.State = StateStopping
	}
	j.Active--
	j.Terminating++
	if a.Ready {
		j.Ready--
	}
}

// endIdle ends an attempt of which nothing runs that could take time to stop.
// One that never started has the exit code of a killed one.
func (j *Job) endIdle(a *Attempt, now Time) {
	if a.StartedAt == 0 {
		a.ExitCode, a.HasExit = exitKilled, true
	}
	j.end(a, false, now)
}

// stop cancels the attempt's context and starts its grace period.
func (j *Job) stop(a *Attempt, why Cause, now Time) {
	// A second reason to stop gives no further time.
	if a.graceAt == 0 {
		a.graceAt = now.Add(j.Spec.Grace).Add(a.Slack)
	}
	a.stallAt = 0
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
		if !a.HasEnded() {
			j.rearm(a)
		}
	}
}

// disrupt ends an attempt through no fault of its own.
func (j *Job) disrupt(a *Attempt, reason string, now Time) {
	if a.HasEnded() {
		return
	}
	runs := !a.idle()
	a.setCondition(Condition{Type: DisruptionTarget, Status: True, Reason: reason, At: now})
	switch reason {
	case ByKubelet:
		// What ran is gone, with the exit code of what is killed.
		a.ExitCode, a.HasExit = exitKilled, true
	case ByPodGC:
		// Nothing is known of how it ended: it has no exit code.
		a.HasExit = false
		if a.active() {
			j.terminate(a, DeletedByPodGC, now)
		}
	default:
		j.askToStop(a, DeletedByEviction, CauseDisrupted, now)
		return
	}
	if runs {
		j.stop(a, CauseDisrupted, now)
	}
	j.end(a, false, now)
}

// end ends an attempt and counts it, if it counts.
func (j *Job) end(a *Attempt, succeeded bool, now Time) {
	j.touch(a)
	if a.DeletedAt == 0 {
		j.Active--
		if a.Ready {
			j.Ready--
		}
	} else {
		j.Terminating--
		a.endRun(now)
	}
	if a.Abandoned {
		j.Abandoned--
	}
	if a.StartedAt == 0 {
		j.Pending--
	}
	j.restarts -= a.countedRestarts()
	a.State, a.succeeded, a.FinishedAt = StateEnded, succeeded, now
	a.graceAt, a.timeoutAt, a.stallAt = 0, 0, 0
	j.settled(a)
	// Most attempts are in no queue, and end by the million.
	if a.wake != 0 {
		j.wakes.Remove(a)
	}
	if a.wakeRestart != 0 {
		j.restarting.Remove(a)
	}
	j.drop(a)
	j.accountFor(a, now)
	a.Ready, a.RestartAt, a.retryAfter = false, 0, 0
	j.freeIndex(a)
	// After all that has changed, so that the caller sees it as it stays.
	if a.Notify {
		j.emit(Close, a)
	}
	j.keep(a)
}

// endRun notes when the last run of an attempt that was asked to stop has ended: a
// retry delay counts from there. It is not known of one that was lost.
func (a *Attempt) endRun(now Time) {
	switch {
	case a.IsRestart(): // it had ended before
	case a.HasExit:
		a.runEndAt = now
	default:
		a.runEndAt = 0
	}
}

// keep puts an attempt that has ended, and is not needed any more, into the
// history.
func (j *Job) keep(a *Attempt) {
	if a.HasEnded() && !a.retained {
		j.untouch(a)
		j.history.add(a)
	}
}

// drop takes an attempt out of the live ones.
func (j *Job) drop(a *Attempt) {
	last := len(j.live) - 1
	// The last one takes the place: the order of live attempts means nothing.
	j.live[a.slot] = j.live[last]
	j.live[a.slot].slot = a.slot
	j.live[last] = nil
	j.live = j.live[:last]
}

// timeOut stops an attempt that ran for too long.
func (j *Job) timeOut(a *Attempt, now Time) {
	a.Reason = DeadlineExceeded
	if a.idle() {
		j.endIdle(a, now)
		return
	}
	j.stop(a, CauseTimeout, now)
}

// abandon gives up waiting for an executor. It stays terminating until it
// returns, and a timed-out attempt becomes so.
func (j *Job) abandon(a *Attempt, now Time) {
	// An attempt that has run out of its own time was active until now: only from here on
	// its place may be taken.
	j.askToStop(a, DeletedByTimeout, CauseTimeout, now)
	a.Abandoned = true
	j.Abandoned++
	j.emit(Abandon, a)
}
