package runner

import (
	"fmt"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/seq"
	"github.com/runtocompletion/batch/internal/spec"
)

// A Report is what the manager of a job knows of it.
type Report struct {
	UID      string
	Status   *ReportedStatus // nil: as before
	Attempts []AttemptView   // that are new, or have changed
	Results  map[string][]byte
	Logs     map[string][]logtail.Line // to be added, by UID
	Events   []Event                   // nil: as before
}

// A ReportedStatus is the part of a [View] that a manager decides.
type ReportedStatus struct {
	StartTime, CompletionTime           time.Time
	Conditions                          []Condition
	Active, Pending, Ready, Terminating int
	Succeeded, Failed                   int
	Completed                           indexset.Set
	GivenUp                             *indexset.Set
}

// Report takes in what the manager of a job knows, all of it or, if there are faults,
// nothing.
func (j *Job) Report(r *Report) (faults []spec.FieldError, err error) {
	if !j.r.visit() {
		return nil, ErrShutdown
	}
	defer j.r.leave()
	var e effects
	j.lock()
	defer func() {
		j.unlock()
		j.r.perform(&e)
	}()
	switch {
	case j.engine.IsGone(), r.UID != j.uid:
		return nil, notFound("job", j.id.Job)
	case !j.engine.Spec.Unmanaged:
		return nil, fmt.Errorf("batch: job %q: is managed by this controller", j.id.Job)
	}
	status := j.reportedLocked(r.Status)
	if status != nil {
		if faults = seq.Slice(j.engine.CheckReport(status), fieldError); len(faults) > 0 {
			return faults, nil
		}
	}
	if j.isKnownLocked(r, status) {
		return nil, nil
	}
	j.rouseLocked()
	j.takeReportLocked(r, status)
	j.stepLocked(&e, engine.Event{Kind: engine.Reported, Report: status})
	if status != nil {
		j.settleFailuresLocked()
	}
	return nil, nil
}

func fieldError(f engine.ReportFault) spec.FieldError {
	kind := "Invalid"
	if f.Required {
		kind = "Required"
	}
	return spec.FieldError{Field: f.Field, Kind: kind, Value: f.Value, Detail: f.Detail}
}

// isKnownLocked reports whether a report says nothing new. Managers watch what they have
// reported themselves, and would never come to rest.
func (j *Job) isKnownLocked(r *Report, status *engine.Report) bool {
	if status != nil && !j.engine.Reports(status) {
		return false
	}
	for _, lines := range r.Logs {
		if len(lines) > 0 {
			return false
		}
	}
	for i := range r.Attempts {
		if !j.mirror.knows(&r.Attempts[i]) {
			return false
		}
	}
	return r.Events == nil || j.engine.HasEvents(j.eventsOf(r.Events))
}

// reportedLocked is a status for the engine.
func (j *Job) reportedLocked(s *ReportedStatus) *engine.Report {
	if s == nil {
		return nil
	}
	r := &engine.Report{
		StartTime: j.r.instant(s.StartTime), CompletionTime: j.r.instant(s.CompletionTime),
		Active: s.Active, Pending: s.Pending, Ready: s.Ready, Terminating: s.Terminating,
		Succeeded: s.Succeeded, Failed: s.Failed, Completed: s.Completed, GivenUp: s.GivenUp,
		LastFailure: j.engine.LastFailure,
	}
	for _, c := range s.Conditions {
		r.Conditions = append(r.Conditions, engine.Condition{Type: c.Type, Status: c.Status,
			Reason: c.Reason, Message: c.Message, At: j.r.instant(c.At)})
	}
	return r
}

// instant undoes date, for times that another machine has given.
func (r *Runner) instant(t time.Time) engine.Time {
	if t.IsZero() {
		return 0
	}
	now := r.now()
	return now.Add(t.Sub(r.clock.Wall(int64(now))))
}

func (j *Job) takeReportLocked(r *Report, status *engine.Report) {
	if j.mirror == nil {
		j.mirror = &mirror{attempts: make(map[string]*mirrored)}
	}
	m := j.mirror
	if status != nil {
		m.counts = mirrorCounts{status.Active, status.Pending, status.Ready, status.Terminating}
	}
	for _, v := range r.Attempts {
		v.JobUID = j.uid
		j.takeAttemptLocked(m.put(v, j.def.Load().LogLimit), r)
	}
	for uid, lines := range r.Logs {
		if a := m.attempts[uid]; a != nil {
			a.log.Append(lines)
		}
	}
	for _, a := range m.attempts {
		if a.view.hasEnded() && a.isChanged {
			a.log.Close()
		}
	}
	m.trim(j.engine.Spec.History)
	if r.Events != nil {
		j.engine.SetEvents(j.eventsOf(r.Events))
	}
}

// eventsOf are events for the engine.
func (j *Job) eventsOf(list []Event) []engine.EventRecord {
	events := make([]engine.EventRecord, len(list))
	for i, e := range list {
		events[i] = engine.EventRecord{At: j.r.instant(e.At), Warning: e.Warning, Reason: e.Reason, Message: e.Message}
	}
	return events
}

// takeAttemptLocked keeps what follows from an attempt that has ended: its result or its
// failure, each once.
func (j *Job) takeAttemptLocked(a *mirrored, r *Report) {
	if !a.isChanged {
		return
	}
	switch v := &a.view; v.Phase {
	case engine.Succeeded:
		data, ok := r.Results[v.UID]
		if !ok || a.hasResult {
			return
		}
		a.hasResult = true
		index := v.Index
		if index < 0 {
			index = j.nextResultLocked()
		}
		j.addResultLocked(index, data)
	case engine.Failed:
		if v.Index >= 0 {
			j.noteFailureLocked(v.Index, indexFailure{seq: v.Seq, at: j.r.instant(v.FinishedAt), code: a.exitCode(),
				err: v.Err, text: v.Text, name: v.Name})
		}
	}
}

// nextResultLocked is the number of the next result of a job without indexes.
func (j *Job) nextResultLocked() int {
	last := -1
	for _, r := range j.results.View().Sorted() {
		last = max(last, r.Index)
	}
	return last + 1
}

// settleFailuresLocked forgets the failures of indexes that have succeeded.
func (j *Job) settleFailuresLocked() {
	for index := range j.failures.all() {
		if j.engine.Completed.Contains(index) {
			j.failures.forget(index)
		}
	}
}

// mirroredFailuresLocked is failureLocked's list for a job that is run somewhere else.
func (j *Job) mirroredFailuresLocked() (list []FailedAttempt, failed, ended int) {
	for _, a := range j.mirror.inOrder() {
		if a.view.hasEnded() {
			ended++
		}
		if a.view.Phase == engine.Failed {
			failed++
			list = append(list, a.failed())
		}
	}
	return list, failed, ended
}

func (a *mirrored) failed() FailedAttempt {
	v := &a.view
	return FailedAttempt{Name: v.Name, Seq: v.Seq, Index: v.Index, Failures: v.Failures + v.Ignored + 1,
		ExitCode: a.exitCode(), At: v.FinishedAt, Text: v.Text, Err: v.Err, Log: a.log.Lines(10)}
}

// lastFailureShown is the latest failure as a [View] has it.
func (m *mirror) lastFailureShown() *FailedAttempt {
	a := m.lastFailure()
	if a == nil {
		return nil
	}
	f := a.failed()
	f.Err, f.Log = nil, nil
	return &f
}
