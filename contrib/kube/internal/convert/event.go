package convert

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// Event returns an event of job m or, if a is not nil, of an attempt of it. Its
// UID depends on the job's UID and the name.
func Event(m *batchv1.Job, a *batch.AttemptStatus, e batch.Event, name string) *corev1.Event {
	at := metav1.NewTime(e.At)
	sum := sha256.Sum256([]byte(string(m.UID) + "/" + name))
	event := &corev1.Event{
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
		Type:                e.Type,
		Reason:              e.Reason,
		Message:             e.Message,
		FirstTimestamp:      at,
		LastTimestamp:       at,
		Count:               1,
		Source:              corev1.EventSource{Component: component},
		ReportingController: component,
	}
	if a != nil {
		ofPod(event, m, a)
	}
	return event
}

// ofPod makes an event one that a kubelet tells of a pod. Its message may be the name of
// the container that it is about.
func ofPod(e *corev1.Event, m *batchv1.Job, a *batch.AttemptStatus) {
	spec := &m.Spec.Template.Spec
	names := pod.Names(spec)
	container, list := pod.RunsOf(a.Conditions).Current(names), "containers"
	if e.Reason == "Started" {
		container = cmp.Or(e.Message, names[0])
	}
	if container != spec.Containers[0].Name {
		list = "initContainers"
	}
	e.InvolvedObject = corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Name: a.Name, Namespace: m.Namespace,
		UID: types.UID(a.UID), FieldPath: fmt.Sprintf("spec.%s{%s}", list, container)}
	e.Message = map[string]string{
		"Started": "Container started",
		"Killing": "Stopping container " + container,
		"BackOff": fmt.Sprintf(
			"Back-off restarting failed container %s in pod %s_%s(%s)", container, a.Name, m.Namespace, a.UID,
		),
	}[e.Reason]
	e.Source = corev1.EventSource{Component: "kubelet", Host: nodeName}
	e.ReportingController, e.ReportingInstance = "kubelet", nodeName
}

// CronJobEvent returns an event of a CronJob.
func CronJobEvent(m *batchv1.CronJob, e batch.Event, name string) *corev1.Event {
	event := Event(&batchv1.Job{ObjectMeta: m.ObjectMeta}, nil, e, name)
	event.InvolvedObject.Kind = "CronJob"
	event.Source.Component, event.ReportingController = cronComponent, cronComponent
	return event
}

// SetTimes makes an event one that has come so often, for the first time at first.
func SetTimes(e *corev1.Event, first time.Time, count int) {
	e.CreationTimestamp, e.FirstTimestamp = metav1.NewTime(first), metav1.NewTime(first)
	e.Count = int32(min(count, math.MaxInt32))
}

// EventsV1 is an event as a newer group of the API has it.
func EventsV1(e *corev1.Event) *eventsv1.Event {
	return &eventsv1.Event{
		TypeMeta:   metav1.TypeMeta{APIVersion: eventsv1.SchemeGroupVersion.String(), Kind: "Event"},
		ObjectMeta: e.ObjectMeta, EventTime: e.EventTime,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Action: e.Action, Reason: e.Reason, Regarding: e.InvolvedObject, Note: e.Message, Type: e.Type,
		DeprecatedSource: e.Source, DeprecatedFirstTimestamp: e.FirstTimestamp, DeprecatedLastTimestamp: e.LastTimestamp,
		DeprecatedCount: e.Count,
	}
}

// component and cronComponent are who says so.
const (
	component     = "job-controller"
	cronComponent = "cronjob-controller"
)

// uuid makes a UUID of 16 bytes that are as good as random.
func uuid(b []byte) types.UID {
	b[6] = b[6]&0x0f | 0x80 // version 8: made in a way of its own
	b[8] = b[8]&0x3f | 0x80 // variant 1
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
