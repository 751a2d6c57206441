package kinds

import (
	"context"
	"errors"
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

var (
	cronJobKind     = batchv1.SchemeGroupVersion.WithKind("CronJob")
	cronJobResource = schema.GroupResource{Group: batchv1.GroupName, Resource: "cronjobs"}
)

func (h *Host) cronJobs() *Kind {
	empty := new(batchv1.CronJob)
	return &Kind{GroupVersionKind: cronJobKind, Plural: "cronjobs", Singular: "cronjob",
		Namespaced: true, ShortNames: []string{"cj"}, Categories: []string{"all"}, Verbs: jobVerbs,
		Objects: h.Cache.Of(watchcache.CronJobs), Empty: empty,
		Build:   func(o *watchcache.Object) Object { return h.cronJob(o) },
		Columns: cronJobColumns, Cells: cellsOf(cronJobCells),
		Fields: metaFields, NoField: "field label not supported: %s", JobName: jobOfJob,
		Writer: &cronJobWriter{h, fieldmanager.New(h.Scheme, cronJobKind, empty, "")}, Delete: h.deleteCronJob,
		Parts: []Part{status("cronjobs")}}
}

// cronJob makes the manifest of a CronJob, or of that of an event.
func (h *Host) cronJob(o *watchcache.Object) *batchv1.CronJob {
	return h.cronJobManifest(o.CronJob, o.Version)
}

func (h *Host) cronJobManifest(c *watchcache.CronJob, version uint64) *batchv1.CronJob {
	spec := c.Spec
	spec.Annotations = maps.Clone(spec.Annotations)
	kept := takeMetadata(spec.Annotations)
	m := convert.CronJobManifest(spec, c.Status, c.DeletedAt, h.Namespace)
	m.ResourceVersion = FormatVersion(version)
	kept.restore(m)
	return m
}

// deleteCronJob removes a CronJob. It returns the CronJob if that waits for its jobs.
func (h *Host) deleteCronJob(a *wire.Answer, o *watchcache.Object, options *metav1.DeleteOptions) (
	*watchcache.Object, error) {
	propagation, _ := propagationOf(options)
	if len(options.DryRun) > 0 {
		return nil, nil
	}
	if err := h.CronJobs.Delete(a.Request.Context(), o.Name, propagation); err != nil {
		return nil, errorOf(cronJobKind, cronJobResource, o.Name, err)
	}
	if left := h.Cache.CronJob(o.Name); left != nil && UIDOf(left) == UIDOf(o) {
		return left, nil
	}
	return nil, nil
}

func isCronJob(r metav1.OwnerReference) bool {
	return r.Kind == cronJobKind.Kind && r.APIVersion == cronJobKind.GroupVersion().String()
}

// showOwner shows the CronJob that a job belongs to.
func (h *Host) showOwner(job *batchv1.Job, spec batch.Job) {
	if h.CronJobs == nil {
		return
	}
	owner, blocks, ok := h.CronJobs.Owner(spec)
	if !ok {
		return
	}
	ref := metav1.OwnerReference{APIVersion: cronJobKind.GroupVersion().String(), Kind: cronJobKind.Kind,
		Name: owner.Name, UID: types.UID(owner.UID), Controller: new(true)}
	if blocks {
		ref.BlockOwnerDeletion = new(true)
	}
	job.OwnerReferences = append(job.OwnerReferences, ref)
}

// cronJobOf finds the CronJob that a new job says it belongs to; nil if it does not.
func (h *Host) cronJobOf(m *batchv1.Job) (*watchcache.CronJob, field.ErrorList) {
	refs := m.OwnerReferences
	if h.CronJobs == nil || len(refs) != 1 || !isCronJob(refs[0]) {
		return nil, checkOwned(m, new(batchv1.Job))
	}
	unowned := m.DeepCopy()
	unowned.OwnerReferences = nil
	errs := checkOwned(unowned, new(batchv1.Job))
	o := h.Cache.CronJob(refs[0].Name)
	if o == nil || UIDOf(o) != refs[0].UID {
		return nil, append(errs, field.Invalid(field.NewPath("metadata", "ownerReferences").Index(0),
			fmt.Sprintf("%s %s", refs[0].Name, refs[0].UID), "there is no CronJob of this name and UID"))
	}
	return o.CronJob, errs
}

// jobOf is the job of a manifest. One that a CronJob's template says, as kubectl create
// job --from sends it, is the CronJob's job also if that is one of Go code.
func (j *jobWriter) jobOf(m *batchv1.Job, from *watchcache.CronJob) (job batch.Job, warnings []string, err error) {
	if from != nil && convert.IsFromTemplate(m, j.cronJobManifest(from, 0)) {
		if from.Spec.Job.Executor == nil {
			err = wire.Conflict(jobResource, m.Name, "%w: %q", cron.ErrNotDeclared, from.Spec.Name)
		}
		return convert.FromCronJob(from.Spec, from.Status.UID, m), nil, err
	}
	job, warnings, err = j.Runner.Job(m, convert.FromClient)
	if err == nil && from != nil {
		job.Annotations[cron.OwnerAnnotation] = from.Status.UID
	}
	return job, warnings, err
}

var (
	cronSpecDoc   = batchv1.CronJobSpec{}.SwaggerDoc()
	cronStatusDoc = batchv1.CronJobStatus{}.SwaggerDoc()
)

var cronJobColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Schedule", "string", "", cronSpecDoc["schedule"], 0),
	column("Timezone", "string", "", cronSpecDoc["timeZone"], 0),
	column("Suspend", "boolean", "", cronSpecDoc["suspend"], 0),
	column("Active", "integer", "", cronStatusDoc["active"], 0),
	column("Last Schedule", "string", "", cronStatusDoc["lastScheduleTime"], 0),
	ageColumn(),
	column("Containers", "string", "", "Names of each container in the template.", 1),
	column("Images", "string", "", "Images referenced by each container in the template.", 1),
	column("Selector", "string", "", batchv1.JobSpec{}.SwaggerDoc()["selector"], 1),
}

