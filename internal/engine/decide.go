package engine

import (
	"fmt"
)

// This file decides, after each event, what the job is to do about it. The order in
// which it looks is that of the reference, and part of the answer: whether the job
// has failed comes before whether it has succeeded, and only if neither, attempts are
// stopped and started. A decision falls a moment after it is made, because the
// reference looks only now and then: attempts that end within that moment still count
// as they ended. Once it has fallen nothing can change it; the job has finished when
// all attempts have stopped.

// The types of a job's conditions. A job that has ended has two of them: one since its
// end was decided, the other since nothing of it runs any more.
const (
	// Suspended is True while nothing is to run, and False once the job was resumed.
	Suspended = "Suspended"
	// FailureTarget says that the job has failed, and that its attempts are stopping.
	FailureTarget = "FailureTarget"
	// SuccessCriteriaMet says that the job has succeeded, and likewise.
	SuccessCriteriaMet = "SuccessCriteriaMet"
	// JobFailed is final: the job has failed and nothing of it runs.
	JobFailed = "Failed"
	// JobComplete is final: the job has succeeded and nothing of it runs.
	JobComplete = "Complete"

	// reasonPodFailurePolicy is that of a job that a rule or a permanent error ended.
	reasonPodFailurePolicy = "PodFailurePolicy"
	// reasonDependencyFailed is that of a job that was to start after one that has failed.
	reasonDependencyFailed = "DependencyFailed"
)

var (
	backoffLimitExceeded = target{reason: "BackoffLimitExceeded",
		message: "Job has reached the specified backoff limit"}
	deadlineExceeded = target{reason: DeadlineExceeded,
		message: "Job was active longer than specified deadline"}
	maxFailedIndexesExceeded = target{reason: "MaxFailedIndexesExceeded",
		message: "Job has exceeded the specified maximal number of failed indexes"}
	failedIndexes = target{reason: "FailedIndexes",
		message: "Job has failed indexes"}
	completionsReached = target{success: true, reason: "CompletionsReached",
		message: "Reached expected number of succeeded pods"}
)

// reconcile brings the job to where its spec and state want it: a pass of the
// reference, in its order.
func (j *Job) reconcile(now Time) {
	if j.gone {
		return
	}
	// Nothing but its removal is left to do for a finished job: not even an update of its
	// spec is looked at.
	if j.FinishedAt != 0 {
		j.expire(now)
		return
	}
	// Its conditions, counters and attempts are those of another controller, which would
	// be contradicted here.
	if j.Spec.Unmanaged {
		j.removeWhenEmpty()
		return
	}
	// A process that is shutting down starts no job: its start time is that of the process
	// which starts it.
	if j.StartTime == 0 && !j.Spec.Suspend && !j.halted && !j.awaiting {
		j.StartTime = now
	}
	if j.target == nil && !j.deciding(now) {
		// Attempts before the end: a job whose last attempt has ended may be complete only
		// if none was started in its place.
		j.manage(now)
		if !j.awaiting && j.complete() {
			j.target = &completionsReached
		} else if j.DeletedAt == 0 {
			j.markSuspended(now)
		}
	}
	if j.target != nil {
		j.pursue(now)
	}
	j.removeWhenEmpty()
}

// deciding reports whether the job is about to end. Attempts that end within
// settleTime of what decides it still count as they ended, and are not stopped.
func (j *Job) deciding(now Time) bool {
	t := j.decide(now)
	switch {
	case t == nil:
		j.settleUntil(0)
		return false
	case len(j.live) == 0, t == &deadlineExceeded, j.decideAt != 0 && now >= j.decideAt:
		// There is nothing to wait for if nothing runs. The deadline is an instant that is
		// known ahead: what ends after it is late.
		j.target = t
	case j.decideAt == 0:
		j.settleUntil(now.Add(settleTime))
	}
	return true
}

// settleUntil sets when the decision falls, or zero if there is none any more.
func (j *Job) settleUntil(t Time) {
	// Restarts wait while a decision settles (see mayRestart), so their times have to be
	// looked at anew whenever that begins or ends.
	changed := (j.decideAt == 0) != (t == 0)
	j.decideAt = t
	if !changed || j.restarting.Len() == 0 {
		return
	}
	for _, a := range j.live {
		if a.wakeRestart != 0 {
			j.rearm(a)
		}
	}
}

