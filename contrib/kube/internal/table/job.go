package table

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// JobColumns are the columns of jobs.
var JobColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Status", "string", "", "Status of the job.", 0),
	column("Completions", "string", "", batchv1.JobStatus{}.SwaggerDoc()["succeeded"], 0),
	column("Duration", "string", "", "Time required to complete the job.", 0),
	ageColumn(),
	column("Containers", "string", "", "Names of each container in the template.", 1),
	column("Images", "string", "", "Images referenced by each container in the template.", 1),
	column("Selector", "string", "", batchv1.JobSpec{}.SwaggerDoc()["selector"], 1),
}

// Job gives the cells of a job.
func Job(job *batchv1.Job) []any {
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

func containers(list []corev1.Container) (names, images string) {
	var n, i []string
	for _, c := range list {
		n, i = append(n, c.Name), append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}

func selector(s *metav1.LabelSelector) string {
	if s == nil {
		return none
	}
	return metav1.FormatLabelSelector(s)
}
