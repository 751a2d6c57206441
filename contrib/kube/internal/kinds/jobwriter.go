package kinds

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// metadata is what a batch.Job or a cron.CronJob has no field for. It is kept in an
// annotation, which is changed together with the job, and goes with it.
type metadata struct {
	GenerateName    string                      `json:"generateName,omitempty"`
	ManagedFields   []metav1.ManagedFieldsEntry `json:"managedFields,omitempty"`
	OwnerReferences []metav1.OwnerReference     `json:"ownerReferences,omitempty"`
	TemplateName    string                      `json:"templateName,omitempty"` // of a CronJob's jobs, which nobody uses
}

// takeMetadata takes the metadata out of a job's annotations. What does not read
// as such is nothing: Go code may set any annotation.
func takeMetadata(annotations map[string]string) metadata {
	var m metadata
	text, ok := annotations[convert.MetadataAnnotation]
	if !ok {
		return m
	}
	delete(annotations, convert.MetadataAnnotation)
	if json.Unmarshal([]byte(text), &m) != nil {
		return metadata{}
	}
	return m
}

// restore puts the metadata where it belongs in a manifest.
func (m metadata) restore(o Object) {
	o.SetGenerateName(m.GenerateName)
	o.SetManagedFields(m.ManagedFields)
	o.SetOwnerReferences(m.OwnerReferences)
	if c, ok := o.(*batchv1.CronJob); ok {
		c.Spec.JobTemplate.Name = m.TemplateName
	}
}

// keepMetadata puts what a job has no field for into its annotations. That it belongs
// to a CronJob is an annotation of its own.
func keepMetadata(o Object, annotations map[string]string) (map[string]string, error) {
	delete(annotations, convert.MetadataAnnotation)
	owners := slices.DeleteFunc(slices.Clone(o.GetOwnerReferences()), isCronJob)
	m := metadata{GenerateName: o.GetGenerateName(), ManagedFields: o.GetManagedFields(), OwnerReferences: owners}
	if c, ok := o.(*batchv1.CronJob); ok {
		m.TemplateName = c.Spec.JobTemplate.Name
	}
	if m.GenerateName == "" && len(m.ManagedFields) == 0 && len(m.OwnerReferences) == 0 && m.TemplateName == "" {
		return annotations, nil
	}
	if annotations == nil {
		annotations = make(map[string]string)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	annotations[convert.MetadataAnnotation] = string(text)
	return annotations, nil
}
