// Package engine decides what a job does next. It is a deterministic state
// machine: time comes in as a value, what is to be done goes out as actions,
// and nothing in it reads a clock, starts a goroutine, does I/O or draws a
// random number. The controller, the replay of recorded answers and the
// simulation all drive this one engine.
//
// What it is to decide is in specification.md, requirement by requirement, each beside
// the tests that hold it.
package engine

import (
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
	"github.com/runtocompletion/batch/internal/indexset"
)

// Time is an instant in nanoseconds since the Unix epoch. Zero is "not set".
type Time int64

// Never is later than any other Time.
const Never Time = 1<<63 - 1

// Add returns the instant d after t.
func (t Time) Add(d time.Duration) Time {
	// Durations come from users and may be as long as the type allows: time must not wrap
	// around into the past.
	if t == Never || Time(d) > Never-t {
		return Never
	}
	return t + Time(d)
}

// settleTime is how long a running attempt that was stopped by others may
// take to do so before the job goes on without it: before it counts as failed for
// having been asked, or, if only ended attempts count, before the job may be
// complete. It stands in for the second that the reference lets pass before it
// looks: an attempt that stops right away is judged by how it ended.
const settleTime = time.Millisecond

// A Job is the state of one job. It is not safe for concurrent use, except
// Lane.Renew.
type Job struct {
	ID   Identity
	Spec *Spec // it does not change: an update brings another one

	CreatedAt  Time
	StartTime  Time // of the first step that was not suspended, of the latest resume, or of the end
	FinishedAt Time // when it became Complete or Failed
	DeletedAt  Time // when the job was asked to go
	Conditions []Condition

	// Pending to Abandoned count live attempts; Succeeded and Failed are what
	// has been counted for good.
	Pending, Active, Ready, Terminating, Abandoned int
	Succeeded, Failed                              int
	Completed, GivenUp                             indexset.Set

	// LastFailure is the latest failure of this run; its At is zero if there was none.
	LastFailure Failure

	live     []*Attempt // not terminal; each knows its slot
	indexes  indexes
	retained map[int]*Attempt // by index: failed, uncounted until replaced
	// unrecorded is how many of the retained count towards the limits.
	unrecorded int
	// restarts is the sum of restart counts over the live attempts.
	restarts int

	retry          retry
	target         *target                  // the decision that the job is to end
	decideAt       Time                     // when that decision falls, while it is settling
	failJob        *target                  // what the first FailJob rule to match wants, or the limit of exits
	exits, snoozes int32                    // in a row, of the process and of attempts, if the job is not Indexed
	wakes          duequeue.Queue[*Attempt] // live attempts, by what is due for them
	retries        duequeue.Queue[*Attempt] // retained attempts, by when their index may be tried again
	// restarting are live attempts by when they are to run again.
	restarting duequeue.Queue[*Attempt]
	created    int64 // attempts so far
	now        Time  // of the latest event
	// steadyUntil is when Renew has to leave things to Ended at the latest.
	steadyUntil Time
	reruns      *reruns // nil in the first run
	// settling counts the attempts that were asked to stop so short a while ago that
	// they may yet be judged by how they end; they are not replaced meanwhile.
	settling int32
	halted   bool // nothing starts any more in this process
	paused   bool // for now, nothing is to start
	gone     bool // it was removed
	awaiting bool // it is to start after other jobs, and not all of them are complete
	// outOfRange is set by an update that may have left active attempts with
	// indexes that no longer exist.
	outOfRange bool

	history history
	events  []EventRecord // about the job
	out     []Action
	tracker *tracker // nil unless the job is saved
}

// A Failure describes the latest failed attempt of a job.
type Failure struct {
	Seq      int64
	Index    int
	Failures int
	ExitCode int // -1: none
	At       Time
}

// A target is the decision that a job has failed or succeeded. The terminal
// condition follows once every attempt has stopped.
type target struct {
	success bool
	reason  string
	message string
}

