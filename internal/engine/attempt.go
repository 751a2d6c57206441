package engine

import (
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
)

// This file is the life of one attempt. It is Pending until its executor has started,
// which is at once unless starts are queued or the executor says when; then Running,
// also while it waits for a restart in place; and ends as Succeeded or Failed. The caller that
// wants it to stop asks it to: it then has its grace period, after which the caller
// gives up on it. It still counts as terminating then, as a goroutine cannot be ended.
// An attempt of which nothing runs ends as soon as it is asked.

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
	// Failures and Ignored are how often the index had failed before.
	Failures, Ignored int
	// Exits is how often in a row the process has ended under an attempt of the
	// same index.
	Exits int
	// Snoozes is how often in a row an attempt of the same index, or run of this one,
	// has ended with a snooze; see Result.Snooze.
	Snoozes int

	State      State
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
	settleAt    Time // when a requested stop begins to count
	graceAt     Time
	timeoutAt   Time
	stallAt     Time // when its latest sign of life is looked for
	retryAt     Time // while retained: when its index may be tried again

	countedAt   Time           // of a counted failure: the end that its retry delay counts from; otherwise 0
	account     account        // how it was counted
	retained    bool           // see Job.retained
	counts      bool           // while retained: towards the limits
	permanent   bool           // see Result.Permanent
	touched     bool           // since the job was saved
	saved       bool           // there is a record of it
	holding     bool           // its index cannot be given to another
	interrupted bool           // by a shutdown
	exited      bool           // its process has ended under it, which is not its failure
	snoozed     bool           // its last run has ended with a snooze, which does not count
	succeeded   bool           // it has ended, with exit code 0
	slot        int32          // its place among the live attempts
	wake        duequeue.Place // in Job.wakes
	wakeRetry   duequeue.Place // in Job.retries
	wakeRestart duequeue.Place // in Job.restarting
	errorRule   int            // see Result.ErrorRule
	retryAfter  time.Duration  // see Result.RetryAfter
	past        *past          // nil unless a run of it has ended, and is followed by another
	next        *Attempt       // in the history
}

// A Run is one run of an attempt's executor.
type Run struct {
	StartedAt Time
	EndedAt   Time `json:",omitzero"` // 0 while it goes on
	ExitCode  int  `json:",omitzero"`
	HasExit   bool `json:",omitzero"`
}

// keptRuns is how many runs of an attempt are kept.
const keptRuns = 20

// A past is what is known of the earlier runs of an attempt.
type past struct {
	delays  int   // restarts since the restart delay began anew
	snoozed int   // restarts that do not count towards the limit
	runs    []Run // the latest, with the present one
}

// keepPast returns the attempt's past, to be added to.
func (a *Attempt) keepPast() *past {
	if a.past == nil {
		a.past = new(past)
	}
	return a.past
}

// Runs returns the latest runs of an attempt that was restarted in place, or waits for
// that, in order. It returns none of another attempt.
func (a *Attempt) Runs() []Run {
	if a.past == nil {
		return nil
	}
	runs := slices.Clone(a.past.runs)
	if n := len(runs); n > 0 && runs[n-1].EndedAt == 0 && a.HasEnded() {
		runs[n-1] = Run{runs[n-1].StartedAt, a.FinishedAt, a.ExitCode, a.HasExit}
	}
	return runs
}

// Deleter is who first asked an attempt to stop.
type Deleter uint8

const (
	NotDeleted          Deleter = iota // not at all
	DeletedByController                // the job does not need it any more
	DeletedByUser                      // AttemptDeleted
	DeletedByEviction                  // Disrupted, by what lets it stop
	DeletedByPodGC                     // Disrupted, with what it ran on
	DeletedByGC                        // along with its job
	DeletedByTimeout                   // it ran for too long and does not stop
)

// A Condition of a job or an attempt.
type Condition struct {
	Type, Status, Reason, Message string
	At                            Time
}

// The words of conditions that the engine itself uses are those of Kubernetes: tools
// and failure policies know them.
const (
	// True is the status of a condition that holds.
	True = "True"
	// False is the status of one that does not hold any more.
	False = "False"
	// DisruptionTarget is the type of the condition of an attempt that something outside
	// of it has ended. A rule of the failure policy may name it.
	DisruptionTarget = "DisruptionTarget"
)

// DeadlineExceeded is the reason of a job, or an attempt, that ran out of time. Of an
// attempt it is set as soon as that is known, and what the executor returns later does
// not change it.
const DeadlineExceeded = "DeadlineExceeded"

// Disruptions that end an attempt at once. Any other is an eviction, which gives the
// attempt its grace period.
const (
	// ByKubelet is the reason of one whose executor was killed with what it ran on.
	ByKubelet = "TerminationByKubelet"
	// ByPodGC is the reason of one of whose executor nothing is known any more.
	ByPodGC = "DeletionByPodGC"
)

// exitKilled is the exit code of a process that was killed: 128 + SIGKILL.
const exitKilled = 137

// account says how an attempt was counted. Each is counted at most once.
type account uint8

const (
	open     account = iota
	counted          // as success or failure, or as a failure that was ignored
	exempted         // never to be counted
)

// IsCompletion reports whether the attempt has succeeded and counts for that: one
// that was stopped for another reason before does not.
func (a *Attempt) IsCompletion() bool {
	return a.succeeded && a.account == counted && a.countedAt == 0
}

// setCondition adds or replaces a condition.
// A condition that an attempt has may not move: conditions are compared in order when
// a rule describes its match.
func (a *Attempt) setCondition(c Condition) {
	a.Conditions = setCondition(a.Conditions, c)
}

