package runner

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/logtail"
)

// A View is what can be seen of a job at one moment. It is a copy.
type View struct {
	Name, UID             string
	ManagedBy             string // another controller; empty if it is this one
	Generation            int64
	Run                   int // from 1
	Revision              uint64
	CreatedAt, DeletedAt  time.Time
	StartTime, FinishedAt time.Time // FinishedAt: when it became Complete or Failed
	NextRetry             time.Time

	Parallelism, Completions            int // Completions: engine.None for a work queue
	Suspend, FailsIndexes               bool
	Halted                              bool
	Active, Pending, Ready, Terminating int
	Abandoned, Succeeded, Failed        int
	Completed, GivenUp                  indexset.Set // GivenUp if FailsIndexes
	Conditions                          []Condition
	LastFailure                         *FailedAttempt // with Text, without Err
	Stall                               *Stall
	WaitsFor                            string // what attempts that are Pending wait for
	Awaits                              string // which jobs must be complete before this one starts
}

func (v *View) isFinished() bool { return !v.FinishedAt.IsZero() }

// A Stall is that a job waits for something outside of it.
type Stall struct {
	Undeclared bool  // its functions have not been declared
	Err        error // of the store, if that is it
	Since      time.Time
}

// View returns what can be seen now.
func (j *Job) View() View {
	j.r.lookAtClock()
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.viewLocked(j.lookLocked(anyRevision))
}

// viewLocked is the latest view that is durable.
func (j *Job) viewLocked(revision uint64) View {
	var v View
	switch {
	case j.body == nil:
		v = j.viewAtRestLocked()
		v.Revision = revision
		return v
	case j.stored == nil:
		v = j.presentLocked()
	default:
		v = j.stored.told
		v.Conditions = slices.Clone(v.Conditions)
		v.Halted = !v.isFinished() && j.r.isStopping()
		v.Stall = j.stallLocked(&v)
	}
	v.Revision = revision
	if len(j.awaits) > 0 {
		v.Awaits = j.describeAwaitedLocked()
	}
	if v.Pending > 0 {
		v.WaitsFor = j.describeLinesLocked()
	}
	return v
}

func (j *Job) stallLocked(v *View) *Stall {
	trouble := j.r.trouble.Load()
	switch {
	case v.isFinished():
		return nil
	case trouble != nil:
		return &Stall{Err: trouble.Err, Since: trouble.Since}
	case j.stuck != nil:
		return j.stuck
	case j.holds&undeclaredHold != 0 && j.mirror == nil: // its manager has what it needs
		return &Stall{Undeclared: true, Since: j.r.start}
	}
	return nil
}

// presentLocked is the view as it is, known to be durable or not.
func (j *Job) presentLocked() View {
	e, r := j.engine, j.r
	v := View{
		Name: j.id.Job, UID: j.uid, ManagedBy: j.def.Load().ManagedBy, Generation: j.generation, Run: e.Run(),
		CreatedAt: r.date(e.CreatedAt), DeletedAt: r.date(e.DeletedAt), StartTime: r.date(e.StartTime),
		FinishedAt: r.date(e.FinishedAt), NextRetry: r.date(e.NextRetry()),
		Parallelism: e.Spec.Parallelism, Completions: e.Spec.Completions,
		Suspend: e.Spec.Suspend, FailsIndexes: e.FailsIndexes(),
		Halted: e.IsHalted(), Active: e.Active, Pending: e.Pending, Ready: e.Ready, Terminating: e.Terminating,
		Abandoned: e.Abandoned, Succeeded: e.Succeeded, Failed: e.Failed,
		Completed: e.Completed.Snapshot(), GivenUp: e.GivenUp.Snapshot(),
		Conditions: r.conditions(e.Conditions), LastFailure: r.lastFailure(j.id, e.LastFailure),
	}
	j.lastText.describe(v.LastFailure)
	if j.mirror != nil {
		v.LastFailure = j.mirror.lastFailureShown()
	}
	return v
}

// hasLimit reports whether each index has a limit.
func hasLimit(s *engine.Spec) bool { return s.BackoffLimitPerIndex != engine.None }

