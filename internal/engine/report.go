package engine

import (
	"slices"

	"github.com/runtocompletion/batch/internal/indexset"
)

// A job that another controller manages has no attempts of this engine: what becomes of
// it is reported. The engine keeps it, and ends and removes the job as any other. What a
// report may say follows from the one before: see CheckReport.

// A Report is the status of a job as its manager knows it.
type Report struct {
	StartTime, CompletionTime           Time // CompletionTime: of a job that is Complete
	Conditions                          []Condition
	Active, Pending, Ready, Terminating int
	Succeeded, Failed                   int
	Completed                           indexset.Set
	GivenUp                             *indexset.Set // nil: the job has no failed indexes to speak of
	LastFailure                         Failure
}

// report takes in what the manager knows.
func (j *Job) report(r *Report, now Time) {
	if r == nil || !j.Spec.Unmanaged || j.gone {
		return
	}
	j.StartTime = r.StartTime
	j.Active, j.Pending, j.Ready, j.Terminating = r.Active, r.Pending, r.Ready, r.Terminating
	j.Succeeded, j.Failed, j.LastFailure = r.Succeeded, r.Failed, r.LastFailure
	j.Completed, j.GivenUp = r.Completed, indexset.Set{}
	if r.GivenUp != nil {
		j.GivenUp = *r.GivenUp
	}
	j.Conditions = endLast(r.Conditions)
	if j.FinishedAt != 0 || !j.has(JobComplete) && !j.has(JobFailed) {
		return
	}
	last := &j.Conditions[len(j.Conditions)-1]
	if last.At == 0 {
		last.At = now
	}
	j.FinishedAt = last.At
	if r.CompletionTime != 0 {
		j.FinishedAt = r.CompletionTime
	}
	j.emit(Finished, nil)
}

// Reports reports whether the job is as a report says.
func (j *Job) Reports(r *Report) bool {
	givenUp := indexset.Set{}
	if r.GivenUp != nil {
		givenUp = *r.GivenUp
	}
	return j.StartTime == r.StartTime && j.completionTime() == r.CompletionTime &&
		[...]int{j.Active, j.Pending, j.Ready, j.Terminating, j.Succeeded, j.Failed} ==
			[...]int{r.Active, r.Pending, r.Ready, r.Terminating, r.Succeeded, r.Failed} &&
		j.Completed.Equal(r.Completed) && j.GivenUp.Equal(givenUp) && slices.Equal(j.Conditions, endLast(r.Conditions))
}

// HasEvents reports whether these are the events of the job.
func (j *Job) HasEvents(events []EventRecord) bool {
	return slices.Equal(j.events, events[max(0, len(events)-keptReported):])
}

// keptReported is how many events are kept that a manager has reported.
const keptReported = toldAttemptEvents + keptJobEvents

// endLast puts the final condition at the end, where those look who ask how a job has
// ended.
func endLast(conditions []Condition) []Condition {
	list := slices.Clone(conditions)
	slices.SortStableFunc(list, func(a, b Condition) int { return compareBool(isFinal(a.Type), isFinal(b.Type)) })
	return list
}

// SetEvents replaces the events of a job that another controller manages.
func (j *Job) SetEvents(events []EventRecord) {
	j.events = slices.Clone(events[max(0, len(events)-keptReported):])
	if j.tracker != nil {
		j.tracker.events = true
	}
}

// cancelReported has the manager of a job end it: the condition says that it is to.
func (j *Job) cancelReported(cause string, now Time) {
	j.Conditions = append(slices.Clone(j.Conditions),
		Condition{FailureTarget, True, ReasonCancelled, CancelledMessage + cause, now})
}

// isDecided reports whether how the job ends cannot change any more.
func (j *Job) isDecided() bool {
	return j.target != nil || j.Spec.Unmanaged &&
		(j.has(FailureTarget) || j.has(SuccessCriteriaMet) || j.FinishedAt != 0)
}
