package api

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// configMaps is a kind that the server does not have, all of it in one value.
func configMaps(deleted *string) *kinds.Kind {
	return &kinds.Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps",
		Singular:   "configmap",
		Namespaced: true, ShortNames: []string{"cm"}, Verbs: append(slices.Clone(kinds.ReadVerbs), "delete"),
		Objects: watchcache.Fixed(7, &watchcache.Object{Name: "a", Version: 7}, &watchcache.Object{Name: "b", Version: 7}),
		Empty:   new(corev1.ConfigMap),
		Build: func(o *watchcache.Object) kinds.Object {
			return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: metav1.ObjectMeta{Name: o.Name, Namespace: "default"}, Data: map[string]string{"k": o.Name}}
		},
		Columns: []metav1.TableColumnDefinition{{Name: "Name"}},
		Cells:   func(o kinds.Object) []any { return []any{o.GetName()} },
		Fields:  func(o kinds.Object) fields.Set { return fields.Set{"metadata.name": o.GetName()} },
		NoField: "no field %s",
		Delete: func(_ *wire.Answer, o *watchcache.Object, _ *metav1.DeleteOptions) (*watchcache.Object, error) {
			*deleted = o.Name
			return nil, nil
		}}
}

// TestOneValueIsAKind wants all that is served to follow from a kind's row.
func TestOneValueIsAKind(t *testing.T) {
	var deleted string
	w := newWorld(t, Config{Write: true})
	w.server.kinds = append([]*kinds.Kind{configMaps(&deleted)}, w.server.kinds...)
	const path = "/api/v1/namespaces/default/configmaps"

	var core metav1.APIResourceList
	w.get("/api/v1", &core)
	require.Equal(t, "configmaps", core.APIResources[0].Name)
	var documents struct {
		Components struct{ Schemas map[string]any }
	}
	w.get("/openapi/v3/api/v1", &documents)
	require.Contains(t, documents.Components.Schemas, "io.k8s.api.core.v1.ConfigMap")

	var list corev1.ConfigMapList
	w.get(path+"?fieldSelector=metadata.name=b", &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, map[string]string{"k": "b"}, list.Items[0].Data)
	var table metav1.Table
	w.read(w.do(call{method: "GET", path: path + "/a", accept: tableAccept}), http.StatusOK, &table)
	require.Equal(t, []any{"a"}, table.Rows[0].Cells)

	watch := w.open(path+"?watch=1", "")
	require.Equal(t, "ADDED", watch.next().Type)
	require.Equal(t, "b", watch.next().Object.Name)

	w.read(w.do(call{method: "DELETE", path: path + "/b"}), http.StatusOK, new(metav1.Status))
	require.Equal(t, "b", deleted)
	refused := w.fails(
		w.do(call{method: "POST", path: path}), http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
	)
	require.Contains(t, refused.Message, "of configmaps it has the verbs get, list, watch, delete")
}

// TestHead wants the header of what a GET would bring, also where that has no end.
func TestHead(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(waitingJob("a"))
	for _, path := range []string{jobsPath, jobsPath + "/a", jobsPath + "?watch=1", "/api", "/healthz"} {
		require.Equal(t, http.StatusOK, w.do(call{method: "HEAD", path: path}).Code, path)
	}
	require.Equal(t, http.StatusNotFound, w.do(call{method: "HEAD", path: jobsPath + "/b"}).Code)
}
