package kinds

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/fieldmanager"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

var (
	jobKind     = batchv1.SchemeGroupVersion.WithKind("Job")
	jobResource = schema.GroupResource{Group: batchv1.GroupName, Resource: "jobs"}
)

func (h *Host) jobs() *Kind {
	empty := new(batchv1.Job)
	writer := &jobWriter{h, fieldmanager.New(h.Scheme, jobKind, empty, "")}
	return &Kind{GroupVersionKind: jobKind, Plural: "jobs", Singular: "job",
		Namespaced: true, Categories: []string{"all"}, Verbs: jobVerbs,
		Objects: h.Cache.Of(watchcache.Jobs), Empty: empty, Build: h.buildJob,
		Columns: jobColumns, Cells: cellsOf(jobCells),
		Fields: jobFields, NoField: "field label %q not supported for batchv1.Job", JobName: jobOfJob,
		Writer: writer, Delete: h.deleteJob,
		Parts: []Part{{Name: "scale", Instead: "set spec.parallelism of the job"}, writer.status()}}
}

// buildJob makes the manifest of a job.
func (h *Host) buildJob(o *watchcache.Object) Object {
	return h.manifest(o.Job.Spec, o.Job.Status, o.Version)
}

func (h *Host) manifest(spec batch.Job, status batch.Status, version uint64) *batchv1.Job {
	spec.Annotations = maps.Clone(spec.Annotations)
	kept := takeMetadata(spec.Annotations)
	job := convert.Manifest(spec, status, h.Namespace)
	job.ResourceVersion = FormatVersion(version)
	kept.restore(job)
	h.showOwner(job, spec)
	h.explainStalled(job, spec)
	addFinished(job)
	return job
}

// ConditionFinished is a condition that clusters do not have: it is True once
// the job is Complete or Failed, so that one wait answers for both.
const ConditionFinished batchv1.JobConditionType = "Finished"

func addFinished(job *batchv1.Job) {
	for i, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			c.Type = ConditionFinished
			job.Status.Conditions = slices.Insert(job.Status.Conditions, i, c) // the last one stays so
			return
		}
	}
}

// owner is the manifest that the pods and events of a job are made from.
func (h *Host) owner(o *watchcache.Object) *batchv1.Job {
	return o.Owner.Manifest.Value(func() any { return h.manifest(o.Owner.Spec, o.Owner.Status, o.Version) }).(*batchv1.Job)
}

func jobOfJob(_ labels.Selector, f fields.Selector) string {
	name, _ := f.RequiresExactMatch("metadata.name")
	return name
}

func jobFields(o Object) fields.Set {
	set := metaFields(o)
	set["status.successful"] = strconv.Itoa(int(o.(*batchv1.Job).Status.Succeeded))
	return set
}

// deleteJob removes a job. It returns the job if that lingers.
func (h *Host) deleteJob(a *wire.Answer, o *watchcache.Object, options *metav1.DeleteOptions) (*watchcache.Object,
	error) {
	propagation := propagationOf(a, options)
	if len(options.DryRun) > 0 {
		return nil, nil
	}
	if err := h.Controller.Delete(a.Request.Context(), o.Name, propagation); err != nil {
		return nil, jobError(o.Name, err)
	}
	if left := h.Cache.Job(o.Name); left != nil && left.Job.Status.UID == o.Job.Status.UID {
		return left, nil
	}
	return nil, nil
}

// propagationOf is what becomes of a job's pods. A cluster keeps them if the
// client does not say; processes that nobody owns any more are no good here.
func propagationOf(a *wire.Answer, options *metav1.DeleteOptions) string {
	orphan := options.OrphanDependents //lint:ignore SA1019 older clients send it
	switch {
	case options.PropagationPolicy != nil:
		return string(*options.PropagationPolicy)
	case orphan != nil && *orphan:
		return batch.DeleteOrphan
	case orphan == nil:
		a.Warn("child pods are deleted by default when jobs are deleted on this server; " +
			"set propagationPolicy=Orphan to preserve them or set propagationPolicy=Background to suppress this warning")
	}
	return batch.DeleteBackground
}

