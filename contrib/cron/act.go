package cron

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
)

// carryOut does what the engine wants, and returns the answer, if it waits for one.
func (r *run) carryOut(a engine.Action) *engine.Input {
	ctx := context.Background()
	answer := engine.Input{Kind: engine.Done, Job: engine.Job{Ref: a.Job}}
	var err error
	switch a.Do {
	case engine.Create:
		return r.createJob(a)
	case engine.Remove:
		r.removing, r.unsaved = true, true
		return nil
	case engine.Delete:
		how := batch.DeleteBackground
		if a.Linger {
			how = batch.DeleteForeground
		}
		if r.stillIs(a.Job) {
			err = r.c.batch.Delete(ctx, a.Job.Name, how)
		}
	case engine.Release:
		err = r.c.batch.Update(ctx, a.Job.Name, func(j *batch.Job) { delete(j.Annotations, OwnerAnnotation) })
	}
	if err != nil && !errors.Is(err, batch.ErrNotFound) {
		answer.Kind, answer.Text = engine.NotDone, err.Error()
	}
	return &answer
}

// stillIs reports whether a job is the one of that UID, and not a later one.
func (r *run) stillIs(j engine.Ref) bool {
	s, err := r.c.batch.Get(j.Name)
	return err == nil && s.UID == j.UID
}

// createJob creates the job for a time. It does not run before the state is stored.
func (r *run) createJob(a engine.Action) *engine.Input {
	if r.gate == nil {
		r.gate = make(chan struct{})
	}
	spec := r.currentSpec()
	zone, _ := spec.location()
	at := time.Unix(a.Time, 0).In(zone)
	job := newJob(&spec, r.uid, a.Job.Name, at, r.gate)
	switch err := r.c.batch.Create(context.Background(), job); {
	case errors.Is(err, batch.ErrExists):
		return &engine.Input{Kind: engine.Taken, Job: engine.Job{Ref: a.Job}}
	case err != nil:
		return &engine.Input{Kind: engine.Refused, Text: refusal(a.Job.Name, err)}
	}
	created, ok := r.own(&job)
	if !ok { // that it is gone will be missed
		created = engine.Job{Ref: a.Job, Scheduled: a.Time, Created: r.c.now()}
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		r.inbox = append(r.inbox, input{Input: engine.Input{Kind: engine.Gone, Job: created}})
	}
	return &engine.Input{Kind: engine.Created, Job: created}
}

// currentSpec is the spec as it is now.
func (r *run) currentSpec() CronJob {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.spec
}

// own takes a job that was created for one of this CronJob, unless it is gone already.
func (r *run) own(job *batch.Job) (created engine.Job, ok bool) {
	status, err := r.c.batch.Get(job.Name)
	if err != nil {
		return engine.Job{}, false
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.owners[status.UID] = r
	return jobOf(status, job.Annotations), true
}

// createByHand creates a job without a time. By the worker: otherwise it could be created
// after a deletion has looked for the jobs there are. It is false if the job is gone
// already.
func (r *run) createByHand(name string) (created engine.Job, ok bool, err error) {
	spec := r.currentSpec()
	if spec.Job.Executor == nil {
		return created, false, fmt.Errorf("%w: %q", ErrNotDeclared, spec.Name)
	}
	job := newJob(&spec, r.uid, name, time.Time{}, closed)
	if err := r.c.batch.Create(context.Background(), job); err != nil {
		return created, false, storeError(err)
	}
	created, ok = r.own(&job)
	return created, ok, nil
}

// replaceSpec puts a revision in its place, and declares the jobs there are.
func (r *run) replaceSpec(v *revision) (*engine.Spec, error) {
	r.c.mu.Lock()
	if v.version != r.version {
		r.c.mu.Unlock()
		return nil, errOutdated
	}
	declares := r.spec.Job.Executor == nil && v.spec.Job.Executor != nil
	next := run{uid: r.uid, spec: v.spec, declared: v.declared, generation: r.generation, shown: r.shown}
	if !sameSpec(r.spec, v.spec) {
		next.generation++
	}
	r.c.mu.Unlock()
	if err := r.c.batch.SaveRecord(context.Background(), specKey(v.spec.Name), next.saveSpec()); err != nil {
		return nil, storeError(err)
	}
	if declares {
		for _, j := range r.engine.Owned() {
			if err := declareJob(context.Background(), r.c.batch, &v.spec, j.Name); err != nil {
				return nil, storeError(err)
			}
		}
	}
	spec := v.spec.engineSpec()
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.spec, r.declared, r.generation = v.spec, v.declared, next.generation
	r.version++
	r.specChanged = true
	r.engine.Held = v.spec.Job.Executor == nil
	r.shown.Spec = &spec
	return &spec, nil
}
