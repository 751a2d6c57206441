package convert

import (
	"context"
	"errors"
	"sync"

	"github.com/runtocompletion/batch"
)

// A Refusal says why a stored job has not got its executor back.
type Refusal struct {
	Job string
	Err error
}

// restoring is how many jobs are declared at once: they share the commits of
// their store.
const restoring = 32

// Restore declares the jobs of an origin again that a controller has found in its
// store and that wait for that: as they are, with the executor that [Runner.Job]
// makes of the manifest they keep. It returns the jobs that still wait, in order
// of name, with the error of Job or of [batch.Controller.Update].
func (r *Runner) Restore(ctx context.Context, c *batch.Controller, origin Origin) []Refusal {
	var names []string
	for status := range c.All() {
		if status.Is(batch.ConditionStalled) {
			names = append(names, status.Name)
		}
	}
	errs := make([]error, len(names))
	var running sync.WaitGroup
	slots := make(chan struct{}, restoring)
	for i, name := range names {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			errs[i] = r.restore(ctx, c, name, origin)
		})
	}
	running.Wait()
	var refusals []Refusal
	for i, err := range errs {
		if err != nil {
			refusals = append(refusals, Refusal{names[i], err})
		}
	}
	return refusals
}

// restore declares a job as it is, unless it is gone, or somebody else has done
// that, or will.
func (r *Runner) restore(ctx context.Context, c *batch.Controller, name string, origin Origin) error {
	job, err := c.Job(name)
	if err != nil || !waits(job, origin) {
		return nil
	}
	if _, err := r.again(job, origin); err != nil {
		return err // without a change of the job
	}
	var refusal error
	err = c.Update(ctx, name, func(job *batch.Job) {
		refusal = nil
		if waits(*job, origin) {
			var made batch.Job
			made, refusal = r.again(*job, origin)
			job.Executor, job.FailurePolicy = made.Executor, made.FailurePolicy // all that is code
		}
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	return errors.Join(refusal, err)
}

// waits reports whether a job of that origin waits to be declared.
func waits(job batch.Job, origin Origin) bool {
	_, ours := job.Annotations[string(origin)]
	return ours && job.Executor == nil
}

// again makes a job once more of the manifest that it keeps.
func (r *Runner) again(job batch.Job, origin Origin) (batch.Job, error) {
	m, err := keptManifest(job, origin)
	if err != nil {
		return batch.Job{}, err
	}
	made, _, err := r.Job(m, origin)
	return made, err
}

// Obstacle is why a job that waits to be declared cannot be restored, nil if
// nothing is known to be in the way, or it is not of that origin.
func (r *Runner) Obstacle(job batch.Job, origin Origin) error {
	if !waits(job, origin) {
		return nil
	}
	_, err := r.again(job, origin)
	return err
}
