package convert

import (
	"crypto/sha256"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
)

// Event returns an event of job m. Its UID depends on the job's UID and the name.
func Event(m *batchv1.Job, e batch.Event, name string) *corev1.Event {
	at := metav1.NewTime(e.At)
	sum := sha256.Sum256([]byte(string(m.UID) + "/" + name))
	return &corev1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			Namespace:         m.Namespace,
			UID:               uuid(sum[:16]),
			CreationTimestamp: at,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job",
			Name: m.Name, Namespace: m.Namespace, UID: m.UID},
		Type:                string(e.Type),
		Reason:              string(e.Reason),
		Message:             e.Message,
		FirstTimestamp:      at,
		LastTimestamp:       at,
		Count:               1,
		Source:              corev1.EventSource{Component: component},
		ReportingController: component,
	}
}

// component is who says so.
const component = "job-controller"

// uuid makes a UUID of 16 bytes that are as good as random.
func uuid(b []byte) types.UID {
	b[6] = b[6]&0x0f | 0x80 // version 8: made in a way of its own
	b[8] = b[8]&0x3f | 0x80 // variant 1
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
