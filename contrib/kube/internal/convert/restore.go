package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
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

// An Origin says who asked for a job that was made of a manifest. It is the
// annotation in which the job keeps that manifest: so it is stored with the job,
// and found by a later process. Each origin has its own, so that what clients
// have created never runs by the rules for Go code.
type Origin string

// The origins.
const (
	FromCode   Origin = "kube.runtocompletion.dev/manifest"
	FromClient Origin = "kube.runtocompletion.dev/client-manifest"
)

// MetadataAnnotation is where the API keeps the metadata that a job has no field
// for.
const MetadataAnnotation = "kube.runtocompletion.dev/metadata"

// DropKept removes what a job keeps from the annotations of a manifest, which
// neither show it nor can set it.
func DropKept(annotations map[string]string) {
	for _, key := range []string{string(FromCode), string(FromClient), MetadataAnnotation, cron.OwnerAnnotation} {
		delete(annotations, key)
	}
}

// keep returns what a job keeps of its manifest, as text and read again: the job
// runs from the start what it would run after a restart. Left out are labels and
// annotations, which are the job's own, and what is not shown again.
func keep(m *batchv1.Job) (kept *batchv1.Job, text string, err error) {
	short := *m
	short.Labels, short.Annotations = nil, nil
	short.Finalizers, short.ManagedFields, short.Status = nil, nil, batchv1.JobStatus{}
	short.Spec.Scheduling = nil // dropped, as by a server whose feature gate is off
	data, err := json.Marshal(&short)
	if err != nil {
		return nil, "", fmt.Errorf("job %q: %w", m.Name, err)
	}
	kept, err = read(data)
	return kept, string(data), err
}

func read(text []byte) (*batchv1.Job, error) {
	m := new(batchv1.Job)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, err
	}
	if len(m.Spec.Template.Spec.Containers) == 0 {
		return nil, errors.New("the manifest has no containers")
	}
	return m, nil
}

// keptManifest returns the manifest that a job of that origin keeps, without
// labels and annotations. The error is about one that is not there, or cannot be
// the job's: Go code may set any annotation.
func keptManifest(job batch.Job, origin Origin) (*batchv1.Job, error) {
	m, err := read([]byte(job.Annotations[string(origin)]))
	if err == nil && m.Name == "" { // it is the template of a CronJob
		m.Name = job.Name
		validation.Default(m)
	}
	if err == nil && m.Name != job.Name {
		err = fmt.Errorf("it is the manifest of job %q", m.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", origin, err)
	}
	return m, nil
}

// carry returns a copy of a manifest's annotations with the manifest and the owner
// that a job's annotations keep.
func carry(job, m map[string]string) map[string]string {
	annotations := make(map[string]string, len(m)+1)
	maps.Copy(annotations, m)
	DropKept(annotations)
	for _, key := range []string{string(FromCode), string(FromClient), cron.OwnerAnnotation} {
		if text, ok := job[key]; ok {
			annotations[key] = text
		}
	}
	return annotations
}