// decide finds out whether the job has failed, or met its success policy.
// Failure is looked for first.
func (j *Job) decide(now Time) *target {
	s := j.Spec
	switch {
	case j.failJob != nil:
		return j.failJob
	case j.Failed+j.unrecorded > s.BackoffLimit, s.OnFailure && j.restartsExceeded():
		return &backoffLimitExceeded
	case s.ActiveDeadline >= 0 && !s.Suspend && j.StartTime != 0 && now >= j.StartTime.Add(s.ActiveDeadline):
		// A suspended job does not age: its start time is set anew when it is resumed.
		return &deadlineExceeded
	}
	if s.Indexed {
		// Failed indexes end the job only when no other can still succeed, unless there is a
		// limit for them: the rest of the work is worth doing. Without a limit per index
		// they are those that were cancelled.
		if failed := j.GivenUp.Len(); s.MaxFailedIndexes >= 0 && failed > s.MaxFailedIndexes {
			return &maxFailedIndexesExceeded
		} else if failed > 0 && failed+j.Succeeded >= s.Completions {
			return &failedIndexes
		}
	}
	// This is the path of every job without a policy, at every step.
	if len(s.SuccessRules) == 0 {
		return nil
	}
	if rule := j.successRule(); rule != None {
		return &target{success: true, reason: "SuccessPolicy", message: fmt.Sprintf("Matched rules at index %d", rule)}
	}
	return nil
}

// restartsExceeded reports whether the restarts in place of the live attempts together
// have reached the limit. The limits 0 and 1 behave alike: with both the first restart
// is one too many.
func (j *Job) restartsExceeded() bool {
	return j.restarts > 0 && j.restarts >= j.Spec.BackoffLimit
}

// failJobTarget says which attempt fails the job, and why.
func (j *Job) failJobTarget(a *Attempt, rule int) *target {
	pod := j.Spec.Namespace + "/" + j.ID.Name(a.Seq, a.Index)
	message := fmt.Sprintf("Pod %s failed with a permanent error", pod)
	if rule != None {
		message = j.Spec.FailureRules[rule].describe(a, j.Spec.Container, pod, rule)
	}
	return &target{reason: reasonPodFailurePolicy, message: message}
}

// failDependency fails a job that waits for another one which never will be complete. It
// has had no attempts.
func (j *Job) failDependency(message string) {
	if j.awaiting {
		j.awaiting = false
		j.failJob = &target{reason: reasonDependencyFailed, message: message}
	}
}

// describe says why the rule matched, letter by letter as the reference does.
// The condition that is named is the first of the attempt that matches.
func (r *FailureRule) describe(a *Attempt, container, pod string, rule int) string {
	if r.matchesCode(a) {
		return fmt.Sprintf("Container %s for pod %s failed with exit code %d matching FailJob rule at index %d",
			container, pod, a.ExitCode, rule)
	}
	// The message names one condition, though several may match.
	for _, c := range a.Conditions {
		if r.matchesCondition(&Attempt{Conditions: []Condition{c}}) {
			return fmt.Sprintf("Pod %s has condition %s matching FailJob rule at index %d", pod, c.Type, rule)
		}
	}
	return fmt.Sprintf("Pod %s failed with an error matching FailJob rule at index %d", pod, rule)
}

// complete reports whether the job has all the successes that it needs, and nothing
// runs any more: one for a work queue, one for each index of an Indexed job. An
// attempt that was just asked to stop may still change that.
func (j *Job) complete() bool {
	if j.Active > 0 || j.settling > 0 {
		return false
	}
	// A work queue is empty when an attempt has found it so; the others then find out by
	// themselves.
	if j.Spec.Completions == None {
		return j.Succeeded > 0
	}
	return j.Succeeded >= j.Spec.Completions
}

// pursue ends the job: every attempt is stopped, and when all have ended the
// terminal condition follows. What is done once is in functions of its own: a
// million attempts that end at once have a goroutine each, and if this took
// more than the smallest stack, each would be moved to a larger one, which
// takes as long as all the rest.
func (j *Job) pursue(now Time) {
	interim, final := FailureTarget, JobFailed
	if j.target.success {
		interim, final = SuccessCriteriaMet, JobComplete
	}
	if !j.has(interim) {
		j.endAttempts(interim, now)
	}
	if j.Active+j.Terminating == 0 && j.DeletedAt == 0 && j.mayFinish() {
		j.finish(final, now)
	}
}

