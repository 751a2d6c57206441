package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// encoded is an object as clients of today send it.
func encoded(t testing.TB, o runtime.Object) string {
	scheme := newScheme()
	var body bytes.Buffer
	require.NoError(t, protobuf.NewSerializer(scheme, scheme).Encode(o, &body))
	return body.String()
}

func TestCreateBodies(t *testing.T) {
	job := new(batchv1.Job)
	require.NoError(t, json.Unmarshal([]byte(manifest("a", "hello", "")), job))
	inYAML := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec:\n  template:\n    spec:\n" +
		"      restartPolicy: Never\n      containers:\n      - {name: c, image: func/hello}\n"
	tests := map[string]struct{ contentType, body string }{
		"JSON":                         {contentType: "application/json", body: manifest("a", "hello", "")},
		"JSON with a character set":    {contentType: "application/json; charset=utf-8", body: manifest("a", "hello", "")},
		"JSON that says so by nothing": {body: manifest("a", "hello", "")},
		"YAML":                         {contentType: "application/yaml", body: inYAML},
		"protobuf":                     {contentType: "application/vnd.kubernetes.protobuf", body: encoded(t, job)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Write: true})
			var created batchv1.Job
			w.read(
				w.do(call{method: "POST", path: jobsPath, contentType: test.contentType, body: test.body}), http.StatusCreated,
				&created,
			)
			require.Equal(t, "a", created.Name)
			require.NotEmpty(t, created.UID)
			require.EqualValues(t, 1, created.Generation)
			require.EqualValues(t, 1, *created.Spec.Completions, "defaults are filled in")
			w.finish("a")
			require.EqualValues(t, 1, w.job("a").Status.Succeeded)
		})
	}
}

// A refusal is the answer to a body that is not taken.
type refusal struct {
	query, contentType, body string
	code                     int
	reason                   metav1.StatusReason
	message                  string
}

// replaced is a manifest in which one text is replaced by another one.
func replaced(old, new string) string {
	return strings.Replace(manifest("a", "hello", ""), old, new, 1)
}

// unreadableBodies are no manifests of jobs.
func unreadableBodies(t *testing.T) map[string]refusal {
	return map[string]refusal{
		"an unknown field, strictly": {
			query: "fieldValidation=Strict", body: replaced(`"name":"c"`, `"name":"c","bogusField":1`), code: 400,
			reason: "BadRequest",
			message: `Job in version "v1" cannot be handled as a Job: strict decoding error: unknown field ` +
				`"spec.template.spec.containers[0].bogusField"`,
		},
		"a duplicate field, strictly": {
			query: "fieldValidation=Strict", body: replaced(`"name":"c"`, `"name":"c","name":"d"`), code: 400,
			reason: "BadRequest", message: `strict decoding error: duplicate field "spec.template.spec.containers[0].name"`,
		},
		"a duplicate key of YAML, strictly": {
			query: "fieldValidation=Strict", contentType: "application/yaml", body: "a: 1\na: 2\n", code: 400,
			reason: "BadRequest", message: `key "a" already set in map`,
		},
		"a value of a wrong type": {body: replaced(`"spec":{`, `"spec":{"completions":"x",`), code: 400, reason: "BadRequest",
			message: "json: cannot unmarshal string into Go struct field JobSpec.spec.completions of type int32"},
		"another kind": {
			body: replaced(`"kind":"Job"`, `"kind":"CronJob"`), code: 400, reason: "BadRequest",
			message: `CronJob in version "v1" cannot be handled as a Job`,
		},
		"another version": {
			body: replaced(`batch/v1`, `batch/v1beta1`), code: 400, reason: "BadRequest",
			message: "does not match the expected API version (batch/v1)",
		},
		"nothing": {code: 400, reason: "BadRequest", message: "the object provided is unrecognized (must be of type Job)"},
		"no JSON": {body: "{", code: 400, reason: "BadRequest", message: "the object provided is unrecognized"},
		"no YAML": {
			contentType: "application/yaml", body: "\t", code: 400, reason: "BadRequest",
			message: "found character that cannot start any token",
		},
		"YAML with aliases": {
			contentType: "application/yaml", body: "a: &a [1]\nb: *a\n", code: 400, reason: "BadRequest",
			message: "YAML aliases are not supported",
		},
		"too much YAML": {
			contentType: "application/yaml", body: strings.Repeat("#", wire.LargestYAML+1), code: 400, reason: "BadRequest",
			message: "over the limit",
		},
		"no protobuf": {
			contentType: "application/vnd.kubernetes.protobuf", body: "k8s\x00garbage", code: 400, reason: "BadRequest",
			message: "unrecognized",
		},
		"protobuf of another kind": {contentType: "application/vnd.kubernetes.protobuf",
			body: encoded(t, &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}}),
			code: 400, reason: "BadRequest", message: "Pod"},
		"another namespace": {
			body: replaced(`"metadata":{`, `"metadata":{"namespace":"other",`), code: 400, reason: "BadRequest",
			message: "the namespace of the provided object does not match",
		},
		"a version of its own": {
			body: replaced(`"metadata":{`, `"metadata":{"resourceVersion":"1",`), code: 400, reason: "BadRequest",
			message: "resourceVersion should not be set",
		},
	}
}

