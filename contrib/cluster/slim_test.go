package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fullPod is a pod that has ended, with all that is looked at and more.
func fullPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", ResourceVersion: "7",
			CreationTimestamp: metav1.NewTime(at(1)), DeletionTimestamp: new(metav1.NewTime(at(5))),
			DeletionGracePeriodSeconds: new(int64(2)), Finalizers: []string{"other", resultMark},
			Labels: map[string]string{labelJobName: "j", batchv1.ControllerUidLabel: "c", "mine": "x"},
			Annotations: map[string]string{annotationIdx: "3", batchv1.JobIndexFailureCountAnnotation: "2",
				batchv1.JobIndexIgnoredFailureCountAnnotation: "1", "mine": "x"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "sidecar"},
			{Name: "main", Env: []corev1.EnvVar{{Name: envSpec, Value: "large"}, {Name: "MINE", Value: "x"}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodFailed, StartTime: new(metav1.NewTime(at(2))), Message: "m", Reason: "r",
			Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: "True", Reason: "r"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "said",
					StartedAt: metav1.NewTime(at(3)), FinishedAt: metav1.NewTime(at(4))}}}}},
	}
}

// What is kept in memory of a pod says the same of the attempt, and less when that has
// been reported.
func TestSlimPod(t *testing.T) {
	d := &driver{known: newKnown()}
	pod := fullPod()
	kept := d.slimPod(pod)
	require.Equal(t, attemptOf(pod), attemptOf(kept))
	require.Equal(t, terminated(pod), terminated(kept))
	require.Equal(t, []string{"j", "c"}, []string{kept.Labels[labelJobName], kept.Labels[batchv1.ControllerUidLabel]})
	require.Equal(t, pod.Finalizers, kept.Finalizers)
	require.Less(t, kept.Size(), pod.Size())

	d.known.add([]*corev1.Pod{pod}, "job")
	least := d.slimPod(pod)
	require.Less(t, least.Size(), kept.Size()-len("said"))
	require.Equal(t, []any{pod.UID, pod.Finalizers, corev1.PodFailed, 3},
		[]any{least.UID, least.Finalizers, least.Status.Phase, attemptOf(least).Index})
	require.Equal(t, time.Duration(0), attemptOf(least).CreatedAt.Sub(at(1)), "attempts are numbered by it")
}