// create makes a new attempt, for index i if the job is Indexed.
func (j *Job) create(index, number int, now Time) *Attempt {
	a := j.history.reuse()
	// The record served another attempt before, whose conditions may be in a copy that
	// is looked at: the room is given up, and not written over.
	conditions := a.Conditions[:0:0]
	*a = Attempt{Owner: a.Owner, Conditions: conditions, touched: a.touched}
	a.Seq, a.Index, a.Number = j.created, index, number
	a.CreatedAt = now
	a.holding = index >= 0
	a.errorRule = None
	if index < 0 {
		a.Snoozes = int(j.snoozes)
	}
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
	switch {
	case a.State == StateQueued, a.State == StateStarting:
		a.State = StateRunning
	case a.State == StateStopping && a.StartedAt == 0: // it has started nevertheless
	default:
		return // it has ended, has started, or is not to start yet
	}
	if a.runEndAt != 0 {
		j.countRestart(a, now)
	}
	if a.StartedAt == 0 {
		a.StartedAt = now
		j.Pending--
		// The time that an attempt may take counts from its first run: restarts in place do
		// not give it more, as they do not give a pod more.
		if j.Spec.AttemptTimeout >= 0 {
			a.timeoutAt = now.Add(j.Spec.AttemptTimeout)
			j.rearm(a)
		}
	}
	a.runAt = now
	if j.Spec.ProgressDeadline > 0 && a.State == StateRunning {
		a.stallAt = now.Add(j.Spec.ProgressDeadline)
		j.rearm(a)
	}
	j.setReady(a, true, now)
}

// setReady notes whether the attempt is ready. What is stopping counts as not ready, but
// still knows when it was: the retry delay may count from then.
func (j *Job) setReady(a *Attempt, ready bool, now Time) {
	if a.Ready == ready || a.State != StateRunning && a.State != StateStopping || a.StartedAt == 0 {
		return
	}
	a.Ready = ready
	switch {
	case !ready:
		a.readyBefore, a.readyAt = a.readyAt, now
	case a.readyAt == now && a.readyBefore != 0:
		// A restart without a delay: it was never seen not to be ready.
		a.readyAt = a.readyBefore
	default:
		a.readyAt = now
	}
	if a.State == StateStopping {
		return
	}
	if ready {
		j.Ready++
	} else {
		j.Ready--
	}
}

// ended records that the executor returned.
func (j *Job) ended(a *Attempt, r Result, now Time) {
	if a.HasEnded() {
		return // the job's end has taken it along
	}
	// They are kept because an attempt may be counted later than it ends.
	a.permanent, a.retryAfter = r.Permanent, r.RetryAfter
	a.errorRule = r.ErrorRule
	a.snoozed = j.Snoozes(a, r)
	switch {
	case a.State == StateStopping && a.StartedAt == 0:
		j.endIdle(a, now)
	case a.Reason != "":
		// Its time was up before it returned, whatever it returned.
		a.ExitCode, a.HasExit = r.Code, true
		j.end(a, false, now)
	case r.Code == 0:
		a.ExitCode, a.HasExit = 0, true
		j.end(a, true, now)
	case j.Spec.OnFailure && a.active() && !r.Permanent:
		a.ExitCode, a.HasExit = r.Code, true
		j.awaitRestart(a, now)
	default:
		a.ExitCode, a.HasExit = r.Code, true
		j.end(a, false, now)
	}
}

// rearm sets when something is next due for a live attempt.
func (j *Job) rearm(a *Attempt) {
	due := Never
	restartAt := a.RestartAt
	// Otherwise the timer would fire for something that is not to be done, again and
	// again.
	if !j.mayRestart(a) {
		restartAt = 0
	}
	for _, t := range [...]Time{a.settleAt, a.graceAt, a.timeoutAt, a.stallAt, restartAt} {
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
		if !a.HasEnded() {
			j.rearm(a)
		}
	}
	// No timer is needed for these: reconcile, which follows, finds them ready.
	for a, ok := j.retries.Pop(int64(now)); ok; a, ok = j.retries.Pop(int64(now)) {
		j.indexes.returned.setReady(a.Index, true)
	}
}

// delays reports whether the retry delay of a retained attempt still runs.
func (j *Job) delays(a *Attempt) bool {
	return a.retryAt == Never || a.wakeRetry != 0
}

// due reports whether a time has come, and clears it: it comes once.
func due(t *Time, now Time) bool {
	if *t == 0 || *t > now {
		return false
	}
	*t = 0
	return true
}

// wakeUp does what is due for one attempt. The order is that of the reference where
// several things are due at one instant: a stop counts before the time is up, and an
// attempt whose time is up is not restarted.
func (j *Job) wakeUp(a *Attempt, now Time) {
	j.touch(a)
	if a.settleAt != 0 && a.settleAt <= now {
		j.settled(a)
		// It has had its moment to stop by itself, and its place is to be filled now: that
		// it was asked to stop counts as its failure.
		if !j.Spec.ReplaceFailed {
			j.countFailure(a, now)
			j.freeIndex(a)
		}
	}
	if due(&a.timeoutAt, now) && a.Reason == "" {
		j.timeOut(a, now)
	}
	if due(&a.stallAt, now) && a.State == StateRunning && a.Reason == "" {
		j.emit(NeedSign, a)
	}
	if a.State == StateBackoff && a.RestartAt != 0 && a.RestartAt <= now && j.mayRestart(a) {
		j.restart(a, now)
	}
	if !a.HasEnded() && due(&a.graceAt, now) && !a.Abandoned {
		j.abandon(a, now)
	}
}