// New returns a job of that spec, before its first step.
func New(id Identity, spec *Spec) *Job {
	j := &Job{ID: id, Spec: spec}
	j.emptyQueues()
	j.history.limit = spec.History
	// Zero would say that the job is due now.
	j.retry.wake = Never
	return j
}

// emptyQueues makes the queues of what is due empty, and lets go of their room.
func (j *Job) emptyQueues() {
	j.wakes = duequeue.New(func(a *Attempt) *duequeue.Place { return &a.wake })
	j.retries = duequeue.New(func(a *Attempt) *duequeue.Place { return &a.wakeRetry })
	j.restarting = duequeue.New(func(a *Attempt) *duequeue.Place { return &a.wakeRestart })
}

// Step takes one event and returns what is to be done. The slice is valid
// until the next call.
func (j *Job) Step(ev Event) []Action {
	if ev.Kind == Ended {
		return j.Ended(ev.Attempt, ev.Result, ev.At)
	}
	ev.At = j.advance(ev.At)
	j.begin()
	// Whatever happens to an attempt may change what is stored of it.
	if ev.Attempt != nil {
		j.touch(ev.Attempt)
		j.takeOfAttempt(ev)
	} else {
		j.take(ev)
	}
	return j.conclude(ev.At)
}

// takeOfAttempt applies what happened to one attempt.
func (j *Job) takeOfAttempt(ev Event) {
	switch ev.Kind {
	case Started:
		j.started(ev.Attempt, ev.At)
	case ReadyChanged:
		j.setReady(ev.Attempt, ev.Ready, ev.At)
	case ConditionSet:
		ev.Attempt.setCondition(ev.Cond)
	case AttemptDeleted:
		j.askToStop(ev.Attempt, DeletedByUser, CauseDeleted, ev.At)
	case Disrupted:
		j.disrupt(ev.Attempt, ev.Reason, ev.At)
	case RestartDelayKnown:
		j.restartIn(ev.Attempt, ev.Delay, ev.At)
	case SignKnown:
		j.signKnown(ev.Attempt, ev.Last, ev.At)
	}
}

// take applies what happened to the job as a whole. A Tick is nothing by itself: what
// is due is done after every event.
func (j *Job) take(ev Event) {
	switch ev.Kind {
	case Created:
		j.CreatedAt, j.paused, j.awaiting = ev.At, ev.Pause, ev.Await
		if ev.Await {
			j.addEvent(EventRecord{At: ev.At, Reason: "Waiting", Message: ev.Reason})
		}
	case DelayKnown:
		j.delayKnown(ev.Index, ev.N, ev.Delay)
	case Updated:
		j.update(ev.Spec, ev.At)
	case Deleted:
		j.delete(ev)
	case Halted:
		j.halted = true
	case Interrupted:
		j.halted = true
		j.interrupt(ev)
	case Paused:
		j.pause(ev.Pause, ev.At)
	case Recovered:
		j.awaiting = ev.Await
		j.recover(ev.At)
	case Cancelled:
		j.cancel(ev.Reason, ev.Indexes, ev.At)
	case Rerun:
		j.runAgain(ev)
	case DependenciesMet:
		j.awaiting = false
	case DependencyFailed:
		j.failDependency(ev.Reason)
	case Reported:
		j.report(ev.Report, ev.At)
	}
}

// Ended is Step for an event of that kind. It is a function of its own because
// it is called for every attempt: an Event costs more to pass than to handle.
func (j *Job) Ended(a *Attempt, r Result, now Time) []Action {
	if a.HasEnded() || a.State == StateBackoff {
		return nil // it was lost before and has been counted, or this run has ended already
	}
	now = j.advance(now)
	j.begin()
	// Only then: to look at all that is due costs more than most attempts.
	if j.Due() <= now {
		j.actBefore(a, now)
	}
	j.ended(a, r, now)
	return j.conclude(now)
}

