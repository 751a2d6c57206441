package cron

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/internal/fields"
)

// The annotations of jobs.
const (
	// ScheduledAnnotation is the time that a job was started for, in RFC 3339, in the
	// zone of its CronJob.
	ScheduledAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp"
	// InstantiateAnnotation is "manual" in a job that [Controller.Trigger] has made.
	InstantiateAnnotation = "cronjob.kubernetes.io/instantiate"
	// OwnerAnnotation is the UID of the CronJob that a job belongs to. It stands for
	// the owner reference that the job has in Kubernetes.
	OwnerAnnotation = "batch.runtocompletion.io/cronjob-uid"
)

// ScheduledTime returns the time that the job of an executor's context was started
// for, to the second, in the zone of the CronJob. It is false for a job that was
// made by [Controller.Trigger], or is not of a CronJob.
func ScheduledTime(ctx context.Context) (time.Time, bool) {
	at, ok := ctx.Value(scheduledKey{}).(time.Time)
	return at, ok && !at.IsZero()
}

type scheduledKey struct{}

// A scheduled executor knows the time of its job. It waits until it is stored that
// the job was started: what has not run may be started again after a crash.
type scheduled struct {
	batch.Executor
	at       time.Time // zero if there is none
	recorded chan struct{}
}

var _ batch.PendingExecutor = (*scheduled)(nil)

// Execute runs the template's executor.
func (s *scheduled) Execute(ctx context.Context, a batch.Attempt) error {
	select {
	case <-s.recorded:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return s.Executor.Execute(context.WithValue(ctx, scheduledKey{}, s.at), a)
}

// HoldsPending asks the template's executor.
func (s *scheduled) HoldsPending() bool {
	p, ok := s.Executor.(batch.PendingExecutor)
	return ok && p.HoldsPending()
}

// Unwrap returns the template's executor.
func (s *scheduled) Unwrap() batch.Executor { return s.Executor }

// undeclaredExecutor stands in where only the rest of a job matters.
func undeclaredExecutor(context.Context, batch.Attempt) error {
	return errors.New("cron: executor not declared") // it is never called
}

// newJob makes a job from the template. It is owned, and does not run before
// recorded is closed.
func newJob(c *CronJob, owner, name string, at time.Time, recorded chan struct{}) batch.Job {
	job := c.Job // the one that creates it copies what it points to
	job.Name = name
	annotations := make(map[string]string, len(job.Annotations)+2)
	maps.Copy(annotations, job.Annotations)
	annotations[OwnerAnnotation] = owner
	if at.IsZero() {
		annotations[InstantiateAnnotation] = "manual"
	} else {
		said := at
		if c.TimeZone == "" { // as in Kubernetes, whatever zone the process is in
			said = at.UTC()
		}
		annotations[ScheduledAnnotation] = said.Format(time.RFC3339)
	}
	job.Annotations = annotations
	job.Executor = &scheduled{job.Executor, at, recorded}
	return job
}

// closed is for executors of jobs that are known to be stored.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// declareJob gives a job found in a store its functions, unless it has them.
func declareJob(ctx context.Context, b *batch.Controller, c *CronJob, name string) error {
	err := b.Update(ctx, name, func(j *batch.Job) {
		if j.Executor != nil {
			return
		}
		at, err := time.Parse(time.RFC3339, j.Annotations[ScheduledAnnotation])
		if zone, bad := c.location(); err == nil && bad == nil {
			at = at.In(zone)
		}
		fields.Give(j, &c.Job)
		j.Executor = &scheduled{c.Job.Executor, at, closed}
		if j.FailurePolicy == nil || c.Job.FailurePolicy == nil {
			return
		}
		for i := range min(len(j.FailurePolicy), len(c.Job.FailurePolicy)) {
			j.FailurePolicy[i].OnError = c.Job.FailurePolicy[i].OnError
		}
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	return err
}

// jobOf is a job as the engine wants it. Annotations are those of its spec.
func jobOf(s batch.Status, annotations map[string]string) engine.Job {
	j := engine.Job{
		Ref:     engine.Ref{Name: s.Name, UID: s.UID},
		Manual:  annotations[InstantiateAnnotation] != "",
		Created: s.CreatedAt.UnixNano(),
		Started: nanoseconds(s.StartTime),
	}
	if at, err := time.Parse(time.RFC3339, annotations[ScheduledAnnotation]); err == nil {
		j.Scheduled = at.Unix()
	}
	return withProgress(j, s)
}

// withProgress is j as its job is now.
func withProgress(j engine.Job, s batch.Status) engine.Job {
	j.Started = nanoseconds(s.StartTime)
	if c, ok := s.Condition(batch.ConditionComplete); ok && s.Is(batch.ConditionComplete) {
		j.Phase, j.Finished, j.Reason = engine.Complete, nanoseconds(s.CompletionTime), c.Reason
	}
	if c, ok := s.Condition(batch.ConditionFailed); ok && s.Is(batch.ConditionFailed) {
		j.Phase, j.Finished, j.Reason = engine.Failed, nanoseconds(c.LastTransitionTime), c.Reason
	}
	return j
}

func nanoseconds(t time.Time) engine.Time {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// refusal is the text of an error of the creation of a job, in Kubernetes' form.
func refusal(name string, err error) string {
	failed, ok := errors.AsType[*batch.ValidationError](err)
	if !ok {
		return err.Error()
	}
	texts := make([]string, len(failed.Fields))
	for i, f := range failed.Fields {
		texts[i] = f.Error()
	}
	text := strings.Join(texts, ", ")
	if len(texts) > 1 {
		text = "[" + text + "]"
	}
	return `Job.batch "` + name + `" is invalid: ` + text
}
