package kinds

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// namespaces are one, that of the server.
func (h *Host) namespaces() *Kind {
	return &Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Namespace"), Plural: "namespaces",
		Singular:   "namespace",
		ShortNames: []string{"ns"}, Verbs: ReadVerbs,
		Objects: watchcache.Fixed(h.Started, &watchcache.Object{Name: h.Namespace, Version: h.Started}),
		Empty:   new(corev1.Namespace), Build: h.buildNamespace,
		Columns: namespaceColumns, Cells: cellsOf(namespaceCells),
		Fields: namespaceFields, NoField: "field label not supported: %s",
		Parts: []Part{status("namespaces"), {Name: "finalize", Instead: "there is one namespace, which stays"}}}
}

func (h *Host) buildNamespace(o *watchcache.Object) Object {
	return &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: o.Name, UID: types.UID(o.Name), ResourceVersion: FormatVersion(o.Version),
			CreationTimestamp: metav1.NewTime(time.UnixMicro(int64(h.Started))),
			Labels:            map[string]string{corev1.LabelMetadataName: o.Name}},
		Spec:   corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

func namespaceFields(o Object) fields.Set {
	return fields.Set{"metadata.name": o.GetName(), "name": o.GetName(),
		"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
}

var namespaceColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Status", "string", "", "The status of the namespace", 0),
	ageColumn(),
}

func namespaceCells(n *corev1.Namespace) []any {
	return []any{n.Name, string(n.Status.Phase), since(n.CreationTimestamp)}
}
