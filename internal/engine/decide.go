package engine

import (
	"cmp"
	"fmt"
	"slices"
)

// The words of a job's conditions (section 19).
const (
	Suspended          = "Suspended"
	FailureTarget      = "FailureTarget"
	SuccessCriteriaMet = "SuccessCriteriaMet"
	JobFailed          = "Failed"
	JobComplete        = "Complete"

	reasonPodFailurePolicy = "PodFailurePolicy"
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

// reconcile brings the job to where its spec and state want it: the pass of
// the reference, in the order of R141.
func (j *Job) reconcile(now Time) {
	if j.gone {
		return
	}
	if j.FinishedAt != 0 {
		j.expire(now)
		return
	}
	if j.Spec.Unmanaged {
		j.removeWhenEmpty()
		return
	}
	if j.StartTime == 0 && !j.Spec.Suspend && !j.halted {
		j.StartTime = now
	}
	if j.target == nil && !j.deciding(now) {
		j.manage(now)
		if j.complete() {
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
		j.target = t
	case j.decideAt == 0:
		j.settleUntil(now.Add(settleTime))
	}
	return true
}

// settleUntil sets when the decision falls, or zero if there is none any more.
func (j *Job) settleUntil(t Time) {
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
// Failure is looked for first (R142).
func (j *Job) decide(now Time) *target {
	s := &j.Spec
	switch {
	case j.failJob != nil:
		return j.failJob
	case j.exhausted, j.Failed+j.unrecorded > s.BackoffLimit, s.OnFailure && j.restartsExceeded():
		return &backoffLimitExceeded
	case s.ActiveDeadline >= 0 && !s.Suspend && j.StartTime != 0 && now >= j.StartTime.Add(s.ActiveDeadline):
		return &deadlineExceeded
	}
	if s.perIndex() {
		if failed := j.GivenUp.Len(); s.MaxFailedIndexes >= 0 && failed > s.MaxFailedIndexes {
			return &maxFailedIndexesExceeded
		} else if failed > 0 && failed+j.Succeeded >= s.Completions {
			return &failedIndexes
		}
	}
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
// is one too many (R173).
func (j *Job) restartsExceeded() bool {
	return j.restarts > 0 && j.restarts >= j.Spec.BackoffLimit
}

// failJobTarget gives the message of R204 or R205.
func (j *Job) failJobTarget(a *Attempt, rule int) *target {
	pod := j.Spec.Namespace + "/" + j.ID.Name(a.Seq, a.Index)
	message := fmt.Sprintf("Pod %s failed with a permanent error", pod)
	if rule != None {
		message = j.Spec.FailureRules[rule].describe(a, j.Spec.Container, pod, rule)
	}
	return &target{reason: reasonPodFailurePolicy, message: message}
}

func (r *FailureRule) describe(a *Attempt, container, pod string, rule int) string {
	if r.matchesCode(a) {
		return fmt.Sprintf("Container %s for pod %s failed with exit code %d matching FailJob rule at index %d",
			container, pod, a.ExitCode, rule)
	}
	for _, c := range a.Conditions {
		if r.matchesCondition(&Attempt{Conditions: []Condition{c}}) {
			return fmt.Sprintf("Pod %s has condition %s matching FailJob rule at index %d", pod, c.Type, rule)
		}
	}
	return fmt.Sprintf("Pod %s failed with an error matching FailJob rule at index %d", pod, rule)
}

// complete reports whether the job has all the successes that it needs, and nothing
// runs any more: one for a work queue, one for each index of an Indexed job (R146 to
// R148). An attempt that was just asked to stop may still change that.
func (j *Job) complete() bool {
	if j.Active > 0 || j.settling > 0 {
		return false
	}
	if j.Spec.Completions == None {
		return j.Succeeded > 0
	}
	return j.Succeeded >= j.Spec.Completions
}

// manage stops what is too much and starts what is missing (section 10). It
// stops first and then starts, as two passes of the reference would (R161).
func (j *Job) manage(now Time) {
	j.retry.wake = Never
	if j.DeletedAt != 0 {
		return
	}
	if j.Spec.Suspend {
		j.stopAll(DeletedByController, CauseSuspended, now)
		return
	}
	if j.outOfRange {
		j.outOfRange = false
		j.stopOutOfRange(now)
	}
	wanted := j.wanted()
	if j.Active > wanted {
		j.stopSome(j.Active-wanted, now)
	}
	missing := wanted - j.Active - j.settling
	if j.Spec.ReplaceFailed {
		missing = wanted - j.Active - j.Terminating // those that settle among them
	}
	if missing > 0 && !j.startsNothing() {
		j.startSome(missing, now)
	}
}

// wanted is how many attempts are to be active: no more than are missing. A work queue
// knows only at its first success that nothing is missing; what runs then is to end by
// itself, so that nothing is started and nothing stopped (R157).
func (j *Job) wanted() int {
	if j.Spec.Completions != None {
		return min(j.Spec.Parallelism, max(0, j.Spec.Completions-j.Succeeded))
	}
	if j.Succeeded > 0 {
		return j.Active
	}
	return j.Spec.Parallelism
}

func (j *Job) startSome(n int, now Time) {
	if !j.Spec.perIndex() && j.retry.delayed(now) {
		j.retry.wake = j.retry.until
		return
	}
	if !j.Spec.Indexed {
		for range n {
			j.create(None, int(j.created), now)
		}
		return
	}
	for started := range n {
		i, ok := j.indexes.candidate(n, started, j.Spec.Completions)
		if !ok {
			return
		}
		j.createIndex(i, now)
	}
}

// createIndex starts an attempt of an index, which takes over the counts of
// the failed one before it (R211).
func (j *Job) createIndex(i int, now Time) {
	a := j.create(i, j.indexes.take(i), now)
	if f, ok := j.indexes.failures[i]; ok {
		a.Failures, a.Ignored, a.Exits = f.Counted, f.Ignored, f.Exits
		delete(j.indexes.failures, i)
	}
	if len(j.retained) == 0 {
		return
	}
	if old := j.retained[i]; old != nil {
		a.Number = max(a.Number, old.Number+1)
		j.indexes.highest = max(j.indexes.highest, a.Number)
		a.Failures, a.Ignored, a.Exits = old.Failures, old.Ignored, old.exitsAfter()
		if old.counts {
			a.Failures++
		} else {
			a.Ignored++
		}
		j.record(old)
	}
}

// stopAll stops every active attempt, uncounted (R163).
func (j *Job) stopAll(by Deleter, why Cause, now Time) {
	for i := len(j.live) - 1; i >= 0 && j.Active > 0; i-- {
		j.stopUncounted(j.live[i], by, why, now)
	}
}

// interrupt stops what runs, and with it what waits to run, unless that is to be
// kept for another process.
func (j *Job) interrupt(ev Event) {
	for i := len(j.live) - 1; i >= 0; i-- {
		if a := j.live[i]; !ev.Keep || !j.idle(a) {
			if ev.Keep && a.active() {
				a.interrupted = true
				if a.holding {
					j.indexes.keepFailures(a)
				}
			}
			j.stopUncounted(a, DeletedByController, CauseShutdown, ev.At)
		}
	}
}

func (j *Job) stopOutOfRange(now Time) {
	for i := len(j.live) - 1; i >= 0; i-- {
		if a := j.live[i]; !j.inRange(a) {
			j.stopUncounted(a, DeletedByController, CauseScaledDown, now)
		}
	}
}

func (j *Job) stopUncounted(a *Attempt, by Deleter, why Cause, now Time) {
	if !a.active() {
		return
	}
	j.exempt(a)
	j.askToStop(a, by, why, now)
	j.freeIndex(a)
}

// stopSome stops the n active attempts that R162 ranks lowest.
func (j *Job) stopSome(n int, now Time) {
	var active []*Attempt
	for _, a := range j.live {
		if a.active() {
			active = append(active, a)
		}
	}
	slices.SortFunc(active, compareForRemoval)
	for _, a := range active[:n] {
		j.stopUncounted(a, DeletedByController, CauseScaledDown, now)
	}
}

// compareForRemoval orders attempts by R162, first to go first.
func compareForRemoval(a, b *Attempt) int {
	return cmp.Or(
		cmp.Compare(a.Phase, b.Phase),
		compareBool(a.Ready, b.Ready),
		compareReadyTime(a, b),
		-cmp.Compare(a.Restarts, b.Restarts),
		-cmp.Compare(a.CreatedAt, b.CreatedAt),
		cmp.Compare(a.Seq, b.Seq),
	)
}

// compareReadyTime puts those first that have been ready for a shorter time.
func compareReadyTime(a, b *Attempt) int {
	if !a.Ready || !b.Ready {
		return 0
	}
	return cmp.Compare(b.readyAt, a.readyAt)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// pursue ends the job: every attempt is stopped, and when all have ended the
// terminal condition follows (R255, R257, R258). What is done once is in functions
// of its own: a million attempts that end at once have a goroutine each, and if
// this took more than the smallest stack, each would be moved to a larger one,
// which takes as long as all the rest.
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
// can have finished (R282). The exception is one that has nothing to do.
func (j *Job) mayFinish() bool {
	return j.StartTime != 0 || j.Spec.Suspend && j.Spec.Completions == 0
}

func (j *Job) finish(condition string, now Time) {
	j.FinishedAt = now
	j.addTarget(condition, now)
	j.addEndEvents(now)
	j.emit(Finished, nil)
	j.expire(now)
}

// addTarget adds a condition with what was decided.
func (j *Job) addTarget(condition string, now Time) {
	j.Conditions = append(j.Conditions, Condition{condition, True, j.target.reason, j.target.message, now})
}

// endAttempts counts and stops what is left when the job is decided, and adds the
// condition that says so. When it failed, every attempt that has not ended has
// failed (R170), unless a rule ignores it (R209); when it succeeded, none is
// counted (R224).
func (j *Job) endAttempts(condition string, now Time) {
	j.addTarget(condition, now)
	j.recordAll()
	for i := len(j.live) - 1; i >= 0; i-- {
		a := j.live[i]
		if a.account == open {
			j.countUnfinished(a)
		}
		if a.active() {
			j.askToStop(a, DeletedByController, CauseFinished, now)
		}
	}
}

func (j *Job) countUnfinished(a *Attempt) {
	j.touch(a)
	rule := j.Spec.match(a)
	ignored := rule != None && j.Spec.FailureRules[rule].Action == Ignore
	if !j.target.success && !ignored && j.inRange(a) {
		j.Failed++
	}
	a.account = exempted
	j.settled(a)
}

func (j *Job) has(condition string) bool {
	for i := range j.Conditions {
		if c := &j.Conditions[i]; c.Type == condition && c.Status == True {
			return true
		}
	}
	return false
}

// markSuspended keeps the condition Suspended, and with it the start time
// (R232 to R236).
func (j *Job) markSuspended(now Time) {
	switch suspended := j.has(Suspended); {
	case j.Spec.Suspend && !suspended:
		j.StartTime = 0
		j.setSuspended(Condition{Suspended, True, "JobSuspended", "Job suspended", now}, "Suspended")
	case !j.Spec.Suspend && suspended:
		j.StartTime = now
		j.setSuspended(Condition{Suspended, False, "JobResumed", "Job resumed", now}, "Resumed")
	}
}

func (j *Job) setSuspended(c Condition, event string) {
	j.Conditions = setCondition(j.Conditions, c)
	j.addEvent(EventRecord{At: c.At, Reason: event, Message: c.Message})
}

// setCondition replaces the condition of c's type, or appends it (R256).
func setCondition(list []Condition, c Condition) []Condition {
	for i := range list {
		if list[i].Type == c.Type {
			if list[i].Status == c.Status {
				c.At = list[i].At
			}
			list[i] = c
			return list
		}
	}
	return append(list, c)
}

// update takes in a changed spec.
func (j *Job) update(spec Spec, now Time) {
	old := j.Spec
	j.Spec = spec
	j.history.trim(spec.History)
	if j.FinishedAt != 0 {
		return // nothing but the TTL acts on a finished job (R262)
	}
	if spec.Indexed && spec.Completions != old.Completions {
		j.outOfRange = spec.Completions < old.Completions
		j.resize(old.Completions, spec.Completions)
	}
	switch {
	case j.target != nil: // every attempt has been counted
	case spec.ReplaceFailed == old.ReplaceFailed:
	case spec.ReplaceFailed:
		j.holdAgain()
	default:
		j.replaceTerminating(now)
	}
}

// replaceTerminating follows a change of the replacement policy to
// TerminatingOrFailed: what is stopping has failed (R134).
func (j *Job) replaceTerminating(now Time) {
	for _, a := range j.live {
		if !a.terminating() {
			continue
		}
		j.settled(a)
		if a.account == open {
			j.countFailure(a, now)
		}
		j.freeIndex(a)
	}
}

// delete removes the job, at once or when its attempts have ended (R289, R290). A
// job that is removed at once with all it has leaves no time to count what was
// retained (R213).
func (j *Job) delete(ev Event) {
	if j.DeletedAt == 0 {
		j.DeletedAt = ev.At
	}
	if ev.Orphan || ev.Linger {
		j.recordAll()
	} else {
		j.forgetAll()
	}
	for i := len(j.live) - 1; i >= 0; i-- {
		a := j.live[i]
		if !ev.Orphan {
			j.stopUncounted(a, DeletedByGC, CauseDeleted, ev.At)
		}
		j.exempt(a)
	}
	if !ev.Linger {
		j.remove()
	}
}

// expire removes a finished job whose time to live is over (R291).
func (j *Job) expire(now Time) {
	if j.DeletedAt != 0 || j.Spec.TTL >= 0 && now >= j.FinishedAt.Add(j.Spec.TTL) {
		j.remove()
	}
}

// removeWhenEmpty removes a deleted job that has waited for its attempts to end.
func (j *Job) removeWhenEmpty() {
	if j.DeletedAt != 0 && len(j.live) == 0 {
		j.remove()
	}
}

// remove makes the job gone. Attempts of an orphaned one may still be live.
func (j *Job) remove() {
	if !j.gone {
		j.gone = true
		j.emit(Gone, nil)
	}
}