// mayFinish reports whether the terminal condition may follow: a job that is decided
// while it is suspended waits until it is resumed, as only a job with a start time
// can have finished. The exceptions are one that has nothing to do, and one that was
// cancelled: a job that is cancelled is not to be resumed.
func (j *Job) mayFinish() bool {
	return j.StartTime != 0 || j.isCancelled() || j.Spec.Suspend && j.Spec.Completions == 0
}

// finish adds the terminal condition, after which nothing changes any more.
func (j *Job) finish(condition string, now Time) {
	j.FinishedAt = now
	j.indexes.dropNumbers() // nothing is tried any more
	j.indexes.failures = nil
	j.addTarget(condition, now)
	j.addEndEvents(now)
	j.emit(Finished, nil)
	j.expire(now)
}

// addTarget adds a condition with what was decided.
func (j *Job) addTarget(condition string, now Time) {
	// The same reason and message stand in both conditions, the interim and the final one:
	// users look at either.
	j.Conditions = append(j.Conditions, Condition{condition, True, j.target.reason, j.target.message, now})
}

// endAttempts counts and stops what is left when the job is decided, and adds the
// condition that says so. When it failed, every attempt that has not ended has
// failed, unless a rule ignores it; when it succeeded, none is counted.
func (j *Job) endAttempts(condition string, now Time) {
	j.addTarget(condition, now)
	cause := CauseFinished
	if j.isCancelled() {
		cause = CauseCancelled
	}
	// From here on nothing is tried again, so that nothing is left to take over the counts
	// of what was retained.
	j.recordAll()
	// From the end, as an attempt that ends at once leaves its place to the last one.
	for i := len(j.live) - 1; i >= 0; i-- {
		a := j.live[i]
		if a.account == open {
			j.countUnfinished(a)
		}
		if a.active() {
			j.askToStop(a, DeletedByController, cause, now)
		}
	}
}

// countUnfinished decides what an attempt counts for that has not ended when the job is
// decided: it is never looked at again, also if it then succeeds.
func (j *Job) countUnfinished(a *Attempt) {
	j.touch(a)
	// Its exit is not known yet. A rule about codes cannot match, one about conditions can.
	rule := j.Spec.match(a)
	ignored := rule != None && j.Spec.FailureRules[rule].Action == Ignore
	if !j.target.success && !ignored && j.inRange(a) {
		j.Failed++
	}
	a.account = exempted
	j.settled(a)
}

// has reports whether the job has a condition that is true.
func (j *Job) has(condition string) bool {
	for i := range j.Conditions {
		if c := &j.Conditions[i]; c.Type == condition && c.Status == True {
			return true
		}
	}
	return false
}

// markSuspended keeps the condition Suspended, and with it the start time.
func (j *Job) markSuspended(now Time) {
	switch suspended := j.has(Suspended); {
	case j.Spec.Suspend && !suspended:
		// The start time goes, so that the deadline counts from the resume.
		j.StartTime = 0
		j.setSuspended(Condition{Suspended, True, "JobSuspended", "Job suspended", now}, "Suspended")
	case !j.Spec.Suspend && suspended:
		if !j.awaiting {
			j.StartTime = now
		}
		j.setSuspended(Condition{Suspended, False, "JobResumed", "Job resumed", now}, "Resumed")
	}
}

// setSuspended sets the condition and records the event that goes with it.
func (j *Job) setSuspended(c Condition, event string) {
	j.Conditions = setCondition(j.Conditions, c)
	j.addEvent(EventRecord{At: c.At, Reason: event, Message: c.Message})
}

// setCondition replaces the condition of c's type, or appends it.
func setCondition(list []Condition, c Condition) []Condition {
	for i := range list {
		if list[i].Type == c.Type {
			// The time of a condition is when its status last changed, as everywhere in
			// Kubernetes: a new reason does not move it.
			if list[i].Status == c.Status {
				c.At = list[i].At
			}
			list[i] = c
			return list
		}
	}
	return append(list, c)
}
