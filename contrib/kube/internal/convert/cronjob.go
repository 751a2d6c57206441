package convert

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
	"github.com/runtocompletion/batch/internal/fields"
)

// templatePath is where the template of a CronJob has what a job has at its root.
const templatePath = "spec.jobTemplate."

// CronJob returns the CronJob that m describes, which has its defaults and is valid.
// Its jobs keep the template, as a manifest without a name, from which they and the
// CronJob find their executor again. Errors and warnings are those of [Runner.Job].
func (r *Runner) CronJob(m *batchv1.CronJob) (c cron.CronJob, warnings []string, err error) {
	c = validation.Timing(m)
	c.Labels, c.Annotations = m.Labels, maps.Clone(m.Annotations)
	DropKept(c.Annotations)
	c.Job, warnings, err = r.template(templateOf(m))
	return c, warnings, err
}

// templateOf is the template of a CronJob's jobs, as a job.
func templateOf(m *batchv1.CronJob) *batchv1.Job {
	t := &m.Spec.JobTemplate
	meta := metav1.ObjectMeta{Namespace: m.Namespace, Labels: t.Labels, Annotations: t.Annotations}
	return &batchv1.Job{ObjectMeta: meta, Spec: t.Spec}
}

// template is the job of a template.
func (r *Runner) template(m *batchv1.Job) (job batch.Job, warnings []string, err error) {
	s := r.support(m)
	for _, w := range s.warnings {
		warnings = append(warnings, templatePath+w)
	}
	kept, text, err := keep(m)
	if err == nil {
		err = s.errs.ToAggregate()
	}
	if err != nil {
		return batch.Job{}, warnings, inTemplate(err)
	}
	job = jobOf(m, r.executor(kept))
	if job.LogLimit, err = logLimit(m, r.LogLimit); err != nil {
		return batch.Job{}, warnings, inTemplate(err)
	}
	job.Annotations = carry(map[string]string{string(FromClient): text}, m.Annotations)
	return job, warnings, nil
}

// inTemplate moves errors about a job to the template that it is.
func inTemplate(err error) error {
	if all, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, each := range all.Errors() {
			_ = inTemplate(each) // it is changed in place
		}
		return err
	}
	if one, ok := errors.AsType[*field.Error](err); ok {
		one.Field = templatePath + one.Field
	}
	return err
}

// CronJobManifest returns a CronJob as the API server would show it. One of Go code
// has a template with one container, as [Manifest] has it. DeletedAt is when its
// deletion began to wait for its jobs, zero if it does not.
func CronJobManifest(c cron.CronJob, status cron.Status, deletedAt time.Time, namespace string) *batchv1.CronJob {
	namespace = namespaceOr(namespace)
	m := &batchv1.CronJob{
		TypeMeta: metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "CronJob"},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.Name, Namespace: namespace, UID: types.UID(status.UID), Generation: status.Generation,
			CreationTimestamp: metav1.NewTime(status.CreatedAt),
			Labels:            maps.Clone(c.Labels), Annotations: maps.Clone(c.Annotations)},
		Spec:   cronJobSpec(c),
		Status: cronJobStatus(status, namespace),
	}
	DropKept(m.Annotations)
	if !deletedAt.IsZero() {
		m.DeletionTimestamp, m.DeletionGracePeriodSeconds = stamp(deletedAt), new(int64(0))
		m.Finalizers = []string{metav1.FinalizerDeleteDependents}
	}
	validation.DefaultCronJob(m)
	return m
}

func cronJobSpec(c cron.CronJob) batchv1.CronJobSpec {
	spec := batchv1.CronJobSpec{
		Schedule: c.Schedule, StartingDeadlineSeconds: wholeSeconds(c.StartingDeadline, nil),
		ConcurrencyPolicy: batchv1.ConcurrencyPolicy(c.ConcurrencyPolicy), Suspend: new(c.Suspend),
		SuccessfulJobsHistoryLimit: narrowed(c.SuccessfulJobsHistoryLimit),
		FailedJobsHistoryLimit:     narrowed(c.FailedJobsHistoryLimit),
		JobTemplate:                jobTemplate(c),
	}
	if c.TimeZone != "" {
		spec.TimeZone = new(c.TimeZone)
	}
	if c.StartingDeadline != nil && *c.StartingDeadline == cron.StartNothing {
		spec.StartingDeadlineSeconds = new(int64(0))
	}
	return spec
}

func jobTemplate(c cron.CronJob) batchv1.JobTemplateSpec {
	job := c.Job
	job.Name = c.Name
	m := template(job)
	if kept(job) == nil || !sameNumbers(job, jobOf(m, nil)) {
		putSpec(&m.Spec, job)
	}
	meta := metav1.ObjectMeta{Labels: maps.Clone(job.Labels), Annotations: maps.Clone(job.Annotations)}
	t := batchv1.JobTemplateSpec{ObjectMeta: meta, Spec: m.Spec}
	DropKept(t.Annotations)
	return t
}

// sameNumbers reports whether a job still has what its manifest says, which then can
// be shown without what it left out.
func sameNumbers(a, b batch.Job) bool {
	for _, j := range []*batch.Job{&a, &b} {
		j.Name, j.Labels, j.Annotations, j.LogLimit, j.Input = "", nil, nil, nil, nil
		fields.Drop(j)
	}
	return reflect.DeepEqual(a, b)
}

func cronJobStatus(s cron.Status, namespace string) batchv1.CronJobStatus {
	var active []corev1.ObjectReference
	for _, j := range s.Active {
		active = append(active, corev1.ObjectReference{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job",
			Namespace: namespace, Name: j.Name, UID: types.UID(j.UID)})
	}
	return batchv1.CronJobStatus{Active: active,
		LastScheduleTime: stamp(s.LastScheduleTime), LastSuccessfulTime: stamp(s.LastSuccessfulTime)}
}

