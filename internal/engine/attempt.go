package engine

import (
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
)

// An Attempt is the record of one attempt. Records of ended attempts that are
// no longer kept are used again for new ones.
type Attempt struct {
	// Owner belongs to the caller, and stays with the record when it is used
	// again. The caller sets Pinned while an executor runs for the attempt,
	// which may outlive the attempt: the record is then not used again; and
	// Notify if it wants a Close action when the attempt ends. Slack is what the
	// executor needs after its grace period to end by force what it runs.
	Owner          any
	Pinned, Notify bool
	Slack          time.Duration

	Seq      int64 // place in the order of creation, from 0
	Index    int   // or None
	Number   int   // counts the attempts of the same index
	Restarts int
	// Failures and Ignored are how often the index had failed before (R121).
	Failures, Ignored int
	// Exits is how often in a row the process has ended under an attempt of the
	// same index.
	Exits int

	Phase      Phase
	CreatedAt  Time
	StartedAt  Time
	FinishedAt Time
	RestartAt  Time // while it waits for its restart
	DeletedAt  Time
	DeletedBy  Deleter
	Reason     string
	ExitCode   int
	HasExit    bool
	Ready      bool
	Abandoned  bool
	Conditions []Condition

	readyAt Time // when Ready last changed
	// readyBefore is when the attempt had become ready before it last was not.
	readyBefore Time
	runAt       Time // start of the current or last run
	runEndAt    Time // end of the last run
	settleAt    Time // when a requested stop begins to count (R134)
	graceAt     Time
	timeoutAt   Time
	retryAt     Time // while retained: when its index may be tried again

	account     account
	countedAt   Time // of a counted failure: the end that its retry delay counts from; otherwise 0
	retained    bool // see Job.retained
	counts      bool // while retained: towards the limits
	holding     bool // its index cannot be given to another
	timedOut    bool
	interrupted bool // by a shutdown
	exited      bool // its process has ended under it, which is not its failure
	waiting     bool // for its restart in place
	slot        int32
	wake        duequeue.Place // in Job.wakes
	wakeRetry   duequeue.Place // in Job.retries
	wakeRestart duequeue.Place // in Job.restarting
	errorRule   int            // see Result.ErrorRule
	permanent   bool
	restartNo   int      // restarts since the restart delay began anew
	touched     bool     // since the job was saved
	saved       bool     // there is a record of it
	next        *Attempt // in the history
}

// Phase is how far an attempt has come (R125).
type Phase uint8

const (
	Pending Phase = iota
	Running
	Succeeded
	Failed
)

// Deleter is who first asked an attempt to stop.
type Deleter uint8

const (
	NotDeleted Deleter = iota
	DeletedByController
	DeletedByUser
	DeletedByEviction
	DeletedByPodGC
	DeletedByGC
	DeletedByTimeout
)

// A Condition of a job or an attempt.
type Condition struct {
	Type, Status, Reason, Message string
	At                            Time
}

// The words of conditions that the engine itself uses.
const (
	True             = "True"
	False            = "False"
	DisruptionTarget = "DisruptionTarget"
)

// DeadlineExceeded is the reason of a job, or an attempt, that ran out of time.
const DeadlineExceeded = "DeadlineExceeded"

// Disruptions that end an attempt at once; any other is an eviction.
const (
	ByKubelet = "TerminationByKubelet"
	ByPodGC   = "DeletionByPodGC"
)

const exitKilled = 137 // 128 + SIGKILL

// account says how an attempt was counted. Each is counted at most once (R136).
type account uint8

const (
	open     account = iota
	counted          // as success or failure, or as a failure that was ignored
	exempted         // never to be counted (R163)
)

// Pin notes that an executor runs for the attempt.
func (j *Job) Pin(a *Attempt) {
	a.Pinned = true
	j.touch(a)
}

// AwaitsStart reports whether no executor has started yet for the attempt, or
// for its restart.
func (a *Attempt) AwaitsStart() bool { return a.Phase == Pending || a.waiting }

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

