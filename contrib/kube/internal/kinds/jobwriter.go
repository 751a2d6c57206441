package kinds

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// A jobWriter creates and changes jobs.
type jobWriter struct {
	*Host
	managed *fieldmanager.Manager
}

func (j *jobWriter) Managed() *fieldmanager.Manager { return j.managed }

func (j *jobWriter) Prepare(_ *wire.Answer, m Object) {
	job := m.(*batchv1.Job)
	job.Status = batchv1.JobStatus{}
	convert.DropKept(job.Annotations)
}

func (j *jobWriter) Default(m Object) { validation.Default(m.(*batchv1.Job)) }

func (j *jobWriter) Create(a *wire.Answer, o Object, dry bool) (Object, error) {
	m := o.(*batchv1.Job)
	from, errs := j.cronJobOf(m)
	if errs = append(validation.Validate(m), errs...); len(errs) > 0 {
		return nil, invalid(jobKind, m.Name, errs)
	}
	warn(a, validation.Warnings(m))
	job, warnings, err := j.jobOf(m, from)
	if err != nil {
		return nil, errorOf(jobKind, jobResource, m.Name, err)
	}
	warn(a, warnings)
	if job.Annotations, err = keepMetadata(m, job.Annotations); err != nil {
		return nil, err
	}
	if dry {
		return j.pretend(job)
	}
	if err := j.Controller.Create(a.Request.Context(), job); err != nil {
		return nil, errorOf(jobKind, jobResource, job.Name, err)
	}
	if o := j.Cache.Job(job.Name); o != nil {
		return j.buildJob(o), nil
	}
	return j.manifest(job, newStatus(job), 0), nil // it is done, and was removed
}

// pretend returns what a job would look like.
func (j *jobWriter) pretend(job batch.Job) (Object, error) {
	if j.Cache.Job(job.Name) != nil {
		return nil, apierrors.NewAlreadyExists(jobResource, job.Name)
	}
	o := j.manifest(job, newStatus(job), 0)
	o.ResourceVersion = ""
	o.Status = batchv1.JobStatus{} // as of a job that no controller has seen
	return o, nil
}

func newStatus(job batch.Job) batch.Status {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	uid := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return batch.Status{Name: job.Name, UID: uid, Generation: 1, CreatedAt: time.Now()}
}

func (j *jobWriter) Complete(_ *wire.Answer, o, l Object) {
	updated, live := o.(*batchv1.Job), l.(*batchv1.Job)
	updated.Status = *live.Status.DeepCopy()
	convert.DropKept(updated.Annotations)
	validation.Default(updated)
	if !equality.Semantic.DeepEqual(live.Spec, updated.Spec) {
		updated.Generation++
	}
}

func (j *jobWriter) Check(a *wire.Answer, o, l Object) error {
	updated, live := o.(*batchv1.Job), l.(*batchv1.Job)
	errs := append(validation.ValidateUpdate(updated, live), checkOwned(updated, live)...)
	if len(errs) > 0 {
		return invalid(jobKind, updated.Name, errs)
	}
	if equality.Semantic.DeepEqual(live.Spec.Template, updated.Spec.Template) {
		return nil
	}
	warnings, err := j.Runner.Check(updated)
	if err != nil {
		return errorOf(jobKind, jobResource, updated.Name, err)
	}
	warn(a, warnings)
	return nil
}

func warn(a *wire.Answer, warnings []string) {
	for _, warning := range warnings {
		a.Warn(warning)
	}
}

// checkOwned refuses what somebody would have to wait for who is not here, unless
// it was there before.
func checkOwned(m, live Object) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("metadata")
	if !equality.Semantic.DeepEqual(m.GetFinalizers(), live.GetFinalizers()) {
		errs = append(errs, field.Forbidden(path.Child("finalizers"),
			"nobody here would remove them, and the job would never go"))
	}
	if !equality.Semantic.DeepEqual(m.GetOwnerReferences(), live.GetOwnerReferences()) {
		errs = append(errs, field.Forbidden(path.Child("ownerReferences"),
			"owners are not served here, and the job would outlive them"))
	}
	return errs
}

func (j *jobWriter) Change(ctx context.Context, name string, modify func() (Object, error)) error {
	var refused error
	err := j.Controller.Update(ctx, name, func(job *batch.Job) {
		var again Object
		if again, refused = modify(); refused == nil {
			refused = changeJob(job, again.(*batchv1.Job))
		}
	})
	if err := errors.Join(err, refused); err != nil {
		return errorOf(jobKind, jobResource, name, err)
	}
	return nil
}

// changeJob makes a job what its manifest says.
func changeJob(job *batch.Job, m *batchv1.Job) error {
	if err := convert.Change(job, m); err != nil {
		return err
	}
	annotations, err := keepMetadata(m, job.Annotations)
	if err != nil {
		return err
	}
	job.Annotations = annotations
	return nil
}