func (r *Runner) conditions(list []engine.Condition) []Condition {
	if len(list) == 0 {
		return nil
	}
	out := make([]Condition, len(list))
	for i, c := range list {
		out[i] = Condition{c.Type, c.Status, c.Reason, c.Message, r.date(c.At)}
	}
	return out
}

// lastFailure lacks the text; see failureText.
func (r *Runner) lastFailure(id engine.Identity, f engine.Failure) *FailedAttempt {
	if f.At == 0 {
		return nil
	}
	return &FailedAttempt{Name: id.Name(f.Seq, f.Index), Seq: f.Seq, Index: f.Index, Failures: f.Failures,
		ExitCode: f.ExitCode, At: r.date(f.At)}
}

// describe says what a failure was, if it is the one whose text this is.
func (t *failureText) describe(f *FailedAttempt) {
	if f != nil && t.seq == f.Seq {
		f.Text = t.text
	}
}

// An AttemptView is what can be seen of one attempt. It is a copy.
type AttemptView struct {
	Name, UID, JobUID                          string
	Seq                                        int64
	JobRun                                     int // the run of the job that it is of
	Index, Number, Restarts, Failures, Ignored int
	Phase                                      engine.Phase
	Reason, Text, Output                       string
	ExitCode                                   *int
	Err                                        error
	CreatedAt, StartedAt, FinishedAt           time.Time
	RestartAt, DeletedAt                       time.Time
	DeletedBy                                  engine.Deleter
	Abandoned, Ready                           bool
	Conditions                                 []Condition
	Progress                                   Progress
	Runs                                       []Run
}

// A Run is one run of an attempt that was restarted in place.
type Run struct {
	StartedAt, FinishedAt time.Time
	ExitCode              *int // nil while there is none
}

// Attempts returns the attempts of all jobs that have or had a name; see [Job.Attempts].
func (r *Runner) Attempts(job string) ([]AttemptView, error) {
	jobs := r.Named(job)
	if len(jobs) == 0 {
		_, err := r.Find(job)
		return nil, cmp.Or(err, notFound("job", job))
	}
	var list []AttemptView
	for _, j := range jobs {
		list = append(list, j.Attempts()...)
	}
	return list, nil
}