// invalidBodies are manifests of jobs that cannot be. The code of the answer is 422.
func invalidBodies() map[string]refusal {
	return map[string]refusal{
		"an unknown dry run": {
			query: "dryRun=Some", body: replaced("", ""),
			message: `dryRun: Unsupported value: ["Some"]: supported values: "All"`,
		},
		"an unknown validation": {
			query: "fieldValidation=Some", body: replaced("", ""),
			message: "fieldValidation: Unsupported value",
		},
		"a manager that cannot be": {
			query: "fieldManager=" + strings.Repeat("a", 129), body: replaced("", ""),
			message: "fieldManager: Too long",
		},
		"what is not valid": {
			body: replaced(`"Never"`, `"Always"`),
			message: `Job.batch "a" is invalid: spec.template.spec.restartPolicy: Required value: ` +
				`valid values: "OnFailure", "Never"`,
		},
		"a function nobody has": {
			body: manifest("a", "unknown", ""), message: "spec.template.spec.containers[0].image",
		},
		"a command": {
			body:    replaced(`"image":"func/hello"`, `"image":"perl","command":["true"]`),
			message: "spec.template.spec.containers[0]",
		},
		"a bad generated name": {
			body: replaced(`"name":"a"`, `"generateName":"A_"`), message: "metadata.name",
		},
		"metadata that is too long": {
			body:    replaced(`"metadata":{`, `"metadata":{"annotations":{"a":"`+strings.Repeat("x", 300<<10)+`"},`),
			message: "metadata.annotations: Too long",
		},
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{"hello": nil}}})
	tests := unreadableBodies(t)
	for name, test := range invalidBodies() {
		test.code, test.reason = 422, metav1.StatusReasonInvalid
		tests[name] = test
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			rec := w.do(call{method: "POST", path: jobsPath + "?" + test.query, contentType: test.contentType, body: test.body})
			status := w.fails(rec, test.code, test.reason)
			require.Contains(t, status.Message, test.message)
			if test.code == 422 {
				require.NotEmpty(t, status.Details.Causes)
				require.NotEmpty(t, status.Details.Causes[0].Field)
			}
		})
	}
	status := w.fails(
		w.do(call{method: "POST", path: "/apis/batch/v1/namespaces/other/jobs", body: manifest("a", "hello", "")}), 404,
		metav1.StatusReasonNotFound,
	)
	require.Equal(t, `namespaces "other" not found`, status.Message)
	require.Empty(t, w.server.host.Cache.List(0, "").Objects)
}

func TestErrorIsTheOneOfTheServer(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.post(manifest("a", "wait", ""))
	status := w.fails(
		w.do(call{method: "POST", path: jobsPath, body: manifest("a", "wait", "")}), 409, metav1.StatusReasonAlreadyExists,
	)
	want := apierrors.NewAlreadyExists(batchv1.Resource("jobs"), "a").ErrStatus
	want.TypeMeta = status.TypeMeta
	require.Equal(t, want, status)
}

func TestFieldValidationWarns(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	body := strings.Replace(manifest("a", "hello", ""), `"name":"c"`, `"name":"c","bogus":1`, 1)
	for mode, want := range map[string][]string{
		"":       {`299 - "unknown field \"spec.template.spec.containers[0].bogus\""`},
		"Warn":   {`299 - "unknown field \"spec.template.spec.containers[0].bogus\""`},
		"Ignore": nil,
	} {
		rec := w.do(call{method: "POST", path: jobsPath + "?dryRun=All&fieldValidation=" + mode, body: body})
		require.Equal(t, http.StatusCreated, rec.Code)
		require.Equal(t, want, rec.Header()["Warning"], mode)
	}
	var many strings.Builder
	for i := range 10_000 {
		many.WriteString(`"x` + strings.Repeat("y", i%7) + string(rune('a'+i%26)) + `":1,`)
	}
	rec := w.do(call{
		method: "POST", path: jobsPath + "?dryRun=All",
		body: strings.Replace(body, `"name":"c"`, many.String()+`"name":"c"`, 1),
	})
	require.NotEmpty(t, rec.Header()["Warning"])
	require.Less(t, len(strings.Join(rec.Header()["Warning"], "")), 2*wire.AllWarnings)
}