// jobError is the answer to what the controller, or the runner, says about a job.
func jobError(name string, err error) error {
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		return invalidJob(name, fieldErrors(invalid.Fields))
	}
	if errs := fieldErrorsOf(err); len(errs) > 0 {
		return invalidJob(name, errs)
	}
	switch {
	case errors.Is(err, batch.ErrExists):
		return apierrors.NewAlreadyExists(jobResource, name)
	case errors.Is(err, batch.ErrNotFound):
		return apierrors.NewNotFound(jobResource, name)
	}
	return err
}

// mostErrors is how many errors of one object are told: to make a text of them
// costs the square of their number.
const mostErrors = 200

// invalidJob is the answer to a manifest with errors.
func invalidJob(name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(jobKind.GroupKind(), name, errs[:min(len(errs), mostErrors)])
}

// fieldErrorsOf finds the field errors that an error consists of.
func fieldErrorsOf(err error) field.ErrorList {
	var errs field.ErrorList
	if all, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, each := range all.Errors() {
			errs = append(errs, fieldErrorsOf(each)...)
		}
		return errs
	}
	if one, ok := errors.AsType[*field.Error](err); ok {
		errs = append(errs, one)
	}
	return errs
}

// errorTypes are the API's names of the kinds of errors.
var errorTypes = map[string]field.ErrorType{
	"Required": field.ErrorTypeRequired, "Invalid": field.ErrorTypeInvalid,
	"NotSupported": field.ErrorTypeNotSupported, "Forbidden": field.ErrorTypeForbidden,
	"TooLong": field.ErrorTypeTooLong, "TooMany": field.ErrorTypeTooMany, "Duplicate": field.ErrorTypeDuplicate,
}

func fieldErrors(list []batch.FieldError) field.ErrorList {
	var errs field.ErrorList
	for _, e := range list {
		value := e.Value
		if d, ok := value.(time.Duration); ok {
			value = fmt.Sprint(d.Seconds())
		} else if value == nil {
			value = field.OmitValueType{}
		}
		errs = append(errs, &field.Error{Type: errorTypes[e.Kind], Field: e.Field, BadValue: value, Detail: e.Detail})
	}
	return errs
}

var jobColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Status", "string", "", "Status of the job.", 0),
	column("Completions", "string", "", batchv1.JobStatus{}.SwaggerDoc()["succeeded"], 0),
	column("Duration", "string", "", "Time required to complete the job.", 0),
	ageColumn(),
	column("Containers", "string", "", "Names of each container in the template.", 1),
	column("Images", "string", "", "Images referenced by each container in the template.", 1),
	column("Selector", "string", "", batchv1.JobSpec{}.SwaggerDoc()["selector"], 1),
}

func jobCells(job *batchv1.Job) []any {
	names, images := containers(job.Spec.Template.Spec.Containers)
	return []any{job.Name, jobStatus(job), completions(job), jobDuration(job), since(job.CreationTimestamp),
		names, images, selector(job.Spec.Selector)}
}

// jobStatus is the first state that holds.
func jobStatus(job *batchv1.Job) string {
	switch {
	case jobIs(job, batchv1.JobComplete):
		return "Complete"
	case jobIs(job, batchv1.JobFailed):
		return "Failed"
	case job.DeletionTimestamp != nil:
		return "Terminating"
	case jobIs(job, batchv1.JobSuspended):
		return "Suspended"
	case jobIs(job, batchv1.JobFailureTarget):
		return "FailureTarget"
	case jobIs(job, batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func jobIs(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// completions are the successes and how many are wanted; a work queue wants one of as
// many as run at once.
func completions(job *batchv1.Job) string {
	if job.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", job.Status.Succeeded, *job.Spec.Completions)
	}
	if parallelism := job.Spec.Parallelism; parallelism != nil && *parallelism > 1 {
		return fmt.Sprintf("%d/1 of %d", job.Status.Succeeded, *parallelism)
	}
	return fmt.Sprintf("%d/1", job.Status.Succeeded)
}

// jobDuration goes on growing for a failed job, as it does on a cluster.
func jobDuration(job *batchv1.Job) string {
	switch start, end := job.Status.StartTime, job.Status.CompletionTime; {
	case start == nil:
		return ""
	case end == nil:
		return since(*start)
	default:
		return duration.HumanDuration(max(0, end.Sub(start.Time)))
	}
}
