package runner

import (
	"errors"
	"fmt"
	"strings"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/spec"
)

// Cancel fails the job, or some of its indexes, with a cause, whose text is given: it is
// user code. Either all of it is done, or nothing and the faults say why.
func (j *Job) Cancel(cause error, text string, indexes []int) (faults []spec.FieldError, err error) {
	switch manager := j.Definition().ManagedBy; {
	case manager == "":
	case !j.r.manages(manager):
		return []spec.FieldError{spec.Forbidden("spec.managedBy", manager, "another controller has the job")}, nil
	case len(indexes) > 0:
		return []spec.FieldError{spec.Forbidden("spec.managedBy", manager,
			"another controller has the job: it can be cancelled as a whole only")}, nil
	}
	if !j.r.visit() {
		return nil, ErrShutdown
	}
	defer j.r.leave()
	s := stopFor(cause) // looks into the cause, and so not under the lock
	var e effects
	j.lock()
	faults, err = j.mayCancelLocked(indexes)
	if len(faults) == 0 && err == nil {
		j.cancelLocked(&e, s, text, indexes)
	}
	j.unlock()
	j.r.perform(&e)
	return faults, err
}

func (j *Job) mayCancelLocked(indexes []int) (faults []spec.FieldError, err error) {
	switch e := j.engine; {
	case e.IsGone():
		return nil, notFound("job", j.id.Job)
	case e.DeletedAt != 0:
		return nil, fmt.Errorf("%w: %q", ErrDeleted, j.id.Job)
	case !e.MayCancel():
		last := e.Conditions[len(e.Conditions)-1]
		return nil, fmt.Errorf("%w: %q has the condition %s", ErrJobFinished, j.id.Job, last.Type)
	}
	for place, index := range indexes {
		if why := j.indexFaultLocked(index); why != "" {
			faults = append(faults, spec.Invalid(fmt.Sprintf("indexes[%d]", place), index, why))
		}
	}
	return faults, nil
}

// indexFaultLocked says why an index cannot be cancelled; empty if it can.
func (j *Job) indexFaultLocked(index int) string {
	e := j.engine
	switch {
	case !e.Spec.Indexed:
		return "the job is not Indexed"
	case index < 0 || index >= e.Spec.Completions:
		return fmt.Sprintf("must be from 0 to %d", e.Spec.Completions-1)
	case e.Completed.Contains(index):
		return "has succeeded"
	case e.GivenUp.Contains(index):
		return "has failed"
	}
	return ""
}

func (j *Job) cancelLocked(e *effects, s *stop, text string, indexes []int) {
	j.cancelling = s
	if len(indexes) == 0 {
		j.cancelled = s
	}
	for _, index := range indexes {
		j.noteFailureLocked(index, indexFailure{seq: noAttempt, at: j.r.now(), code: -1, err: s.cause, text: text})
	}
	j.stepLocked(e, engine.Event{Kind: engine.Cancelled, Reason: text, Indexes: indexes})
	j.cancelling = nil
}

// noAttempt is the place in the order of creation of the failure of an index that no
// attempt has failed.
const noAttempt = -1

// cancelCauseLocked is why the job was cancelled; nil if it was not. In a job that was
// loaded only its text is known.
func (j *Job) cancelCauseLocked(last engine.Condition) error {
	if last.Reason != engine.ReasonCancelled {
		return nil
	}
	if j.cancelled != nil {
		return j.cancelled.cause
	}
	return errors.New(strings.TrimPrefix(last.Message, engine.CancelledMessage))
}