func TestDryRunChangesNothing(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	var created batchv1.Job
	w.read(
		w.do(call{method: "POST", path: jobsPath + "?dryRun=All", body: manifest("a", "hello", "")}), http.StatusCreated,
		&created,
	)
	require.NotEmpty(t, created.UID)
	require.Equal(t, string(created.UID), created.Spec.Template.Labels["controller-uid"])
	require.Empty(t, created.ResourceVersion)
	require.Zero(t, created.Status)
	w.fails(w.do(call{method: "GET", path: jobsPath + "/a"}), 404, metav1.StatusReasonNotFound)

	w.post(manifest("a", "wait", ""))
	before := w.job("a")
	w.fails(
		w.do(call{method: "POST", path: jobsPath + "?dryRun=All", body: manifest("a", "hello", "")}), 409,
		metav1.StatusReasonAlreadyExists,
	)
	var changed batchv1.Job
	suspend := `{"spec":{"suspend":true}}`
	w.read(
		w.do(call{
			method: "PATCH", path: jobsPath + "/a?dryRun=All", contentType: "application/merge-patch+json", body: suspend,
		}),
		200, &changed,
	)
	require.True(t, *changed.Spec.Suspend)
	require.Equal(t, before.Generation+1, changed.Generation)
	w.read(w.do(call{method: "PATCH", path: jobsPath + "/a?dryRun=All&fieldManager=m&force=true",
		contentType: "application/apply-patch+yaml",
		body:        `{"apiVersion":"batch/v1","kind":"Job","spec":{"suspend":true}}`}), 200, &changed)
	changed = *before.DeepCopy()
	changed.Spec.Suspend = new(true)
	body, err := json.Marshal(changed)
	require.NoError(t, err)
	w.read(w.do(call{method: "PUT", path: jobsPath + "/a?dryRun=All", body: string(body)}), 200, &changed)
	for _, c := range []call{
		{method: "DELETE", path: jobsPath + "/a?dryRun=All"}, {
			method: "DELETE", path: jobsPath + "/a", body: `{"dryRun":["All"]}`,
		},
		{method: "DELETE", path: jobsPath + "?dryRun=All"}, {method: "DELETE", path: podsPath + "?dryRun=All"},
	} {
		require.Equal(t, http.StatusOK, w.do(c).Code)
	}
	require.Equal(t, before.ResourceVersion, w.job("a").ResourceVersion)
}

func TestMetadataIsKept(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	body := strings.Replace(manifest("", "wait", ""), `"name":""`, `"generateName":"gen-","uid":"mine","generation":7,`+
		`"annotations":{"kube.runtocompletion.dev/metadata":"{}","a":"b"}`, 1)
	rec := w.do(call{method: "POST", path: jobsPath, body: body, header: map[string]string{"User-Agent": "tester/v1 (x)"}})
	var created batchv1.Job
	w.read(rec, http.StatusCreated, &created)
	require.Regexp(t, "^gen-[a-z0-9]{5}$", created.Name)
	job := w.job(created.Name)
	require.Equal(t, "gen-", job.GenerateName)
	require.Equal(t, map[string]string{"a": "b"}, job.Annotations)
	require.Empty(t, job.Finalizers)
	require.NotEqual(t, "mine", string(job.UID))
	require.EqualValues(t, 1, job.Generation)
	require.Len(t, job.ManagedFields, 1)
	require.Equal(t, "tester", job.ManagedFields[0].Manager)
	spec, err := w.c.Job(created.Name)
	require.NoError(t, err)
	require.Contains(t, spec.Annotations, convert.MetadataAnnotation, "it goes with the job")
}

// TestFinalizersAndOwnersAreRefused wants neither to be kept without effect.
func TestFinalizersAndOwnersAreRefused(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(waitingJob("there"))
	for field, meta := range map[string]string{
		"metadata.finalizers":      `"finalizers":["x.y/z"]`,
		"metadata.ownerReferences": `"ownerReferences":[{"apiVersion":"v1","kind":"X","name":"x","uid":"u"}]`,
	} {
		body := strings.Replace(manifest("a", "wait", ""), `"name":"a"`, `"name":"a",`+meta, 1)
		for _, c := range []call{{method: "POST", path: jobsPath, body: body},
			{method: "PATCH", path: jobsPath + "/there", contentType: "application/merge-patch+json",
				body: `{"metadata":{` + meta + `}}`}} {
			status := w.fails(w.do(c), 422, metav1.StatusReasonInvalid)
			require.Equal(t, field, status.Details.Causes[0].Field)
		}
	}
}

func TestGoAndClientsSeeTheSameJobs(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.post(manifest("a", "wait", `"parallelism":2,`))
	spec, err := w.c.Job("a")
	require.NoError(t, err)
	require.Equal(t, 2, *spec.Parallelism)
	require.NoError(t, w.c.Suspend(t.Context(), "a"))
	require.True(t, *w.job("a").Spec.Suspend)
	require.EqualValues(t, 2, w.job("a").Generation)
	status, err := w.c.Get("a")
	require.NoError(t, err)
	require.Equal(t, status.UID, string(w.job("a").UID))
	require.NoError(t, w.c.Delete(t.Context(), "a", "Background"))
	w.fails(w.do(call{method: "GET", path: jobsPath + "/a"}), 404, metav1.StatusReasonNotFound)
}
