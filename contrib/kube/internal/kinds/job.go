package kinds

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

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
	propagation, given := propagationOf(options)
	if !given {
		a.Warn("child pods are deleted by default when jobs are deleted on this server; " +
			"set propagationPolicy=Orphan to preserve them or set propagationPolicy=Background to suppress this warning")
	}
	if len(options.DryRun) > 0 {
		return nil, nil
	}
	if err := h.Controller.Delete(a.Request.Context(), o.Name, propagation); err != nil {
		return nil, errorOf(jobKind, jobResource, o.Name, err)
	}
	if left := h.Cache.Job(o.Name); left != nil && left.Job.Status.UID == o.Job.Status.UID {
		return left, nil
	}
	return nil, nil
}

// propagationOf is what becomes of what an object owns, and whether the client says so.
// Otherwise a cluster keeps the pods of a job; processes that nobody owns any more are no
// good here.
func propagationOf(options *metav1.DeleteOptions) (propagation string, given bool) {
	orphan := options.OrphanDependents //lint:ignore SA1019 older clients send it
	switch {
	case options.PropagationPolicy != nil:
		return string(*options.PropagationPolicy), true
	case orphan != nil && *orphan:
		return batch.DeleteOrphan, true
	}
	return batch.DeleteBackground, orphan != nil
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
