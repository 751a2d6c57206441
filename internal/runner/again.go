package runner

import (
	"errors"
	"log/slog"

	"github.com/runtocompletion/batch/internal/engine"
)

// ErrUnfinished is the error of running a job again that has not finished.
var ErrUnfinished = errors.New("batch: job has not finished")

// An ending is the end of one run of a job, for those who wait for it.
type ending struct {
	reached chan struct{} // closed when the job has finished or is gone, as far as others may know

	isAwaited bool // guarded by Job.mu
	// outcome is written before reached is closed, if a caller waits: there may be
	// another run by the time that they look.
	outcome *Outcome
}

// An Outcome is how a job has ended, or how far it has come.
type Outcome struct {
	View    View
	Failure *Failure // of a job that has failed
}

func newEnding() *ending { return &ending{reached: make(chan struct{})} }

func (e *ending) isReached() bool {
	select {
	case <-e.reached:
		return true
	default:
		return false
	}
}

// reachEndLocked lets those go who wait for the end of the run.
func (j *Job) reachEndLocked() {
	if j.end.isReached() {
		return
	}
	if j.end.isAwaited {
		j.end.outcome = new(j.outcomeLocked())
	}
	close(j.end.reached)
}

// await returns the end that is to be waited for; nil if the job has ended, and how.
func (j *Job) await() (*ending, Outcome) {
	j.r.lookAtClock()
	j.lock()
	defer j.unlock()
	if j.end.isReached() {
		return nil, j.outcomeLocked()
	}
	j.end.isAwaited = true
	return j.end, Outcome{}
}

// Again runs a finished job once more. What has succeeded stays done if keep is set.
func (j *Job) Again(keep bool) error {
	if !j.r.visit() {
		return ErrShutdown
	}
	defer j.r.leave()
	var e effects
	j.lock()
	err := j.againLocked(&e, keep)
	j.unlock()
	j.r.perform(&e)
	return err
}

func (j *Job) againLocked(e *effects, keep bool) error {
	switch {
	case j.engine.IsGone():
		return notFound("job", j.id.Job)
	case j.engine.FinishedAt == 0 || !j.hasEnded:
		return ErrUnfinished
	}
	j.rouseLocked()
	j.concludeRunLocked()
	j.r.forgetFinished(j)
	// One that has rested does not know what holds it back.
	j.engine.Step(engine.Event{Kind: engine.Paused, Pause: j.holds != 0, At: j.r.now()})
	if j.stored != nil {
		j.holdLocked(e, storeHold, j.r.journal.Failing() != nil)
	}
	j.stepLocked(e, engine.Event{Kind: engine.Rerun, Keep: keep, Spec: &j.def.Load().Spec})
	j.dropResultsLocked()
	j.logLocked(slog.LevelInfo, "job runs again", slog.Int("run", j.engine.Run()))
	return nil
}

// concludeRunLocked forgets what has led to the end of the run.
func (j *Job) concludeRunLocked() {
	j.reachEndLocked()
	j.end, j.hasEnded = newEnding(), false
	j.cancelled, j.lastText = nil, failureText{}
	j.failures.clear() // every index that has failed runs
	if j.stored != nil {
		// What it was declared as since it finished has not been stored.
		j.stored.defChanged = true
		j.stored.isNoted = false
	}
}

func (j *Job) outcomeLocked() Outcome {
	o := Outcome{View: j.viewLocked(j.lookLocked(anyRevision))}
	switch {
	case j.failure != nil:
		o.Failure = j.failure
	case o.View.isFinished():
		o.Failure = j.failureLocked()
	}
	return o
}
