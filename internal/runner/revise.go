package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runtocompletion/batch/internal/engine"
)

// A Revision is the definition of a job, to be replaced.
type Revision struct {
	Definition *Definition
	Declared   bool  // its functions are known
	updates    int64 // what there had been before
}

// Revision returns the present one.
func (j *Job) Revision() Revision {
	j.lock()
	defer j.unlock()
	def := j.def.Load()
	return Revision{def, def.isDeclared(), j.updates}
}

// Definition is that of the job.
func (j *Job) Definition() *Definition {
	if def := j.def.Load(); def != nil {
		return def
	}
	j.lock()
	defer j.unlock()
	return j.def.Load()
}

// Revise puts a definition in the place of another one, unless there was another
// update meanwhile, the job is gone or the runner is shut down: then it reports false. A change of the spec
// raises the generation.
func (j *Job) Revise(before Revision, def *Definition, raise bool) bool {
	if !j.r.visit() {
		return false
	}
	defer j.r.leave()
	spec := j.r.spec(def)
	var e effects
	j.lock()
	if j.updates != before.updates || j.engine.IsGone() {
		j.unlock()
		return false
	}
	j.rouseLocked()
	if raise {
		j.generation++
	}
	j.def.Store(def)
	j.updates++
	if j.stored != nil {
		j.stored.defChanged = true
	}
	if j.engine.FinishedAt == 0 && spec.Indexed && spec.Completions < j.engine.Spec.Completions {
		j.failures.cutOff(spec.Completions)
		j.results.Truncate(spec.Completions)
	}
	j.stepLocked(&e, engine.Event{Kind: engine.Updated, Spec: spec})
	if def.isDeclared() && j.holds&undeclaredHold != 0 {
		j.holdLocked(&e, undeclaredHold, false)
		j.askAgainLocked()
	}
	j.unlock()
	j.r.perform(&e)
	return true
}

// Redeclare gives a finished job other functions, for when it is run again. It changes
// nothing that others see. It reports false if there was an update meanwhile, or the job
// is gone or runs again.
func (j *Job) Redeclare(before Revision, def *Definition) bool {
	var e effects
	j.lock()
	defer j.unlock()
	if j.updates != before.updates || j.engine.IsGone() || j.engine.FinishedAt == 0 {
		return false
	}
	j.rouseLocked() // it rests again with the new definition
	j.def.Store(def)
	j.updates++
	j.holdLocked(&e, undeclaredHold, !def.isDeclared()) // nothing starts: there are no effects
	return true
}

// Update calls change with a job until that is done, and waits until it is stored. The
// job is nil if it cannot be changed. Change reports false if there was another update
// meanwhile.
func (r *Runner) Update(ctx context.Context, name string, change func(*Job) (done bool, err error)) (*Job, error) {
	for {
		j, err := r.Change(ctx, name)
		if err != nil {
			return nil, err
		}
		done, err := change(j)
		if err != nil {
			return j, err
		}
		if err := j.Durable(ctx); done || err != nil {
			return j, err
		}
	}
}

// Apply creates a job, or changes the one there is, as Update does. The job is nil if it
// can be neither.
func (r *Runner) Apply(
	ctx context.Context, name string, define func() *Definition, change func(*Job) (done bool, err error),
) (*Job, error) {
	for {
		j, err := r.Update(ctx, name, change)
		if j != nil || !errors.Is(err, ErrNotFound) {
			return j, err
		}
		j, err = r.Create(ctx, name, define())
		if !errors.Is(err, ErrExists) {
			return j, err
		}
		if err := r.Durable(ctx); err != nil { // it was created meanwhile
			return nil, err
		}
	}
}

// What becomes of the attempts of a deleted job.
const (
	Background = "Background" // they are stopped
	Foreground = "Foreground" // likewise, and the job is removed after them
	Orphan     = "Orphan"     // they run on
)

// Delete has a job removed.
func (r *Runner) Delete(ctx context.Context, name, propagation string) error {
	if !slices.Contains([]string{Background, Foreground, Orphan}, propagation) {
		return fmt.Errorf("batch: propagation %q: must be Background, Foreground or Orphan", propagation)
	}
	j, err := r.Change(ctx, name)
	if err != nil {
		return err
	}
	if manager := j.Definition().ManagedBy; propagation == Orphan && r.manages(manager) {
		return fmt.Errorf("batch: job %q: propagation Orphan: %s has its attempts: they cannot be left alone here",
			name, manager)
	}
	if !r.visit() {
		return ErrShutdown
	}
	defer r.leave()
	j.do(engine.Event{Kind: engine.Deleted, Orphan: propagation == Orphan, Linger: propagation == Foreground})
	return j.Durable(ctx)
}

// Refused returns the error of a store that refuses what the job has.
func (j *Job) Refused() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.body == nil || j.stuck == nil {
		return nil
	}
	return failedStore(j.stuck.Err)
}

// DeleteAttempt stops an attempt, as a user does.
func (r *Runner) DeleteAttempt(ctx context.Context, job, attempt string) error {
	return r.changeAttempt(ctx, job, attempt, engine.Event{Kind: engine.AttemptDeleted})
}

// Disrupt ends an attempt for a reason outside of it.
func (r *Runner) Disrupt(ctx context.Context, job, attempt, reason string) error {
	if !slices.Contains(disruptions, reason) {
		return fmt.Errorf("batch: disruption reason %q: must be one of %q", reason, disruptions)
	}
	return r.changeAttempt(ctx, job, attempt, engine.Event{Kind: engine.Disrupted, Reason: reason})
}

var disruptions = []string{"PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI",
	"DeletionByPodGC", "TerminationByKubelet"}

// changeAttempt gives the engine an event of an attempt, and waits until what follows is
// stored.
func (r *Runner) changeAttempt(ctx context.Context, job, attempt string, ev engine.Event) error {
	if err := r.MayChange(ctx); err != nil {
		return err
	}
	return cmp.Or(r.tellAttempt(job, attempt, ev), r.Durable(ctx))
}

// hasIt is why nothing can be done about an attempt here.
func hasIt(manager, job, attempt string) error {
	return fmt.Errorf("batch: attempt %q of job %q: %s has it", attempt, job, manager)
}

// tellAttempt gives the engine an event of an attempt that has not ended.
func (r *Runner) tellAttempt(job, attempt string, ev engine.Event) error {
	if !r.visit() {
		return ErrShutdown
	}
	defer r.leave()
	for _, j := range slices.Backward(r.Named(job)) {
		if found, err := j.tellAttempt(attempt, ev); found {
			return err
		}
	}
	return attemptNotFound(job, attempt)
}

// lossOf is what an attempt fails with that ends at such an event.
func lossOf(kind engine.EventKind) error {
	if kind == engine.AttemptDeleted {
		return ErrDeleted
	}
	return ErrDisrupted
}

func (j *Job) tellAttempt(attempt string, ev engine.Event) (found bool, err error) {
	var e effects
	j.lock()
	a := j.engine.Find(attempt)
	if j.mirror.find(attempt) != nil {
		defer j.unlock()
		return true, hasIt(j.def.Load().ManagedBy, j.id.Job, attempt)
	}
	found = a != nil
	if found && a.HasEnded() {
		err = finishedError(attempt)
	} else if found {
		ev.Attempt = a
		seq, index := a.Seq, a.Index
		j.stepLocked(&e, ev)
		if a.Seq != seq || a.HasEnded() { // it has ended at once
			j.noteLossLocked(seq, index, lossOf(ev.Kind))
		}
	}
	j.unlock()
	j.r.perform(&e)
	return found, err
}
