package convert

import (
	"cmp"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// Manifest returns the job as the API server would show it. A job that
// [Runner.Job] has made has its pod template again, also after a restart, whether
// it was declared since or not; one made by Go code has one container, with the
// image func/NAME after the job's name and, if it runs a [batch.Command], that
// command and its directory. The command's environment, which was not meant for
// show, is left out.
func Manifest(job batch.Job, status batch.Status, namespace string) *batchv1.Job {
	m := template(job)
	m.TypeMeta = metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"}
	m.Name, m.Namespace = job.Name, namespaceOr(namespace)
	m.Labels, m.Annotations = maps.Clone(job.Labels), maps.Clone(job.Annotations)
	DropKept(m.Annotations)
	m.UID = types.UID(status.UID)
	m.Generation = status.Generation
	m.CreationTimestamp = metav1.NewTime(status.CreatedAt)
	if !status.DeletedAt.IsZero() {
		m.DeletionTimestamp, m.DeletionGracePeriodSeconds = stamp(status.DeletedAt), new(int64(0))
		m.Finalizers = append(m.Finalizers, metav1.FinalizerDeleteDependents)
	}
	putSpec(&m.Spec, job)
	validation.Default(m)
	validation.Prepare(m)
	m.Labels = maps.Clone(firstMap(m.Labels, m.Spec.Template.Labels))
	m.Status = statusOf(job, status)
	return m
}

// firstMap gives a job without labels those of its template, which may have got them
// just now.
func firstMap(labels, template map[string]string) map[string]string {
	if len(labels) == 0 {
		return template
	}
	return labels
}

// template is what a job's manifest has that package batch does not know.
func template(job batch.Job) *batchv1.Job {
	if m := kept(job); m != nil {
		return m
	}
	m := new(batchv1.Job)
	m.Spec.PodFailurePolicy = failurePolicyOf(job.FailurePolicy)
	m.Spec.SuccessPolicy = successPolicyOf(job.SuccessPolicy)
	c := corev1.Container{Name: cmp.Or(job.ContainerName, "main"), Image: pod.FunctionPrefix + job.Name}
	if command, ok := commandOf(job.Executor); ok {
		c.Image, c.Command, c.WorkingDir = pod.ProcessImage, command.Args, command.Dir
	}
	m.Spec.Template.Spec.Containers = []corev1.Container{c}
	return m
}

// kept is a copy of the manifest that a job was made of, or nil.
func kept(job batch.Job) *batchv1.Job {
	if p, ok := unwrapped(job.Executor).(*pod.Pod); ok {
		return p.Manifest()
	}
	if job.Executor != nil {
		return nil // Go code has declared something else
	}
	for _, origin := range []Origin{FromClient, FromCode} {
		if m, err := keptManifest(job, origin); err == nil {
			return m
		}
	}
	return nil
}

// unwrapped is what an executor is around, such as that of the job of a CronJob.
func unwrapped(executor batch.Executor) batch.Executor {
	for {
		around, ok := executor.(interface{ Unwrap() batch.Executor })
		if !ok {
			return executor
		}
		executor = around.Unwrap()
	}
}

func commandOf(executor batch.Executor) (batch.Command, bool) {
	switch c := unwrapped(executor).(type) {
	case batch.Command:
		return c, true
	case *batch.Command:
		return *c, true
	}
	return batch.Command{}, false
}

// putSpec puts in what the job says now. What the policies came from is in the
// template already, and cannot change.
func putSpec(spec *batchv1.JobSpec, job batch.Job) {
	template := &spec.Template.Spec
	spec.Completions = narrowed(job.Completions)
	spec.Parallelism = narrowed(job.Parallelism)
	spec.BackoffLimit = narrowed(job.BackoffLimit)
	spec.BackoffLimitPerIndex = narrowed(job.BackoffLimitPerIndex)
	spec.MaxFailedIndexes = narrowed(job.MaxFailedIndexes)
	spec.ActiveDeadlineSeconds = wholeSeconds(job.ActiveDeadline, spec.ActiveDeadlineSeconds)
	spec.TTLSecondsAfterFinished = nil
	if ttl := wholeSeconds(job.TTLAfterFinished, nil); ttl != nil {
		spec.TTLSecondsAfterFinished = new(narrow(int(*ttl)))
	}
	spec.CompletionMode = new(batchv1.CompletionMode(cmp.Or(job.CompletionMode, batch.NonIndexed)))
	spec.Suspend = new(job.Suspend)
	if job.ReplacementPolicy != "" {
		spec.PodReplacementPolicy = new(batchv1.PodReplacementPolicy(job.ReplacementPolicy))
	}
	spec.ManagedBy = job.ManagedBy
	template.RestartPolicy = corev1.RestartPolicy(cmp.Or(job.RestartPolicy, batch.RestartNever))
	template.ActiveDeadlineSeconds = wholeSeconds(job.AttemptTimeout, template.ActiveDeadlineSeconds)
	if n := template.TerminationGracePeriodSeconds; n == nil || *n >= 0 {
		template.TerminationGracePeriodSeconds = wholeSeconds(job.TerminationGracePeriod, n)
	}
}

func statusOf(job batch.Job, s batch.Status) batchv1.JobStatus {
	if s.ManagedBy != "" && s.StartTime.IsZero() && len(s.Conditions) == 0 && s.Active+s.Succeeded+s.Failed == 0 {
		return batchv1.JobStatus{} // its manager has not reported it
	}
	status := batchv1.JobStatus{
		Conditions:              jobConditions(s.Conditions),
		StartTime:               stamp(s.StartTime),
		CompletionTime:          stamp(s.CompletionTime),
		Active:                  narrow(s.Active),
		Succeeded:               narrow(s.Succeeded),
		Failed:                  narrow(s.Failed),
		Terminating:             new(narrow(s.Terminating)),
		Ready:                   new(narrow(s.Ready)),
		UncountedTerminatedPods: new(batchv1.UncountedTerminatedPods),
	}
	if job.CompletionMode == batch.Indexed {
		status.CompletedIndexes = s.CompletedIndexes.String()
	}
	if s.FailedIndexes != nil {
		status.FailedIndexes = new(s.FailedIndexes.String())
	}
	return status
}

func jobConditions(list []batch.Condition) []batchv1.JobCondition {
	var conditions []batchv1.JobCondition
	for _, c := range list {
		at := metav1.NewTime(c.LastTransitionTime)
		conditions = append(conditions, batchv1.JobCondition{
			Type: batchv1.JobConditionType(c.Type), Status: corev1.ConditionStatus(c.Status),
			Reason: c.Reason, Message: c.Message, LastProbeTime: at, LastTransitionTime: at})
	}
	return conditions
}
