package kinds

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/table"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

func (h *Host) events() *Kind {
	return &Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Event"), Plural: "events", Singular: "event",
		Namespaced: true, ShortNames: []string{"ev"}, Verbs: ReadVerbs,
		Objects: h.Cache.Of(watchcache.Events), Empty: new(corev1.Event), Build: h.buildEvent,
		Columns: table.EventColumns, Cells: cellsOf(table.Event),
		Fields: eventFields, NoField: "field label not supported: %s", JobName: jobOfEvent}
}

func (h *Host) buildEvent(o *watchcache.Object) Object {
	event := convert.Event(h.owner(o), *o.Event, o.Name)
	event.ResourceVersion = FormatVersion(o.Version)
	return event
}

func jobOfEvent(_ labels.Selector, f fields.Selector) string {
	name, _ := f.RequiresExactMatch("involvedObject.name")
	return name
}

func eventFields(o Object) fields.Set {
	e := o.(*corev1.Event)
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
