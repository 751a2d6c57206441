package cluster

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is kept in memory of the objects of the cluster is what is looked at. Of a pod
// whose end is durable at the controller that is hardly more than its name, so that memory
// goes with the pods that run.

func (d *driver) slim(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Pod:
		return d.slimPod(o), nil
	case metav1.Object:
		o.SetManagedFields(nil)
	}
	return o, nil
}

func (d *driver) slimPod(pod *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, CreationTimestamp: pod.CreationTimestamp,
		DeletionTimestamp:          pod.DeletionTimestamp,
		DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds, Finalizers: pod.Finalizers}}
	kept.Labels = chosen(pod.Labels, labelJobName, batchv1.ControllerUidLabel)
	kept.Annotations = chosen(pod.Annotations, annotationIdx, batchv1.JobIndexFailureCountAnnotation,
		batchv1.JobIndexIgnoredFailureCountAnnotation)
	if d.known.hasAny(pod.UID) {
		kept.Status.Phase = pod.Status.Phase
		return kept
	}
	kept.Status = pod.Status
	for _, c := range pod.Spec.Containers {
		if hasSpec(pod, c.Name) {
			kept.Spec.Containers = []corev1.Container{{Name: c.Name, Env: []corev1.EnvVar{{Name: envSpec}}}}
		}
	}
	return kept
}

// chosen is a map with those of its keys.
func chosen(all map[string]string, keys ...string) map[string]string {
	kept := make(map[string]string, len(keys))
	for _, key := range keys {
		if value, ok := all[key]; ok {
			kept[key] = value
		}
	}
	return kept
}
