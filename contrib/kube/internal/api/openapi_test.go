package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenAPI(t *testing.T) {
	w := newWorld(t, Config{})
	type index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	var documents index
	w.get("/openapi/v3", &documents)
	require.Contains(t, documents.Paths, "apis/batch/v1")
	require.Contains(t, documents.Paths, "api/v1")
	rec := w.do(call{method: "GET", path: documents.Paths["apis/batch/v1"].ServerRelativeURL})
	require.Equal(t, "public, immutable", rec.Header().Get("Cache-Control"))
	var document struct {
		Paths map[string]struct {
			Patch struct {
				Parameters  []struct{ Name, In string }
				RequestBody struct{ Content map[string]any }
				Kind        struct{ Kind string } `json:"x-kubernetes-group-version-kind"`
			}
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	w.read(rec, http.StatusOK, &document)
	patch := document.Paths[jobPathOfOpenAPI].Patch
	require.Equal(t, "Job", patch.Kind.Kind)
	require.Contains(t, patch.RequestBody.Content, strategicPatch)
	found := false
	for _, p := range patch.Parameters {
		found = found || p.Name == "fieldValidation" && p.In == "query"
	}
	require.True(t, found, "clients look for it before they create anything")

	mux := http.NewServeMux()
	mux.Handle("/kube/", http.StripPrefix("/kube", w.server))
	r := httptest.NewRequest("GET", "/kube/openapi/v3", nil)
	r.Host = "localhost"
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, r)
	w.read(answer, http.StatusOK, &documents)
	require.True(t, strings.HasPrefix(documents.Paths["api/v1"].ServerRelativeURL, "/kube/openapi/v3/"), "clients ask where it was found")
}

const jobPathOfOpenAPI = "/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
