package engine

import "time"

// This file is how an attempt runs again in place, with the same identity and scratch
// state, under the restart policy OnFailure. It is the part of the kubelet: its delays
// are other than those before a new attempt, and the attempt stays active meanwhile.

// awaitRestart lets a failed run be followed by another in the same attempt.
func (j *Job) awaitRestart(a *Attempt, now Time) {
	// Before the state changes: what waits is not ready, but when it last was matters
	// for the order of removal and for the retry delay.
	j.setReady(a, false, now)
	j.touch(a)
	a.State, a.runEndAt, a.stallAt = StateBackoff, now, 0
	a.Snoozes = a.snoozesAfter()
	a.noteRun(Run{a.runAt, now, a.ExitCode, true})
	// A failed run is a failure to show, although it is never counted: the attempt may
	// succeed yet.
	j.noteFailure(a, a.Restarts+1, now)
	switch {
	case a.retryAfter > 0:
		j.restartIn(a, a.retryAfter, now)
		a.retryAfter = 0 // it was for this run
	case j.Spec.CustomRestartDelay:
		// Until the answer is there. Never, and not zero, distinguishes it from a run that is due.
		a.RestartAt = Never
		j.out = append(j.out, Action{Kind: NeedRestartDelay, Attempt: a, N: a.Restarts + 1})
	default:
		j.restartIn(a, a.kubeletDelay(now), now)
	}
}

// noteRun replaces the latest run by what is known now that it has ended.
func (a *Attempt) noteRun(run Run) {
	if p := a.keepPast(); len(p.runs) > 0 {
		p.runs[len(p.runs)-1] = run
	} else {
		p.runs = []Run{run}
	}
}

// countedRestarts are its restarts that count towards the limit of the job.
func (a *Attempt) countedRestarts() int {
	if a.past == nil {
		return a.Restarts
	}
	return a.Restarts - a.past.snoozed
}

// restartIn sets when a waiting attempt runs again, counted from the end of
// its last run; a negative delay means that it does not.
func (j *Job) restartIn(a *Attempt, delay time.Duration, now Time) {
	switch {
	case a.State != StateBackoff:
		// The answer came too late: it has ended, or runs already.
	case delay < 0:
		j.end(a, false, now)
	default:
		// The delay counts from the end of the run, however long the answer took.
		a.RestartAt = a.runEndAt.Add(delay)
		j.restarting.Set(a, int64(a.RestartAt))
		j.rearm(a)
	}
}

// restart runs the executor again. The restart counts when it has started.
func (j *Job) restart(a *Attempt, now Time) {
	// It may have to wait for a slot again.
	a.State, a.RestartAt = StateQueued, 0
	j.restarting.Remove(a)
	j.start(a, now)
}

// restartHeldBack makes the restarts that a decision had held back which has been taken
// back. Nothing else is done that is due: attempts that were created in the same step
// are to have their time, however short it is.
func (j *Job) restartHeldBack(now Time) {
	for a, ok := j.restarting.Pop(int64(now)); ok; a, ok = j.restarting.Pop(int64(now)) {
		j.touch(a)
		j.restart(a, now)
		j.rearm(a)
	}
}

// kubeletDelay is the kubelet's back-off: nothing, then 10 s doubling to 300 s,
// beginning anew after a run of more than ten minutes.
func (a *Attempt) kubeletDelay(now Time) time.Duration {
	p := a.keepPast()
	if p.delays > 0 && now-a.runAt > Time(10*time.Minute) {
		// So the kubelet does it: a long run shows that what failed has been overcome.
		p.delays = 0
	}
	p.delays++
	if p.delays == 1 {
		return 0
	}
	return doubling(p.delays-1, 300*time.Second)
}

// countRestart counts a restart in place, towards the limit of the job unless it is one
// after a snooze.
func (j *Job) countRestart(a *Attempt, now Time) {
	a.HasExit = false
	a.Restarts++
	p := a.keepPast()
	p.runs = append(p.runs[max(0, len(p.runs)-keptRuns+1):], Run{StartedAt: now})
	if a.snoozed {
		p.snoozed++
	} else {
		j.restarts++
	}
}
