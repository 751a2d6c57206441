package kinds

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// The columns and cells of kinds are those of a Kubernetes API server.

// unknown stands for a time that is not set, and none for nothing.
const (
	unknown = "<unknown>"
	none    = "<none>"
)

// column is a column that is always shown; one of priority 1 only if asked for.
func column(name, kind, format, description string, priority int32) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{
		Name: name, Type: kind, Format: format, Description: description, Priority: priority,
	}
}

// nameColumn and ageColumn are those that all kinds have.
func nameColumn(priority int32) metav1.TableColumnDefinition {
	return column("Name", "string", "name", metav1.ObjectMeta{}.SwaggerDoc()["name"], priority)
}

func ageColumn() metav1.TableColumnDefinition {
	return column("Age", "string", "", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], 0)
}

// since is how long ago a time was, by a clock that may have been set back.
func since(t metav1.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(max(0, time.Since(t.Time)))
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