// IsCompletion reports whether the attempt has succeeded and counts for that: one
// that was stopped for another reason before does not (R163).
func (a *Attempt) IsCompletion() bool {
	return a.Phase == Succeeded && a.account == counted && a.countedAt == 0
}

// terminal reports whether the attempt has ended.
func (a *Attempt) terminal() bool { return a.Phase >= Succeeded }

// active reports whether the attempt has neither ended nor been asked to stop (R131).
func (a *Attempt) active() bool { return !a.terminal() && a.DeletedAt == 0 }

// terminating reports whether it was asked to stop and has not yet (R132).
func (a *Attempt) terminating() bool { return !a.terminal() && a.DeletedAt != 0 }

// setCondition adds or replaces a condition.
func (a *Attempt) setCondition(c Condition) {
	a.Conditions = setCondition(a.Conditions, c)
}

// create makes a new attempt, for index i if the job is Indexed.
func (j *Job) create(index, number int, now Time) *Attempt {
	a := j.history.reuse()
	conditions := a.Conditions[:0:0]
	*a = Attempt{Owner: a.Owner, Conditions: conditions, touched: a.touched}
	a.Seq, a.Index, a.Number = j.created, index, number
	a.CreatedAt = now
	a.holding = index >= 0
	a.errorRule = None
	a.slot = int32(len(j.live))
	j.live = append(j.live, a)
	j.created++
	j.Active++
	j.Pending++
	j.touch(a)
	j.history.found(a)
	j.start(a, now)
	return a
}

// started ends the Pending phase; a restart in place begins another run.
func (j *Job) started(a *Attempt, now Time) {
	if a.terminal() || a.Phase == Running && !a.waiting || a.RestartAt != 0 {
		return // it has ended, has started, or is not to start yet
	}
	if a.waiting {
		a.waiting, a.HasExit = false, false
		a.Restarts++
		j.restarts++
	}
	if a.Phase == Pending {
		a.Phase = Running
		a.StartedAt = now
		j.Pending--
		if j.Spec.AttemptTimeout >= 0 {
			a.timeoutAt = now.Add(j.Spec.AttemptTimeout)
			j.rearm(a)
		}
	}
	a.runAt = now
	j.setReady(a, true, now)
}

func (j *Job) setReady(a *Attempt, ready bool, now Time) {
	if a.Phase != Running || a.waiting || a.Ready == ready {
		return
	}
	a.Ready = ready
	switch {
	case !ready:
		a.readyBefore, a.readyAt = a.readyAt, now
	case a.readyAt == now && a.readyBefore != 0:
		// A restart without a delay: nobody has seen that it was not ready (R162).
		a.readyAt = a.readyBefore
	default:
		a.readyAt = now
	}
	if a.DeletedAt != 0 {
		return
	}
	if ready {
		j.Ready++
	} else {
		j.Ready--
	}
}

// ended takes in that the executor returned.
func (j *Job) ended(a *Attempt, r Result, now Time) {
	if a.terminal() {
		return // the job's end has taken it along
	}
	a.permanent = r.Permanent
	a.errorRule = r.ErrorRule
	switch {
	case a.Phase == Pending && a.DeletedAt != 0:
		j.endIdle(a, now)
	case a.timedOut:
		a.Reason = DeadlineExceeded
		a.ExitCode, a.HasExit = r.Code, true
		j.end(a, Failed, now)
	case r.Code == 0:
		a.ExitCode, a.HasExit = 0, true
		j.end(a, Succeeded, now)
	case j.Spec.OnFailure && a.DeletedAt == 0 && !r.Permanent:
		a.ExitCode, a.HasExit = r.Code, true
		j.awaitRestart(a, now)
	default:
		a.ExitCode, a.HasExit = r.Code, true
		j.end(a, Failed, now)
	}
}