func cronJobCells(c *batchv1.CronJob) []any {
	zone, last, suspend := none, none, "False"
	if c.Spec.TimeZone != nil {
		zone = *c.Spec.TimeZone
	}
	if c.Status.LastScheduleTime != nil {
		last = since(*c.Status.LastScheduleTime)
	}
	if s := c.Spec.Suspend; s != nil && *s {
		suspend = "True"
	}
	template := &c.Spec.JobTemplate.Spec
	names, images := containers(template.Template.Spec.Containers)
	return []any{c.Name, c.Spec.Schedule, zone, suspend, int64(len(c.Status.Active)), last, since(c.CreationTimestamp),
		names, images, selector(template.Selector)}
}

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
		return nil, invalid(cronJobKind, m.Name, errs)
	}
	warn(a, validation.CronJobWarnings(m, nil))
	job, warnings, err := c.Runner.CronJob(m)
	if err != nil {
		return nil, errorOf(cronJobKind, cronJobResource, m.Name, err)
	}
	warn(a, warnings)
	if job.Annotations, err = keepMetadata(m, job.Annotations); err != nil {
		return nil, err
	}
	if dry {
		return c.pretend(job)
	}
	if err := c.CronJobs.Create(a.Request.Context(), job); err != nil {
		return nil, errorOf(cronJobKind, cronJobResource, m.Name, err)
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
		return invalid(cronJobKind, updated.Name, errs)
	}
	warn(a, validation.CronJobWarnings(updated, live))
	found := c.Cache.CronJob(updated.Name)
	if found == nil {
		return apierrors.NewNotFound(cronJobResource, updated.Name)
	}
	changed := found.CronJob.Spec
	warnings, err := c.Runner.ChangeCronJob(&changed, updated)
	if err != nil {
		return errorOf(cronJobKind, cronJobResource, updated.Name, err)
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
		return errorOf(cronJobKind, cronJobResource, name, err)
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
