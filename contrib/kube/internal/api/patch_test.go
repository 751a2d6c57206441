package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

var patchTests = map[string]struct {
	kind, query, patch string
	code               int
	message            string // of the error
	check              func(t *testing.T, before, after *batchv1.Job)
}{
	"a strategic patch": {
		kind: strategicPatch, patch: `{"spec":{"suspend":true},"metadata":{"labels":{"x":"y"}}}`, code: 200,
		check: func(t *testing.T, before, after *batchv1.Job) {
			require.True(t, *after.Spec.Suspend)
			require.Equal(t, "y", after.Labels["x"])
			require.Equal(t, "b", after.Labels["a"])
		},
	},
	"a strategic patch that names a container": {
		kind: strategicPatch, patch: `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"func/wait"}]}}}}`,
		code: 200, check: func(t *testing.T, before, after *batchv1.Job) {
			require.Equal(t, before.ResourceVersion, after.ResourceVersion)
		},
	},
	"a strategic patch that deletes": {
		kind: strategicPatch, patch: `{"metadata":{"labels":{"a":null}}}`, code: 200,
		check: func(t *testing.T, _, after *batchv1.Job) { require.NotContains(t, after.Labels, "a") },
	},
	"a merge patch": {
		kind: mergePatch, patch: `{"metadata":{"labels":{"a":null,"c":"d"}}}`, code: 200,
		check: func(t *testing.T, _, after *batchv1.Job) {
			require.NotContains(t, after.Labels, "a")
			require.Contains(t, after.Labels, "c")
		},
	},
	"a merge patch that changes nothing": {
		kind: mergePatch, patch: `{"metadata":{"labels":{"a":"b"}}}`, code: 200,
		check: func(t *testing.T, before, after *batchv1.Job) {
			require.Equal(t, before.ResourceVersion, after.ResourceVersion)
		},
	},
	"an empty patch": {kind: mergePatch, patch: `{}`, code: 200, check: func(t *testing.T, before, after *batchv1.Job) {
		require.Equal(t, before.ResourceVersion, after.ResourceVersion)
	}},
	"a JSON patch": {
		kind: jsonPatch, patch: `[{"op":"test","path":"/metadata/labels/a","value":"b"},{"op":"add",` +
			`"path":"/spec/parallelism","value":2}]`,
		code: 200, check: func(t *testing.T, _, after *batchv1.Job) { require.EqualValues(t, 2, *after.Spec.Parallelism) },
	},
	"a JSON patch with copies": {
		kind: jsonPatch, patch: `[{"op":"copy","from":"/metadata/labels/a",` +
			`"path":"/metadata/labels/e"},{"op":"remove","path":"/metadata/labels/a"}]`,
		code: 200, check: func(t *testing.T, _, after *batchv1.Job) {
			require.Equal(t, "b", after.Labels["e"])
			require.NotContains(t, after.Labels, "a")
		},
	},
	"a JSON patch whose test fails": {
		kind: jsonPatch, patch: `[{"op":"test","path":"/metadata/labels/a","value":"x"}]`, code: 422,
		message: "the server rejected our request due to an error in our request",
	},
	"a JSON patch to nowhere": {
		kind: jsonPatch, patch: `[{"op":"remove","path":"/spec/x"}]`, code: 422,
		message: "the server rejected our request due to an error in our request",
	},
	"a JSON patch that is none": {kind: jsonPatch, patch: `{}`, code: 400, message: "cannot unmarshal object"},
	"too many operations": {
		kind:  jsonPatch,
		patch: "[" + strings.Repeat(`{"op":"remove","path":"/x"},`, mostOperations) + `{"op":"remove","path":"/x"}]`,
		code:  413, message: "maximum operations",
	},
	"copies of copies": {kind: jsonPatch, patch: `[{"op":"add","path":"/metadata/annotations","value":{"a":["` +
		strings.Repeat("x", 100) + `"]}}` +
		strings.Repeat(
			`,{"op":"copy","from":"/metadata/annotations/a","path":"/metadata/annotations/a/-"}`, 60,
		) + "]", code: 413, message: "makes too much of the object"},
	"no JSON":                  {kind: strategicPatch, patch: `{`, code: 400, message: "unexpected end of JSON input"},
	"a list":                   {kind: strategicPatch, patch: `[]`, code: 400},
	"a directive that is none": {kind: strategicPatch, patch: `{"spec":{"template":{"$patch":"x"}}}`, code: 400},
	"an older version": {
		kind: mergePatch, patch: `{"metadata":{"resourceVersion":"5"}}`, code: 409, message: "the object has been modified",
	},
	"another job":  {kind: mergePatch, patch: `{"metadata":{"uid":"5"}}`, code: 409, message: "Precondition failed"},
	"another name": {kind: mergePatch, patch: `{"metadata":{"name":"b"}}`, code: 400, message: "cannot change the name"},
	"another kind": {
		kind: mergePatch, patch: `{"kind":"CronJob"}`, code: 400, message: "cannot change the name or the kind",
	},
	"what may not change": {
		kind: strategicPatch, patch: `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"x"}]}}}}`, code: 422,
		message: "field is immutable",
	},
	"a wrong type": {
		kind: mergePatch, patch: `{"spec":{"parallelism":"x"}}`, code: 422, message: "cannot unmarshal string",
	},
	"an unknown field, strictly": {
		kind: mergePatch, query: "fieldValidation=Strict", patch: `{"spec":{"bogus":1}}`, code: 422,
		message: `strict decoding error: unknown field "spec.bogus"`,
	},
	"a duplicate field, strictly": {
		kind: mergePatch, query: "fieldValidation=Strict", patch: `{"spec":{},"spec":{}}`, code: 422,
		message: `strict decoding error: duplicate field "spec"`,
	},
	"an unknown field": {
		kind: mergePatch, patch: `{"spec":{"bogus":1}}`, code: 200,
		check: func(t *testing.T, before, after *batchv1.Job) {
			require.Equal(t, before.ResourceVersion, after.ResourceVersion)
		},
	},
	"by force, but not applied": {
		kind: mergePatch, query: "force=true", patch: `{}`, code: 422,
		message: "force: Forbidden: may not be specified for non-apply patch",
	},
	"nulls where objects should be": {kind: mergePatch, patch: `{"spec":null}`, code: 422},
	"nulls where metadata should be": {
		kind: mergePatch, patch: `{"metadata":null}`, code: 400, message: "cannot change the name",
	},
	"an apply without a manager": {
		kind: applyPatch, patch: `{}`, code: 422, message: "fieldManager: Required value: is required for apply patch",
	},
	"an apply of another kind": {
		kind: applyPatch, query: "fieldManager=m", patch: `{"apiVersion":"v1","kind":"Pod"}`, code: 400,
		message: "an apply patch must have the apiVersion and kind",
	},
	"an apply of another name": {
		kind: applyPatch, query: "fieldManager=m",
		patch: `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"b"}}`, code: 400,
		message: "does not match the name on the URL",
	},
	"an apply of nothing": {
		kind: applyPatch, query: "fieldManager=m", code: 400, message: "error decoding YAML: there is no object",
	},
	"an apply of an unknown field": {
		kind: applyPatch, query: "fieldManager=m", patch: `{"apiVersion":"batch/v1","kind":"Job","spec":{"bogus":1}}`,
		code: 400, message: ".spec.bogus: field not declared in schema",
	},
	"an apply with managed fields": {
		kind: applyPatch, query: "fieldManager=m",
		patch: `{"apiVersion":"batch/v1","kind":"Job","metadata":{"managedFields":[{"manager":"x"}]}}`, code: 400,
		message: "metadata.managedFields must be nil",
	},
}