// awaitRestart lets a failed run be followed by another in the same attempt.
func (j *Job) awaitRestart(a *Attempt, now Time) {
	j.setReady(a, false, now)
	j.touch(a)
	a.waiting, a.runEndAt = true, now
	j.noteFailure(a, a.Restarts+1, now)
	if j.Spec.CustomRestartDelay {
		a.RestartAt = Never
		j.out = append(j.out, Action{Kind: NeedRestartDelay, Attempt: a, N: a.Restarts + 1})
		return
	}
	j.restartIn(a, a.kubeletDelay(now), now)
}

// restartIn sets when a waiting attempt runs again, counted from the end of
// its last run; a negative delay means that it does not.
func (j *Job) restartIn(a *Attempt, delay time.Duration, now Time) {
	switch {
	case a.terminal() || !a.waiting:
	case delay < 0:
		j.end(a, Failed, now)
	default:
		a.RestartAt = a.runEndAt.Add(delay)
		j.restarting.Set(a, int64(a.RestartAt))
		j.rearm(a)
	}
}

// restart runs the executor again. The restart counts when it has started.
func (j *Job) restart(a *Attempt, now Time) {
	a.RestartAt = 0
	j.restarting.Remove(a)
	j.start(a, now)
}

// kubeletDelay is the kubelet's back-off: nothing, then 10 s doubling to 300 s,
// beginning anew after a run of more than ten minutes (R191, R192).
func (a *Attempt) kubeletDelay(now Time) time.Duration {
	if a.restartNo > 0 && now-a.runAt > Time(10*time.Minute) {
		a.restartNo = 0
	}
	a.restartNo++
	if a.restartNo == 1 {
		return 0
	}
	return doubling(a.restartNo-1, 300*time.Second)
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
// not need it any more, so that neither a success nor a failure means anything (R163).
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

// disrupt ends an attempt through no fault of its own (R177, R178).
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

// rearm sets when something is next due for a live attempt.
func (j *Job) rearm(a *Attempt) {
	due := Never
	restartAt := a.RestartAt
	if !j.mayRestart(a) {
		restartAt = 0
	}
	for _, t := range [...]Time{a.settleAt, a.graceAt, a.timeoutAt, restartAt} {
		if t != 0 {
			due = min(due, t)
		}
	}
	if due == Never {
		j.wakes.Remove(a)
		return
	}
	j.wakes.Set(a, int64(due))
}

// tick does what is due for single attempts.
func (j *Job) tick(now Time) {
	for a, ok := j.wakes.Pop(int64(now)); ok; a, ok = j.wakes.Pop(int64(now)) {
		j.wakeUp(a, now)
		if !a.terminal() {
			j.rearm(a)
		}
	}
	for a, ok := j.retries.Pop(int64(now)); ok; a, ok = j.retries.Pop(int64(now)) {
		if j.indexes.returned.Contains(a.Index) {
			j.indexes.ready.Add(a.Index)
		}
	}
}

// delays reports whether the retry delay of a retained attempt still runs.
func (j *Job) delays(a *Attempt) bool {
	return a.retryAt == Never || a.wakeRetry != 0
}

func due(t *Time, now Time) bool {
	if *t == 0 || *t > now {
		return false
	}
	*t = 0
	return true
}

func (j *Job) wakeUp(a *Attempt, now Time) {
	j.touch(a)
	if a.settleAt != 0 && a.settleAt <= now {
		j.settled(a)
		if !j.Spec.ReplaceFailed { // otherwise it counts when it has ended (R242)
			j.countFailure(a, now)
			j.freeIndex(a)
		}
	}
	if due(&a.timeoutAt, now) && !a.timedOut {
		j.timeOut(a, now)
	}
	if a.waiting && a.RestartAt != 0 && a.RestartAt <= now && j.mayRestart(a) {
		j.restart(a, now)
	}
	if !a.terminal() && due(&a.graceAt, now) && !a.Abandoned {
		j.abandon(a, now)
	}
}

// timeOut stops an attempt that ran for too long (R231).
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
