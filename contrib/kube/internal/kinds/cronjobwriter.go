package kinds

import (
	"context"
	"errors"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// A cronJobWriter creates and changes CronJobs.
type cronJobWriter struct {
	*Host
	managed *fieldmanager.Manager
}

func (c *cronJobWriter) Managed() *fieldmanager.Manager { return c.managed }

func (c *cronJobWriter) Prepare(_ *wire.Answer, m Object) {
	cronJob := m.(*batchv1.CronJob)
	cronJob.Status = batchv1.CronJobStatus{}
	dropKept(cronJob)
}

// dropKept removes what clients can set neither of a CronJob nor of its jobs.
func dropKept(m *batchv1.CronJob) {
	convert.DropKept(m.Annotations)
	convert.DropKept(m.Spec.JobTemplate.Annotations)
}

func (c *cronJobWriter) Default(m Object) { validation.DefaultCronJob(m.(*batchv1.CronJob)) }

func (c *cronJobWriter) Create(a *wire.Answer, o Object, dry bool) (Object, error) {
	m := o.(*batchv1.CronJob)
	if errs := append(validation.ValidateCronJob(m), checkOwned(m, new(batchv1.CronJob))...); len(errs) > 0 {
		return nil, invalidCronJob(m.Name, errs)
	}
	warn(a, validation.CronJobWarnings(m, nil))
	job, warnings, err := c.Runner.CronJob(m)
	if err != nil {
		return nil, cronJobError(m.Name, err)
	}
	warn(a, warnings)
	if job.Annotations, err = keepMetadata(m, job.Annotations); err != nil {
		return nil, err
	}
	if dry {
		return c.pretend(job)
	}
	if err := c.CronJobs.Create(a.Request.Context(), job); err != nil {
		return nil, cronJobError(m.Name, err)
	}
	if o := c.Cache.CronJob(m.Name); o != nil {
		return c.cronJob(o), nil
	}
	return c.cronJobManifest(newCronJob(job), 0), nil // it is done, and was removed
}

// pretend returns what a CronJob would look like.
func (c *cronJobWriter) pretend(job cron.CronJob) (Object, error) {
	if c.Cache.CronJob(job.Name) != nil {
		return nil, apierrors.NewAlreadyExists(cronJobResource, job.Name)
	}
	m := c.cronJobManifest(newCronJob(job), 0)
	m.ResourceVersion = ""
	return m, nil
}

func newCronJob(job cron.CronJob) *watchcache.CronJob {
	status := newStatus(batch.Job{Name: job.Name})
	return &watchcache.CronJob{Spec: job, Status: cron.Status{
		Name: job.Name, UID: status.UID, Generation: status.Generation, CreatedAt: status.CreatedAt}}
}

func (c *cronJobWriter) Complete(_ *wire.Answer, o, l Object) {
	updated, live := o.(*batchv1.CronJob), l.(*batchv1.CronJob)
	updated.Status = *live.Status.DeepCopy()
	dropKept(updated)
	validation.DefaultCronJob(updated)
	if !equality.Semantic.DeepEqual(live.Spec, updated.Spec) {
		updated.Generation++
	}
}

func (c *cronJobWriter) Check(a *wire.Answer, o, l Object) error {
	updated, live := o.(*batchv1.CronJob), l.(*batchv1.CronJob)
	errs := append(validation.ValidateCronJobUpdate(updated, live), checkOwned(updated, live)...)
	if len(errs) > 0 {
		return invalidCronJob(updated.Name, errs)
	}
	warn(a, validation.CronJobWarnings(updated, live))
	found := c.Cache.CronJob(updated.Name)
	if found == nil {
		return apierrors.NewNotFound(cronJobResource, updated.Name)
	}
	changed := found.CronJob.Spec
	warnings, err := c.Runner.ChangeCronJob(&changed, updated)
	if err != nil {
		return cronJobError(updated.Name, err)
	}
	warn(a, warnings)
	return nil
}

func (c *cronJobWriter) Change(ctx context.Context, name string, modify func() (Object, error)) error {
	var refused error
	err := c.CronJobs.Update(ctx, name, func(job *cron.CronJob) {
		var again Object
		if again, refused = modify(); refused == nil {
			refused = c.change(job, again.(*batchv1.CronJob))
		}
	})
	if err := errors.Join(err, refused); err != nil {
		return cronJobError(name, err)
	}
	return nil
}

// change makes a CronJob what its manifest says.
func (c *cronJobWriter) change(job *cron.CronJob, m *batchv1.CronJob) error {
	changed := *job
	if _, err := c.Runner.ChangeCronJob(&changed, m); err != nil {
		return err
	}
	annotations, err := keepMetadata(m, changed.Annotations)
	if err != nil {
		return err
	}
	changed.Annotations = annotations
	*job = changed
	return nil
}
