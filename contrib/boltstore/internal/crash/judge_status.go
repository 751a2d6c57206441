//go:build unix

package crash

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// finishTime is when a job has finished.
func finishTime(s *batch.Status) time.Time {
	if failed, ok := s.Condition(batch.ConditionFailed); ok {
		return failed.LastTransitionTime
	}
	return s.CompletionTime
}

// readFound records what is there before anything has gone on.
func (r *record) readFound(s *batch.Status) {
	if r.removed && r.goneIn < r.process {
		r.find(duplicated, "the job is there again after it was removed")
	}
	r.checkWishes(s)
	r.readStatus(s)
}

// readStatus: no caller is told of what has not happened.
func (r *record) readStatus(s *batch.Status) {
	r.counts.told++
	r.statuses = append(r.statuses, *s)
	if s.Finished() && r.finished == nil {
		r.finished = s
		r.checkOutcome(s)
	}
	for i := range s.CompletedIndexes.All() {
		if _, known := r.completed[i]; known {
			continue
		}
		r.completed[i] = r.process
		if !r.hasSucceeded(i) {
			r.find(wrong, "index %d was told to be completed, and has not succeeded", i)
		}
	}
	if r.job.CompletionMode != batch.Indexed && s.Succeeded > r.countTokens((*attempted).succeeded) {
		r.find(
			wrong, "%d successes were told, and %d attempts have succeeded", s.Succeeded, r.countTokens((*attempted).succeeded),
		)
	}
	r.checkFailed(s)
}

// checkFailed: no failure is counted that has not happened: neither an attempt
// that a shutdown has interrupted, nor one that has succeeded. While a job is
// being stopped, attempts that have not begun fail as well.
func (r *record) checkFailed(s *batch.Status) {
	if s.Is(batch.ConditionFailureTarget) || s.Is(batch.ConditionFailed) || r.hasInterference() || r.job.History != nil {
		return
	}
	if might := r.countTokens((*attempted).mightCount); s.Failed > might {
		r.find(wrong, "%d failures were told, and at most %d attempts have failed", s.Failed, might)
	}
}

// checkOutcome: a job ends as its spec says.
func (r *record) checkOutcome(s *batch.Status) {
	failed, isFailed := s.Condition(batch.ConditionFailed)
	limit := r.job.BackoffLimit
	switch {
	case !isFailed && r.job.SuccessPolicy != nil:
	case !isFailed && r.job.Completions != nil && s.Succeeded != *r.job.Completions, !isFailed && s.Succeeded == 0:
		r.find(wrong, "the job is complete with %d successes", s.Succeeded)
	case !isFailed, r.job.RestartPolicy == batch.RestartOnFailure:
	case failed.Reason == batch.ReasonBackoffLimitExceeded && (limit == nil || s.Failed <= *limit):
		r.find(wrong, "%d failures exceed the limit", s.Failed)
	case failed.Reason == batch.ReasonPodFailurePolicy && !r.hasFailedWith(exitFatal):
		r.find(wrong, "no attempt has failed with exit code %d", exitFatal)
	case failed.Reason == batch.ReasonDeadlineExceeded &&
		failed.LastTransitionTime.Sub(s.StartTime) < *r.job.ActiveDeadline:
		r.find(wrong, "the deadline was exceeded after %v", failed.LastTransitionTime.Sub(s.StartTime))
	}
}

// endStatuses puts what the process was told in order: later statuses follow
// from earlier ones.
func (r *record) endStatuses() {
	slices.SortStableFunc(r.statuses, func(a, b batch.Status) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, s := range r.statuses {
		if r.last.UID != "" {
			r.checkNext(&r.last, &s)
		}
		r.last = s
	}
	r.statuses = r.statuses[:0]
}

// checkNext: nothing that was told is taken back.
func (r *record) checkNext(a, b *batch.Status) {
	if b.Succeeded < a.Succeeded || b.Failed < a.Failed {
		r.find(lost, "counters go back from %d succeeded, %d failed to %d, %d", a.Succeeded, a.Failed, b.Succeeded, b.Failed)
	}
	r.checkKept("completed", a.CompletedIndexes, b.CompletedIndexes)
	if a.FailedIndexes != nil && b.FailedIndexes != nil {
		r.checkKept("failed", *a.FailedIndexes, *b.FailedIndexes)
	} else if a.FailedIndexes != b.FailedIndexes {
		r.find(lost, "failed indexes come or go")
	}
	if !a.CreatedAt.Equal(b.CreatedAt) || b.Generation < a.Generation {
		r.find(lost, "created %v, generation %d becomes %v, %d", a.CreatedAt, a.Generation, b.CreatedAt, b.Generation)
	}
	if a.LastFailure != nil && (b.LastFailure == nil || b.LastFailure.At.Before(a.LastFailure.At)) {
		r.find(lost, "the last failure goes back from %+v to %+v", a.LastFailure, b.LastFailure)
	}
	r.checkConditions(a, b)
	r.checkStart(a, b)
	if a.Finished() && !reflect.DeepEqual(outcomeOf(a), outcomeOf(b)) {
		r.find(lost, "the outcome changes from %+v to %+v", outcomeOf(a), outcomeOf(b))
	}
}

func (r *record) checkKept(what string, a, b batch.IndexSet) {
	for i := range a.All() {
		if !b.Contains(i) {
			r.find(lost, "index %d is not %s any more", i, what)
		}
	}
}

// checkConditions: conditions stay, but that of a suspension may change. The
// condition Stalled is not stored.
func (r *record) checkConditions(a, b *batch.Status) {
	for _, before := range a.Conditions {
		after, ok := b.Condition(before.Type)
		switch {
		case before.Type == batch.ConditionStalled:
		case !ok:
			r.find(lost, "condition %+v goes", before)
		case before.Type == batch.ConditionSuspended && after.LastTransitionTime.After(before.LastTransitionTime):
		case !same(before, after):
			r.find(lost, "condition %+v becomes %+v", before, after)
		}
	}
}

func same(a, b batch.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message && a.LastTransitionTime.Equal(
		b.LastTransitionTime,
	)
}

// checkStart: the time of the start stays, unless the job was suspended or
// resumed in between.
func (r *record) checkStart(a, b *batch.Status) {
	was, _ := a.Condition(batch.ConditionSuspended)
	is, _ := b.Condition(batch.ConditionSuspended)
	switch {
	case !was.LastTransitionTime.Equal(is.LastTransitionTime):
	case a.StartTime.IsZero(): // it had not started
	case !a.StartTime.Equal(b.StartTime):
		r.find(lost, "the start goes from %v to %v", a.StartTime, b.StartTime)
	}
}

// An outcome is what does not change once a job has finished. Times are those of
// the wall clock.
type outcome struct {
	Succeeded, Failed  int
	Completed, GivenUp string
	Start, Completion  int64
	Conditions         []string
}

func outcomeOf(s *batch.Status) outcome {
	o := outcome{Succeeded: s.Succeeded, Failed: s.Failed, Completed: s.CompletedIndexes.String(),
		Start: s.StartTime.UnixNano(), Completion: s.CompletionTime.UnixNano()}
	if s.FailedIndexes != nil {
		o.GivenUp = s.FailedIndexes.String()
	}
	for _, c := range s.Conditions {
		o.Conditions = append(o.Conditions, c.Type)
	}
	return o
}