func TestPatch(t *testing.T) {
	for name, test := range patchTests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Write: true})
			w.post(
				strings.Replace(manifest("a", "wait", `"suspend":true,`), `"metadata":{`, `"metadata":{"labels":{"a":"b"},`, 1),
			)
			before := w.job("a")
			rec := w.do(call{method: "PATCH", path: jobsPath + "/a?" + test.query, contentType: test.kind, body: test.patch})
			require.Equal(t, test.code, rec.Code, rec.Body.String())
			if test.code != 200 {
				var status metav1.Status
				w.read(rec, test.code, &status)
				require.Contains(t, status.Message, test.message)
				require.Equal(t, before.ResourceVersion, w.job("a").ResourceVersion)
				return
			}
			var after batchv1.Job
			w.read(rec, 200, &after)
			test.check(t, before, &after)
			require.Equal(t, after.ResourceVersion, w.job("a").ResourceVersion)
		})
	}
}

func TestPatchOfLongListsIsRefused(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	var env []string
	for i := range 6_000 {
		env = append(env, fmt.Sprintf(`{"name":"n%d","value":"v"}`, i))
	}
	list := `"env":[` + strings.Join(env, ",") + `],`
	w.post(strings.Replace(manifest("a", "wait", `"suspend":true,`), `"name":"c",`, list+`"name":"c",`, 1))
	w.fails(w.do(call{method: "PATCH", path: jobsPath + "/a", contentType: strategicPatch,
		body: `{"spec":{"template":{"spec":{"containers":[{` + list + `"name":"c"}]}}}}`}),
		http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge)
	w.read(w.do(call{method: "PATCH", path: jobsPath + "/a", contentType: strategicPatch,
		body: `{"spec":{"parallelism":2}}`}),
		http.StatusOK, new(batchv1.Job))
}

