package api

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// patience is how long a request may take that is no watch: more is a hang, even
// on a busy machine with the race detector, which takes ten times as long.
const patience = 2 * time.Minute

// fuzzSeeds are requests of each kind.
func fuzzSeeds(f *testing.F) []call {
	job := manifest("a", "hello", "")
	return []call{
		{method: "GET", path: "/apis", accept: acceptV2},
		{
			method: "GET", path: jobsPath + "?limit=1&labelSelector=a%3Db&fieldSelector=metadata.name%3Da&continue=abc",
			accept: tableAccept,
		},
		{method: "GET", path: jobsPath + "?watch=1&resourceVersion=1"},
		{
			method: "GET",
			path:   podsPath + "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
		},
		{method: "GET", path: podsPath + "/seed-aaaaa/log?follow=1&tailLines=3&sinceTime=x&limitBytes=7"},
		{method: "GET", path: "/openapi/v3/apis/batch/v1?hash=x"},
		{method: "POST", path: jobsPath + "?fieldValidation=Strict", contentType: "application/json", body: job},
		{method: "POST", path: jobsPath + "?dryRun=All", contentType: wire.Protobuf, body: encoded(f, new(batchv1.Job))},
		{method: "POST", path: jobsPath, contentType: "application/yaml", body: "kind: Job\na: &a [*a]"},
		{method: "PUT", path: jobsPath + "/seed", contentType: "application/json", body: job},
		{
			method: "PATCH", path: jobsPath + "/seed", contentType: strategicPatch,
			body: `{"spec":{"template":{"spec":{"containers":[{"$patch":"delete","name":"c"}],` +
				`"$setElementOrder/containers":[{"name":"c"}]}}}}`,
		},
		{
			method: "PATCH", path: jobsPath + "/seed", contentType: strategicPatch,
			body: `{"metadata":{"$retainKeys":["a"],"$deleteFromPrimitiveList/finalizers":["a"],"$patch":"replace"}}`,
		},
		{
			method: "PATCH", path: jobsPath + "/seed", contentType: jsonPatch,
			body: `[{"op":"copy","from":"","path":"/metadata/annotations"},{"op":"test","path":"/spec/-","value":null},` +
				`{"op":"move","from":"/spec","path":"/x"}]`,
		},
		{
			method: "PATCH", path: jobsPath + "/seed", contentType: mergePatch,
			body: `{"metadata":{"managedFields":[{"fieldsV1":{"k:{}":{}},"manager":"x","operation":"Apply",` +
				`"apiVersion":"batch/v1","fieldsType":"FieldsV1"}]},"spec":{"suspend":null}}`,
		},
		{
			method: "PATCH", path: jobsPath + "/seed?fieldManager=m&force=1", contentType: applyPatch,
			body: `{"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":{"containers":[{"name":"c",` +
				`"env":[{"name":"A"},{"name":"A"}]}]}}}}`,
		},
		{
			method: "DELETE", path: jobsPath + "/seed", contentType: "application/json",
			body: `{"kind":"DeleteOptions","preconditions":{"uid":"x"},"propagationPolicy":"Foreground"}`,
		},
		{
			method: "DELETE", path: podsPath + "?labelSelector=x", contentType: wire.Protobuf,
			body: encoded(f, &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}}),
		},
		{
			method: "POST", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", contentType: "application/json",
			body: `{"spec":{"resourceAttributes":{}}}`,
		},
	}
}

// FuzzHandler sends requests. Whatever they are, the answer is one, comes
// soon, is no internal error and no panic, and no more than a few jobs are made.
func FuzzHandler(f *testing.F) {
	for _, c := range fuzzSeeds(f) {
		f.Add(c.method, c.path, c.contentType, c.accept, []byte(c.body))
	}
	w := fuzzWorld(f)
	f.Fuzz(func(t *testing.T, method, target, contentType, accept string, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), watchTime)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+target, bytes.NewReader(body))
		if err != nil {
			return // net/http answers those
		}
		r.Host = "localhost"
		r.Header = http.Header{"Content-Type": {contentType}, "Accept": {accept}}
		rec := httptest.NewRecorder()
		started := time.Now()
		w.server.ServeHTTP(rec, r)
		require.Less(t, time.Since(started), patience)
		require.NotEqual(t, http.StatusInternalServerError, rec.Code, "%s", rec.Body)
		require.Less(t, rec.Body.Len(), 8<<20)
		w.tidy(t)
	})
}

// watchTime is how long a fuzzed client watches.
const watchTime = 20 * time.Millisecond

func fuzzWorld(f *testing.F) *world {
	w := newWorld(f, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{
		"hello": func(context.Context, batch.Attempt, convert.Container) error { return nil }}}})
	w.create(batch.Job{Name: "seed", Executor: wait, Suspend: true})
	return w
}

// tidy removes what requests have made, so that nothing can pile up.
func (w *world) tidy(t *testing.T) {
	for status := range w.c.All() {
		if status.Name != "seed" && !strings.HasPrefix(status.Name, "seed-") {
			require.NoError(t, w.c.Delete(context.Background(), status.Name, batch.DeleteBackground))
		}
	}
	if _, err := w.c.Get("seed"); err != nil {
		require.NoError(t, w.c.Create(context.Background(), batch.Job{Name: "seed", Executor: wait, Suspend: true}))
	}
}
