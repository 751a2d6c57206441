package kinds

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// status is the part of a job by which the manager of a job reports what becomes of it.
func (j *jobWriter) status() Part {
	part := status("jobs")
	part.Verbs = []string{"get", "patch", "update"}
	part.Writer = &jobStatusWriter{jobWriter: j, managed: fieldmanager.New(j.Scheme, jobKind, new(batchv1.Job), part.Name)}
	part.Refuse = func(o *watchcache.Object) error {
		if o.Job.Status.ManagedBy != "" {
			return nil
		}
		return wire.NotAllowed("the status of a job without managedBy is set by this server alone: it can be read")
	}
	return part
}

// A jobStatusWriter changes the status of jobs that another controller manages, and
// metadata.
type jobStatusWriter struct {
	*jobWriter
	managed *fieldmanager.Manager
	mu      sync.Mutex // held from a look at a job until its status has changed
}

func (s *jobStatusWriter) Managed() *fieldmanager.Manager { return s.managed }

// Create is what an apply to a job asks for that is gone.
func (s *jobStatusWriter) Create(_ *wire.Answer, m Object, _ bool) (Object, error) {
	return nil, apierrors.NewNotFound(jobResource, m.GetName())
}

func (s *jobStatusWriter) Complete(_ *wire.Answer, o, l Object) {
	updated, live := o.(*batchv1.Job), l.(*batchv1.Job)
	updated.Spec = *live.Spec.DeepCopy()
	convert.DropKept(updated.Annotations)
	updated.Status.Conditions = slices.DeleteFunc(updated.Status.Conditions,
		func(c batchv1.JobCondition) bool { return c.Type == ConditionFinished })
	addFinished(updated)
}

// Check leaves to the controller how a status may follow another one.
func (s *jobStatusWriter) Check(a *wire.Answer, o, l Object) error {
	updated, live := o.(*batchv1.Job), l.(*batchv1.Job)
	if a.Request.URL.Query().Get("dryRun") != "" {
		return wire.BadRequest("a status cannot be written in a dry run: it is compared with the last one when it is taken")
	}
	errs := validation.ValidateObjectMetaUpdate(&updated.ObjectMeta, &live.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, checkOwned(updated, live)...)
	_, more := convert.Reported(&updated.Status, batch.Status{})
	if errs = append(errs, more...); len(errs) > 0 {
		return invalid(jobKind, updated.Name, errs)
	}
	if pods := updated.Status.UncountedTerminatedPods; pods != nil && len(pods.Succeeded)+len(pods.Failed) > 0 {
		a.Warn("status.uncountedTerminatedPods: not kept here")
	}
	return nil
}

// Change lets the controller judge and take a status. Metadata comes after it, if that has
// changed.
func (s *jobStatusWriter) Change(ctx context.Context, name string, modify func() (Object, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := modify()
	if err != nil {
		return err
	}
	updated, live := o.(*batchv1.Job), s.Cache.Job(name)
	if live == nil {
		return apierrors.NewNotFound(jobResource, name)
	}
	next, _ := convert.Reported(&updated.Status, live.Job.Status) // checked by modify
	next.Conditions = slices.DeleteFunc(next.Conditions,
		func(c batch.Condition) bool { return c.Type == string(ConditionFinished) })
	if err := s.Controller.Report(ctx, name, batch.Report{UID: string(updated.UID), Status: &next}); err != nil {
		return errorOf(jobKind, jobResource, name, err)
	}
	return s.changeMetadata(ctx, s.buildJob(live).(*batchv1.Job), updated)
}

func (s *jobStatusWriter) changeMetadata(ctx context.Context, live, updated *batchv1.Job) error {
	if equality.Semantic.DeepEqual(live.ManagedFields, updated.ManagedFields) &&
		maps.Equal(live.Labels, updated.Labels) && maps.Equal(live.Annotations, updated.Annotations) {
		return nil
	}
	var refused error
	err := s.Controller.Update(ctx, live.Name, func(job *batch.Job) {
		convert.ChangeMetadata(job, updated)
		job.Annotations, refused = keepMetadata(updated, job.Annotations)
	})
	if err := errors.Join(err, refused); err != nil {
		return errorOf(jobKind, jobResource, live.Name, err)
	}
	return nil
}
