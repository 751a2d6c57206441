package runner

import (
	"cmp"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/logtail"
)

// A Failure is why a job has failed.
type Failure struct {
	Reason, Message string
	Cause           error // of a job that was cancelled
	// Attempts are those that are kept, and the last one of each index that has failed
	// and not succeeded, oldest first, without those that were merely stopped.
	Attempts []FailedAttempt
	Omitted  int   // how many others have failed, as far as that is known
	Indexes  []int // that have failed and not succeeded, ascending
}

// A FailedAttempt is how one attempt failed, or that an index was cancelled.
type FailedAttempt struct {
	Name            string
	Seq             int64
	Index, ExitCode int // ExitCode: -1 if there is none
	Failures        int // in a row, with this one; 0 if that is not known
	At              time.Time
	Text            string
	Err             error
	Overdue         error          // ErrAttemptTimeout or ErrNoProgress, if it failed for that
	Log             []logtail.Line // the last lines
}

func (j *Job) failureLocked() *Failure {
	e := j.engine
	if e.FinishedAt == 0 || e.Conditions[len(e.Conditions)-1].Type != engine.JobFailed {
		return nil
	}
	last := e.Conditions[len(e.Conditions)-1]
	f := &Failure{Reason: last.Reason, Message: last.Message, Cause: j.cancelCauseLocked(last)}
	ended, failed := 0, 0
	isKept := make(map[int64]bool)
	if j.mirror != nil {
		f.Attempts, failed, ended = j.mirroredFailuresLocked()
		for _, a := range f.Attempts {
			isKept[a.Seq] = true
		}
	}
	for a := range e.All() {
		if a.HasEnded() {
			ended++
		}
		if a.Phase() != engine.Failed {
			continue
		}
		failed++
		if !wasMerelyStopped(a) {
			isKept[a.Seq] = true
			f.Attempts = append(f.Attempts, j.failedAttemptLocked(a))
		}
	}
	for index, last := range j.failures.all() {
		if isKept[last.seq] || e.Completed.Contains(index) { // its success may just be counted
			continue
		}
		f.Attempts = append(f.Attempts, j.failedIndexLocked(index, &last))
		if last.seq != noAttempt {
			failed++
		}
	}
	if last := j.lastFailedLocked(); len(f.Attempts) == 0 && last != nil { // there is no history
		f.Attempts = []FailedAttempt{*last}
		failed++
	}
	slices.SortFunc(f.Attempts, FailedAttempt.compare)
	if ended >= e.Spec.History { // some may have left it
		f.Omitted = max(0, e.Failed-failed)
	}
	f.Indexes = j.failures.indexes(e)
	return f
}

// compare puts the older one first. That an index was cancelled is the last that has
// happened to it.
func (a FailedAttempt) compare(b FailedAttempt) int {
	if a.Seq == noAttempt || b.Seq == noAttempt {
		return cmp.Or(-cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index))
	}
	return cmp.Compare(a.Seq, b.Seq)
}

// LastFailed returns the latest failed attempt, whether it is kept or not; nil if
// none has failed.
func (j *Job) LastFailed() *FailedAttempt {
	j.lock()
	defer j.unlock()
	return j.lastFailedLocked()
}

func (j *Job) lastFailedLocked() *FailedAttempt {
	if a := j.mirror.lastFailure(); a != nil {
		return new(a.failed())
	}
	last := j.r.lastFailure(j.id, j.engine.LastFailure)
	if last == nil || j.lastText.err == nil || j.lastText.seq != last.Seq {
		return nil
	}
	last.Text, last.Err = j.lastText.text, j.lastText.err
	return last
}

// wasMerelyStopped reports whether an attempt failed for no other reason than that
// it was stopped for its job.
func wasMerelyStopped(a *engine.Attempt) bool {
	return a.DeletedBy == engine.DeletedByController &&
		(!a.HasExit || a.ExitCode == exitTerminated || a.ExitCode == exitKilled)
}

func (j *Job) failedAttemptLocked(a *engine.Attempt) FailedAttempt {
	f := FailedAttempt{Name: j.id.Name(a.Seq, a.Index), Seq: a.Seq, Index: a.Index, ExitCode: -1,
		At: j.r.date(a.FinishedAt), Err: ErrDisrupted, Overdue: overdueOf(a)}
	if a.HasExit {
		f.ExitCode = a.ExitCode
	}
	if a.Index >= 0 {
		f.Failures = a.Failures + a.Ignored + 1
	}
	if x, ok := a.Owner.(*run); ok {
		f.Err, f.Text = cmp.Or(x.err, f.Err), x.text
		if x.kept != nil {
			f.Log = x.kept.log.Lines(10)
		}
	}
	return f
}

// An overdueError is what an attempt returned after its time was up. Its parts are not
// looked at before a caller asks: they are user code.
type overdueError struct{ reason, err error }

// Overdue is the error of an attempt that failed for a reason, which may be nil, and what
// it returned.
func Overdue(reason, err error) error {
	switch {
	case reason == nil:
		return err
	case err == reason, err == ErrDisrupted:
		return reason // there is nothing to add
	}
	return &overdueError{reason, err}
}

func (e *overdueError) Error() string   { return e.reason.Error() + ": " + e.err.Error() }
func (e *overdueError) Unwrap() []error { return []error{e.reason, e.err} }