// ChangeCronJob makes c what m says of it, which must be valid as an update. The
// template of one that Go code has declared can change in its numbers only.
func (r *Runner) ChangeCronJob(c *cron.CronJob, m *batchv1.CronJob) (warnings []string, err error) {
	before := CronJobManifest(*c, cron.Status{}, time.Time{}, m.Namespace)
	before.Spec.JobTemplate.Name = m.Spec.JobTemplate.Name // it says nothing
	next := validation.Timing(m)
	next.Labels, next.Annotations = m.Labels, carry(c.Annotations, m.Annotations)
	next.EachTimeOnce, next.Job = c.EachTimeOnce, c.Job
	if apiequality.Semantic.DeepEqual(before.Spec.StartingDeadlineSeconds, m.Spec.StartingDeadlineSeconds) {
		next.StartingDeadline = c.StartingDeadline // with the fractions of its seconds
	}
	switch {
	case apiequality.Semantic.DeepEqual(before.Spec.JobTemplate, m.Spec.JobTemplate):
	case isClients(c):
		if next.Job, warnings, err = r.template(templateOf(m)); err != nil {
			return warnings, err
		}
	default:
		if err := changeNumbers(&next.Job, &before.Spec.JobTemplate, &m.Spec.JobTemplate); err != nil {
			return nil, err
		}
	}
	*c = next
	return warnings, nil
}

// isClients reports whether a client has made a CronJob.
func isClients(c *cron.CronJob) bool {
	_, ours := c.Job.Annotations[string(FromClient)]
	_, isPod := c.Job.Executor.(*pod.Pod)
	return ours && (isPod || c.Job.Executor == nil)
}

// changeNumbers changes in a job of Go code what a live job can have changed.
func changeNumbers(job *batch.Job, before, m *batchv1.JobTemplateSpec) error {
	same := m.Spec.DeepCopy()
	from := &before.Spec
	same.Completions, same.Parallelism, same.BackoffLimit = from.Completions, from.Parallelism, from.BackoffLimit
	same.MaxFailedIndexes, same.ActiveDeadlineSeconds = from.MaxFailedIndexes, from.ActiveDeadlineSeconds
	same.TTLSecondsAfterFinished, same.Suspend = from.TTLSecondsAfterFinished, from.Suspend
	same.PodReplacementPolicy = from.PodReplacementPolicy
	if !apiequality.Semantic.DeepEqual(same, from) {
		return field.Forbidden(field.NewPath("spec", "jobTemplate", "spec"),
			"the jobs are those of Go code, whose template cannot change")
	}
	meta := metav1.ObjectMeta{Labels: m.Labels, Annotations: m.Annotations}
	setChangeable(job, &batchv1.Job{ObjectMeta: meta, Spec: m.Spec})
	return nil
}

// FromCronJob returns the job of m, which has the template of a CronJob: one that was
// made by hand, and belongs to it.
func FromCronJob(c cron.CronJob, uid string, m *batchv1.Job) batch.Job {
	job := c.Job
	job.Name, job.Labels = m.Name, ownLabels(m)
	if p, ok := job.Executor.(*pod.Pod); ok {
		job.Executor = p.Clone() // its template may change while it is suspended
	}
	job.Annotations = carry(c.Job.Annotations, m.Annotations)
	job.Annotations[cron.OwnerAnnotation] = uid
	return job
}

// IsFromTemplate reports whether a job, with its defaults, has the spec of a CronJob's
// template.
func IsFromTemplate(m *batchv1.Job, c *batchv1.CronJob) bool {
	job := templateOf(c.DeepCopy())
	validation.Default(job)
	return apiequality.Semantic.DeepEqual(job.Spec, m.Spec)
}

// RestoreCronJobs declares the CronJobs again that clients have created in earlier
// processes, as [Runner.Restore] does for jobs: with them, the jobs they have.
func (r *Runner) RestoreCronJobs(ctx context.Context, c *cron.Controller) (refusals []Refusal) {
	for status := range c.All() {
		if err := r.restoreCronJob(ctx, c, status.Name); err != nil {
			refusals = append(refusals, Refusal{status.Name, err})
		}
	}
	return refusals
}

func (r *Runner) restoreCronJob(ctx context.Context, c *cron.Controller, name string) error {
	spec, err := c.CronJob(name)
	if err != nil || !waits(spec.Job, FromClient) {
		return nil // it is gone, or needs no help
	}
	const key = string(FromClient)
	m, err := read([]byte(spec.Job.Annotations[key]))
	if err != nil {
		return err
	}
	if errs := checkKept(m); len(errs) > 0 {
		return inTemplate(errs.ToAggregate())
	}
	made, _, err := r.template(m)
	if err != nil {
		return err // without a change of the CronJob
	}
	err = c.Update(ctx, name, func(now *cron.CronJob) {
		if waits(now.Job, FromClient) && now.Job.Annotations[key] == spec.Job.Annotations[key] {
			now.Job.Executor, now.Job.FailurePolicy = made.Executor, made.FailurePolicy // all that is code
		}
	})
	if errors.Is(err, cron.ErrNotFound) {
		return nil
	}
	return err
}

// checkKept refuses a template that was kept and is not one: Go code may set any
// annotation.
func checkKept(m *batchv1.Job) field.ErrorList {
	m = m.DeepCopy()
	m.Name = "a"
	validation.Default(m)
	return validation.Validate(m)
}