// applied sends a manifest as a manager.
func (w *world) applied(manager, query, body string) call {
	return call{
		method: "PATCH", path: jobsPath + "/a?fieldManager=" + manager + query, contentType: applyPatch, body: body,
	}
}

func TestServerSideApply(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	first := `{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":{"a":"1"}},"spec":{"suspend":true,` +
		`"parallelism":1,"completions":1,"template":{"spec":{` +
		`"containers":[{"name":"c","image":"func/wait","env":[{"name":"A","value":"1"}]}],"restartPolicy":"Never"}}}}`
	read := func(rec *httptest.ResponseRecorder, code int) batchv1.Job {
		t.Helper()
		var job batchv1.Job
		w.read(rec, code, &job)
		return job
	}
	job := read(w.do(w.applied("one", "", first)), http.StatusCreated)
	require.Equal(t, "a", job.Name)
	require.Len(t, job.ManagedFields, 1)
	require.Equal(t, metav1.ManagedFieldsOperationApply, job.ManagedFields[0].Operation)
	require.Contains(
		t, job.ManagedFields[0].FieldsV1.GetRawString(), `k:{\"name\":\"A\"}`, "items of lists are owned one by one",
	)
	created := job.ResourceVersion

	job = read(w.do(w.applied("one", "", first)), http.StatusOK)
	require.Equal(t, created, job.ResourceVersion, "the same again changes nothing")

	second := `{"apiVersion":"batch/v1","kind":"Job","metadata":{"labels":{"b":"2"}},"spec":{"parallelism":2}}`
	status := w.fails(w.do(w.applied("two", "", second)), http.StatusConflict, metav1.StatusReasonConflict)
	require.Contains(t, status.Message, `Apply failed with 1 conflict: conflict with "one": .spec.parallelism`)
	require.Equal(t, ".spec.parallelism", status.Details.Causes[0].Field)

	job = read(w.do(w.applied("two", "&force=true", second)), http.StatusOK)
	require.EqualValues(t, 2, *job.Spec.Parallelism)
	require.Equal(t, "1", job.Labels["a"])
	require.Equal(t, "2", job.Labels["b"])

	job = read(w.do(w.applied("two", "", `{"apiVersion":"batch/v1","kind":"Job"}`)), http.StatusOK)
	require.NotContains(t, job.Labels, "b", "what its manager leaves out goes away")
	require.EqualValues(t, 1, *job.Spec.Parallelism, "or gets its default again")

	rec := w.do(call{
		method: "PATCH", path: jobsPath + "/a?fieldManager=three", contentType: mergePatch,
		body: `{"metadata":{"labels":{"a":"3"}}}`,
	})
	job = read(rec, http.StatusOK)
	status = w.fails(w.do(w.applied("one", "", first)), http.StatusConflict, metav1.StatusReasonConflict)
	require.Contains(t, status.Message, `conflict with "three" using batch/v1: .metadata.labels.a`)

	rec = w.do(call{
		method: "PATCH", path: jobsPath + "/a", contentType: jsonPatch,
		body: `[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`,
	})
	job = read(rec, http.StatusOK)
	require.Empty(t, job.ManagedFields, "managed fields can be given up")
	status = w.fails(w.do(w.applied("one", "", first)), http.StatusConflict, metav1.StatusReasonConflict)
	require.Contains(t, status.Message, `conflict with "before-first-apply"`)
	job = read(w.do(w.applied("one", "&force=true", first)), http.StatusOK)
	require.Equal(t, "1", job.Labels["a"])
}

func TestClientSideApplyBecomesServerSide(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	body := manifest("a", "wait", `"parallelism":1,`)
	annotated, err := json.Marshal(body)
	require.NoError(t, err)
	w.read(w.do(call{method: "POST", path: jobsPath + "?fieldManager=kubectl-client-side-apply",
		body: strings.Replace(body, `"metadata":{`,
			`"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":`+string(annotated)+
				`},`, 1)}), http.StatusCreated, new(batchv1.Job))
	var job batchv1.Job
	w.read(w.do(w.applied("kubectl", "", manifest("a", "wait", `"parallelism":2,`))), http.StatusOK, &job)
	require.EqualValues(t, 2, *job.Spec.Parallelism, "kubectl owns what it applied on its own side")
}