// actBefore does what is due before an attempt ends. An executor that returns at the
// instant of its deadline has not met it, however the caller's timer and executor
// race for the job.
func (j *Job) actBefore(a *Attempt, now Time) {
	j.tick(now)
	j.reconcile(now)
	j.out = slices.DeleteFunc(j.out, func(act Action) bool {
		return act.Attempt == a && (act.Kind == Stop || act.Kind == Abandon) // it has returned
	})
}

// advance makes sure that time does not run backwards: callers that race for the
// job's lock may have looked at the clock in another order.
func (j *Job) advance(now Time) Time {
	j.now = max(j.now, now)
	return j.now
}

// conclude does what is due, and what the event has made necessary.
func (j *Job) conclude(now Time) []Action {
	// Most jobs never wait for anything: they do not pay for the queues.
	if j.wakes.Len()+j.retries.Len() > 0 {
		j.tick(now)
	}
	deciding := j.decideAt != 0
	j.reconcile(now)
	if deciding && j.decideAt == 0 && !j.startsNothing() && first(&j.restarting) <= now {
		j.restartHeldBack(now)
		j.reconcile(now)
	}
	j.steadyUntil = j.steady()
	return j.out
}

// Due is when the job is to be given a Tick, or [Never].
func (j *Job) Due() Time {
	due := first(&j.wakes)
	// Attempts of a job that was removed still have their grace periods.
	if j.gone {
		return due
	}
	if j.FinishedAt != 0 {
		if j.Spec.TTL >= 0 {
			due = min(due, j.FinishedAt.Add(j.Spec.TTL))
		}
		return due
	}
	// A decided job has nothing to wait for but its attempts. Their times are in wakes.
	if j.target != nil || j.Spec.Unmanaged {
		return due
	}
	if j.decideAt != 0 {
		return min(due, j.decideAt) // nothing else is looked at until then
	}
	if j.StartTime != 0 && !j.Spec.Suspend && j.Spec.ActiveDeadline >= 0 {
		due = min(due, j.StartTime.Add(j.Spec.ActiveDeadline))
	}
	// The end of the job's delay counts only if something waits for it, which wake says.
	return min(due, j.retry.wake, first(&j.retries))
}

// first is when something in a queue is due, or Never.
func first(q *duequeue.Queue[*Attempt]) Time {
	if due, ok := q.First(); ok {
		return Time(due)
	}
	return Never
}

// NextRetry is when the next attempt may start, or restart, that a delay holds
// back, or zero if none is held back.
func (j *Job) NextRetry() Time {
	if j.FinishedAt != 0 || j.gone || j.startsNothing() || j.Spec.Suspend {
		return 0
	}
	next := min(j.retry.wake, first(&j.retries), first(&j.restarting))
	// Its delay has been requested and is not known yet.
	if next == Never {
		return 0
	}
	return next
}

// Latest is the time of the latest event.
func (j *Job) Latest() Time { return j.now }

// IsHalted reports whether the job will not go on although it has not finished.
func (j *Job) IsHalted() bool { return j.halted && j.FinishedAt == 0 }

// startsNothing reports whether nothing is to start.
func (j *Job) startsNothing() bool { return j.halted || j.paused }

// mayRestart reports whether an attempt may run again. While a decision that ends the
// job settles, one that has run again since may not: without a delay it could run
// hundreds of times until then.
func (j *Job) mayRestart(a *Attempt) bool {
	return !j.startsNothing() && (j.decideAt == 0 || a.runAt.Add(settleTime) < j.decideAt)
}

// IsGone reports whether the job was removed; attempts may still be live.
func (j *Job) IsGone() bool { return j.gone }

// Live returns the attempts that have not ended, in no order. The slice is the
// job's own.
func (j *Job) Live() []*Attempt { return j.live }

// emit asks the caller to do something.
func (j *Job) emit(kind ActionKind, a *Attempt) {
	j.out = append(j.out, Action{Kind: kind, Attempt: a})
}
