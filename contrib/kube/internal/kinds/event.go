package kinds

import (
	"cmp"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

func (h *Host) events() *Kind {
	return &Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Event"), Plural: "events", Singular: "event",
		Namespaced: true, ShortNames: []string{"ev"}, Verbs: ReadVerbs,
		Objects: h.Cache.Of(watchcache.Events), Empty: new(corev1.Event),
		Build:   func(o *watchcache.Object) Object { return h.event(o) },
		Columns: eventColumns, Cells: cellsOf(eventCells),
		Fields: eventFields, NoField: "field label not supported: %s", JobName: jobOfEvent}
}

// newEvents are the same events in a newer group. Their fields have other names.
func (h *Host) newEvents() *Kind {
	k := h.events()
	k.GroupVersionKind, k.Empty = eventsv1.SchemeGroupVersion.WithKind("Event"), new(eventsv1.Event)
	k.Build = func(o *watchcache.Object) Object { return convert.EventsV1(h.event(o)) }
	k.Cells = func(o Object) []any { return eventCells(oldEvent(o)) }
	k.Label = strings.NewReplacer("involvedObject.", "", "regarding.", "involvedObject.",
		"reportingComponent", "", "reportingController", "reportingComponent").Replace
	return k
}

// oldEvent is an event of either group.
func oldEvent(o Object) *corev1.Event {
	e, ok := o.(*eventsv1.Event)
	if !ok {
		return o.(*corev1.Event)
	}
	return &corev1.Event{ObjectMeta: e.ObjectMeta,
		InvolvedObject: e.Regarding, Reason: e.Reason, Message: e.Note, Type: e.Type,
		Source: e.DeprecatedSource, FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp,
		Count: e.DeprecatedCount, ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance}
}

func (h *Host) event(o *watchcache.Object) *corev1.Event {
	var event *corev1.Event
	if o.CronJob != nil {
		event = convert.CronJobEvent(h.cronJob(o), *o.Event, o.Name)
	} else {
		event = convert.Event(h.owner(o), o.Pod, *o.Event, o.Name)
	}
	if o.Times != nil {
		convert.SetTimes(event, o.Times.First, o.Times.Count)
	}
	event.ResourceVersion = FormatVersion(o.Version)
	return event
}

// jobOfEvent knows the job of events that are not of its pods, or the CronJob.
func jobOfEvent(_ labels.Selector, f fields.Selector) string {
	kind, _ := f.RequiresExactMatch("involvedObject.kind")
	name, _ := f.RequiresExactMatch("involvedObject.name")
	if kind != "Job" && kind != "CronJob" {
		return ""
	}
	return name
}

func eventFields(o Object) fields.Set {
	e := oldEvent(o)
	set := metaFields(o)
	maps.Copy(set, fields.Set{
		"involvedObject.kind": e.InvolvedObject.Kind, "involvedObject.namespace": e.InvolvedObject.Namespace,
		"involvedObject.name": e.InvolvedObject.Name, "involvedObject.uid": string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason, "reportingComponent": e.ReportingController,
		"source": cmp.Or(e.Source.Component, e.ReportingController), "type": e.Type,
	})
	return set
}

var eventDoc, seriesDoc = corev1.Event{}.SwaggerDoc(), corev1.ObjectReference{}.SwaggerDoc()

var eventColumns = []metav1.TableColumnDefinition{
	column("Last Seen", "string", "", eventDoc["lastTimestamp"], 0),
	column("Type", "string", "", eventDoc["type"], 0),
	column("Reason", "string", "", eventDoc["reason"], 0),
	column("Object", "string", "", eventDoc["involvedObject"], 0),
	column("Subobject", "string", "", seriesDoc["fieldPath"], 1),
	column("Source", "string", "", eventDoc["source"], 1),
	column("Message", "string", "", eventDoc["message"], 0),
	column("First Seen", "string", "", eventDoc["firstTimestamp"], 1),
	column("Count", "string", "", eventDoc["count"], 1),
	nameColumn(1),
}

func eventCells(e *corev1.Event) []any {
	source := e.Source.Component
	if e.Source.Host != "" {
		source += ", " + e.Source.Host
	}
	return []any{since(e.LastTimestamp), e.Type, e.Reason,
		strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, e.InvolvedObject.FieldPath,
		source, strings.TrimSpace(e.Message), since(e.FirstTimestamp), int64(e.Count), e.Name}
}
