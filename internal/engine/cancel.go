package engine

import "github.com/runtocompletion/batch/internal/indexset"

// This file is how users end work that has not ended by itself. To cancel is an outcome
// and not a removal: the job stays, has failed, and says why. It takes effect at once.
// There is nothing to settle, because no attempt has caused it.

// ReasonCancelled is the reason of a job that was cancelled.
const ReasonCancelled = "Cancelled"

// CancelledMessage begins the message of a job that was cancelled; the text of the cause
// follows. The cause is found again by it when the job was loaded.
const CancelledMessage = "Job was cancelled: "

// MayCancel reports whether the job has not been decided yet: once it has, how it ends
// cannot change any more.
func (j *Job) MayCancel() bool {
	return !j.isDecided() && j.DeletedAt == 0 && !j.gone
}

// cancel fails the job, or some of its indexes.
func (j *Job) cancel(cause string, indexes []int, now Time) {
	switch {
	case !j.MayCancel():
	case j.Spec.Unmanaged:
		j.cancelReported(cause, now)
	case len(indexes) > 0:
		// Indexes that are over by now are passed by: the caller has looked before.
		j.cancelIndexes(indexes, now)
	default:
		// A decision that is settling is overruled: it was not seen by any caller.
		j.target = &target{reason: ReasonCancelled, message: CancelledMessage + cause}
	}
}

// isCancelled reports whether the job is to end because it was cancelled.
func (j *Job) isCancelled() bool { return j.target != nil && j.target.reason == ReasonCancelled }

// FailsIndexes reports whether single indexes can fail, or some have.
func (j *Job) FailsIndexes() bool {
	if j.Spec.Unmanaged && j.StartTime == 0 { // nothing has been reported
		return false
	}
	return j.Spec.perIndex() || j.GivenUp.Len() > 0
}

// cancelIndexes gives up indexes that are not over yet. What their attempts have counted
// for stays counted. Those that have not ended never count, however they end: that an
// index was cancelled is no failure that the limit of the job is about.
func (j *Job) cancelIndexes(indexes []int, now Time) {
	var cancelled indexset.Set
	for _, i := range indexes {
		if !j.Spec.Indexed || i < 0 || i >= j.Spec.Completions || j.Completed.Contains(i) || !j.GivenUp.Add(i) {
			continue
		}
		cancelled.Add(i)
		j.indexes.withdraw(i)
		if a := j.retained[i]; a != nil {
			j.record(a)
		}
	}
	// One walk for all of them: there may be many of both.
	for i := len(j.live) - 1; i >= 0; i-- {
		a := j.live[i]
		if !cancelled.Contains(a.Index) {
			continue
		}
		a.holding = false
		j.stopUncounted(a, DeletedByController, CauseCancelled, now)
		j.exempt(a) // also one that was stopping already
	}
	// A job that has nothing left to do is not to be resumed, nor does it wait for others.
	if j.StartTime == 0 && j.decide(now) != nil {
		j.StartTime = now
	}
}

// withdraw takes index i, which has not succeeded, out of those that are to be tried.
func (x *indexes) withdraw(i int) {
	if i >= x.next {
		// Fresh indexes are a single number, where they begin: those before i have to be
		// told apart from it.
		x.giveBackRange(x.next, i-1)
		x.next = i + 1
	}
	x.returned.remove(i)
	if _, ok := x.numbers()[i]; ok {
		delete(x.numbers(), i)
		x.touch(i)
	}
	delete(x.failures, i)
}
