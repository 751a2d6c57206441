package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// Pod returns an attempt of job m, as [Manifest] gives it, as a pod.
func Pod(m *batchv1.Job, a batch.AttemptStatus, namespace string) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: podMetadata(m, a, namespaceOr(namespace)),
		Spec:       *m.Spec.Template.Spec.DeepCopy(),
	}
	if a.Index >= 0 {
		addIndex(&p.Spec, m.Name, a.Index)
	}
	p.Spec.Priority = cmp.Or(p.Spec.Priority, new(int32(0)))
	p.Spec.PreemptionPolicy = cmp.Or(p.Spec.PreemptionPolicy, new(corev1.PreemptLowerPriority))
	p.Spec.EnableServiceLinks = cmp.Or(p.Spec.EnableServiceLinks, new(true))
	if !a.StartedAt.IsZero() {
		p.Spec.NodeName = nodeName
	}
	p.Status = podStatus(&p.Spec, a)
	return p
}

func podMetadata(m *batchv1.Job, a batch.AttemptStatus, namespace string) metav1.ObjectMeta {
	meta := pod.Metadata(m, pod.Identity{Name: a.Name, UID: a.UID, Job: m.Name, JobUID: a.JobUID, Index: a.Index})
	meta.Namespace, meta.Generation = namespace, podGeneration
	meta.CreationTimestamp = metav1.NewTime(a.CreatedAt)
	meta.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(m, batchv1.SchemeGroupVersion.WithKind("Job"))}
	if m.Spec.BackoffLimitPerIndex != nil {
		metav1.SetMetaDataAnnotation(&meta, batchv1.JobIndexFailureCountAnnotation, strconv.Itoa(a.Failures))
		if a.IgnoredFailures > 0 {
			metav1.SetMetaDataAnnotation(&meta, batchv1.JobIndexIgnoredFailureCountAnnotation, strconv.Itoa(a.IgnoredFailures))
		}
	}
	meta.Finalizers = slices.Clone(m.Spec.Template.Finalizers)
	if !ended(a) {
		meta.Finalizers = append(meta.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if !a.DeletedAt.IsZero() {
		grace := valueOr(gracePeriod(m.Spec.Template.Spec.TerminationGracePeriodSeconds), 0)
		meta.DeletionTimestamp = stamp(a.DeletedAt.Add(grace))
		meta.DeletionGracePeriodSeconds = new(int64(grace / time.Second))
	}
	return meta
}

func ended(a batch.AttemptStatus) bool {
	return a.Phase == batch.AttemptSucceeded || a.Phase == batch.AttemptFailed
}

// addIndex gives the pod its host name, and every container its index unless it sets
// the variable itself.
func addIndex(spec *corev1.PodSpec, job string, index int) {
	spec.Hostname = fmt.Sprintf("%s-%d", job, index)
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			addIndexVariable(&containers[i])
		}
	}
}

const indexVariable = "JOB_COMPLETION_INDEX"

func addIndexVariable(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == indexVariable }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: indexVariable, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{
			APIVersion: "v1",
			FieldPath:  "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']",
		}}})
}
