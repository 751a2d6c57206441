package table

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var eventDoc, seriesDoc = corev1.Event{}.SwaggerDoc(), corev1.ObjectReference{}.SwaggerDoc()

// EventColumns are the columns of events.
var EventColumns = []metav1.TableColumnDefinition{
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

// Event gives the cells of an event.
func Event(e *corev1.Event) []any {
	first, last := firstSeen(e), lastSeen(e)
	return []any{last, e.Type, e.Reason,
		strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, e.InvolvedObject.FieldPath,
		eventSource(e), strings.TrimSpace(e.Message), first, eventCount(e), e.Name}
}

func firstSeen(e *corev1.Event) string {
	if e.FirstTimestamp.IsZero() {
		return since(metav1.Time{Time: e.EventTime.Time})
	}
	return since(e.FirstTimestamp)
}

func lastSeen(e *corev1.Event) string {
	switch {
	case e.Series != nil:
		return since(metav1.Time{Time: e.Series.LastObservedTime.Time})
	case e.LastTimestamp.IsZero():
		return firstSeen(e)
	}
	return since(e.LastTimestamp)
}

func eventCount(e *corev1.Event) int64 {
	switch {
	case e.Series != nil:
		return int64(e.Series.Count)
	case e.Count != 0:
		return int64(e.Count)
	}
	return 1
}

func eventSource(e *corev1.Event) string {
	component, host := e.Source.Component, e.Source.Host
	if component == "" {
		component, host = e.ReportingController, e.ReportingInstance
	}
	if host == "" {
		return component
	}
	return fmt.Sprintf("%s, %s", component, host)
}
