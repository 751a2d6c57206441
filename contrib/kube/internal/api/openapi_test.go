package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
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
	require.True(
		t, strings.HasPrefix(documents.Paths["api/v1"].ServerRelativeURL, "/kube/openapi/v3/"),
		"clients ask where it was found",
	)
}

// TestOpenAPIv2 reads the older document as kubectl does.
func TestOpenAPIv2(t *testing.T) {
	w := newWorld(t, Config{})
	rec := w.do(call{method: "GET", path: "/openapi/v2?timeout=32s", accept: openAPIv2Accept + ", application/json"})
	require.Equal(t, openAPIv2Type, rec.Header().Get("Content-Type"))
	var document openapi_v2.Document
	require.NoError(t, proto.Unmarshal(rec.Body.Bytes(), &document))
	require.Equal(t, "2.0", document.Swagger)
	require.Equal(t, "Kubernetes", document.Info.Title)
	require.Empty(t, document.Definitions.GetAdditionalProperties())
	var asJSON struct{ Swagger string }
	w.get("/openapi/v2", &asJSON)
	require.Equal(t, "2.0", asJSON.Swagger)
}

const jobPathOfOpenAPI = "/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