// Attempts returns every attempt that is live or, as long as the job is there,
// kept, in order of creation.
func (j *Job) Attempts() []AttemptView {
	j.lock()
	var list []AttemptView
	for _, a := range j.mirror.inOrder() {
		list = append(list, a.view)
	}
	for a := range j.engine.All() {
		if !a.HasEnded() || !j.engine.IsGone() {
			list = append(list, j.attemptLocked(a))
		}
	}
	j.unlock()
	slices.SortFunc(list, func(a, b AttemptView) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

func (j *Job) attemptLocked(a *engine.Attempt) AttemptView {
	r := j.r
	v := AttemptView{
		Name: j.id.Name(a.Seq, a.Index), UID: j.id.AttemptUID(a.Seq), JobUID: j.uid, Seq: a.Seq,
		JobRun: j.engine.RunOf(a.Seq),
		Index:  a.Index, Number: a.Number, Restarts: a.Restarts, Failures: a.Failures, Ignored: a.Ignored,
		Phase: a.Phase(), Reason: a.Reason, CreatedAt: r.date(a.CreatedAt), StartedAt: r.date(a.StartedAt),
		FinishedAt: r.date(a.FinishedAt), RestartAt: r.date(a.RestartAt), DeletedAt: r.date(a.DeletedAt),
		DeletedBy: a.DeletedBy, Abandoned: a.Abandoned, Ready: a.Ready, Conditions: r.conditions(a.Conditions),
	}
	if a.HasExit {
		v.ExitCode = new(a.ExitCode)
	}
	for _, run := range a.Runs() {
		v.Runs = append(v.Runs, Run{StartedAt: r.date(run.StartedAt), FinishedAt: r.date(run.EndedAt)})
		if run.HasExit {
			v.Runs[len(v.Runs)-1].ExitCode = new(run.ExitCode)
		}
	}
	if x, ok := a.Owner.(*run); ok {
		v.Err, v.Text = x.err, x.text
		if x.kept != nil {
			v.Output, v.Progress = x.kept.output, x.kept.progress
		}
	}
	return v
}

// An Event is one of the engine's, with its date.
type Event struct {
	Warning         bool
	Reason, Message string
	At              time.Time
}

// Events returns the events that are kept.
func (j *Job) Events() []Event {
	j.lock()
	defer j.unlock()
	var list []Event
	for _, e := range j.engine.Events() {
		list = append(list, Event{e.Warning, e.Reason, e.Message, j.r.date(e.At)})
	}
	return list
}

// Logs returns the last lines that an attempt has printed, given by its name or UID: at
// most tail of them, all if it is negative, and those to come if follow is set.
func (r *Runner) Logs(ctx context.Context, job, attempt string, tail int, follow bool) iter.Seq2[logtail.Line, error] {
	return func(yield func(logtail.Line, error) bool) {
		switch log, err := r.attemptLog(job, attempt); {
		case err != nil:
			yield(logtail.Line{}, err)
		case follow:
			log.Follow(ctx, tail)(yield)
		default:
			log.All(ctx, tail)(yield)
		}
	}
}

func (r *Runner) attemptLog(job, attempt string) (*logtail.Log, error) {
	if r == nil {
		return nil, ErrZero
	}
	if r.reader != nil {
		return nil, r.reader.refusal()
	}
	for _, j := range r.Named(job) {
		if log := j.attemptLog(attempt); log != nil {
			return log, nil
		}
	}
	return nil, attemptNotFound(job, attempt)
}

func (j *Job) attemptLog(attempt string) *logtail.Log {
	j.lock()
	defer j.unlock()
	if m := j.mirror.find(attempt); m != nil {
		return &m.log
	}
	a := j.engine.Find(attempt)
	if a == nil {
		return nil
	}
	x, ok := a.Owner.(*run)
	if !ok || a.HasEnded() && x.kept == nil {
		log := new(logtail.Log) // it has printed nothing, and never will
		log.Close()
		return log
	}
	return &x.keepLocked().log
}

// Stack returns the stack of the goroutine that runs an attempt; empty if none does
// yet. It stops the world for as long as it takes to write all stacks.
func (r *Runner) Stack(job, attempt string) (string, error) {
	if r == nil {
		return "", ErrZero
	}
	if r.reader != nil {
		return "", r.reader.refusal()
	}
	for _, j := range r.Named(job) {
		x, found, err := j.executing(attempt)
		switch {
		case err != nil:
			return "", err
		case x != nil:
			return x.stackIn(allStacks()), nil
		case found:
			return "", nil
		}
	}
	return "", attemptNotFound(job, attempt)
}

func (j *Job) executing(attempt string) (x *run, found bool, err error) {
	j.lock()
	defer j.unlock()
	a := j.engine.Find(attempt)
	switch {
	case j.mirror.find(attempt) != nil:
		return nil, true, hasIt(j.def.Load().ManagedBy, j.id.Job, attempt)
	case a == nil:
		return nil, false, nil
	case a.Pinned:
		return runOf(a), true, nil
	case a.HasEnded():
		return nil, true, finishedError(attempt)
	}
	return nil, true, nil
}

// Wait waits until the present run of the job has finished or the job is gone. If ctx or
// the runner ends first, the error says so.
func (j *Job) Wait(ctx context.Context) (Outcome, error) {
	end, past := j.await()
	if end == nil {
		return past, nil
	}
	if err := j.r.waitFor(ctx, end); err != nil {
		return Outcome{View: j.View()}, err
	}
	return *end.outcome, nil
}

func (r *Runner) waitFor(ctx context.Context, end *ending) error {
	select {
	case <-end.reached: // first, so that a finished job answers at any time
		return nil
	default:
	}
	select {
	case <-end.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.cutOff:
		return r.cutOffBy
	case <-r.over:
		return ErrShutdown
	}
}
