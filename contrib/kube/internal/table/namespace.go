package table

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NamespaceColumns are the columns of namespaces.
var NamespaceColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Status", "string", "", "The status of the namespace", 0),
	ageColumn(),
}

// Namespace gives the cells of a namespace.
func Namespace(n *corev1.Namespace) []any {
	return []any{n.Name, string(n.Status.Phase), since(n.CreationTimestamp)}
}
