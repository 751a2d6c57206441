package api

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
)

// yamlBomb has nine levels of aliases, each with nine of the level below.
func yamlBomb() string {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := byte('b'); c <= 'i'; c++ {
		last := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+last+",", 9) + "*" + last + "]\n"
	}
	return bomb
}

// hostileBodies are short to write and long to read.
func hostileBodies() map[string]struct{ contentType, body string } {
	deep := func(open, middle, closing string, n int) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(closing, n)
	}
	withMetadata := func(field string) string {
		return strings.Replace(manifest("h", "hello", ""), `"metadata":{`, `"metadata":{`+field+",", 1)
	}
	return map[string]struct{ contentType, body string }{
		"deep lists in JSON":   {contentType: "application/json", body: deep("[", "", "]", 1<<20)},
		"deep objects in JSON": {contentType: "application/json", body: deep(`{"a":`, "1", "}", 500_000)},
		"deep objects where they fit": {
			contentType: "application/json", body: withMetadata(`"annotations":` + deep(`{"a":`, `"x"`, "}", 9_000)),
		},
		"deep managed fields": {
			contentType: "application/json",
			body: withMetadata(`"managedFields":[{"manager":"m","operation":"Apply","apiVersion":"batch/v1",` +
				`"fieldsType":"FieldsV1","fieldsV1":` + deep(`{"f:a":`, "{}", "}", 40) + `}]`),
		},
		"many unknown fields": {
			contentType: "application/json", body: withMetadata(`"x":{` + strings.Repeat(`"y":1,`, 400_000) + `"z":1}`),
		},
		"many containers": {
			contentType: "application/json",
			body: strings.Replace(
				manifest("h", "hello", ""), `{"name":"c"`, strings.Repeat(`{"name":"c"},`, 100_000)+`{"name":"c"`, 1,
			),
		},
		"many labels": {
			contentType: "application/json", body: withMetadata(`"labels":{` + strings.Repeat(`"a":"b",`, 300_000) + `"c":"d"}`),
		},
		"a long name": {contentType: "application/json", body: manifest(strings.Repeat("a", 2<<20), "hello", "")},
		"a number without end": {
			contentType: "application/json", body: manifest("h", "hello", `"parallelism":1`+strings.Repeat("0", 1<<20)+`,`),
		},
		"aliases of aliases": {contentType: "application/yaml", body: yamlBomb()},
		"deep lists in YAML": {contentType: "application/yaml", body: strings.Repeat("[", 500_000)},
		"deep maps in YAML":  {contentType: "application/yaml", body: strings.Repeat("{a: ", 100_000)},
		"many documents":     {contentType: "application/yaml", body: strings.Repeat("---\n", 100_000)},
		"a merge key":        {contentType: "application/yaml", body: "<<: {a: 1}\nkind: Job\n"},
		"a binary tag": {
			contentType: "application/yaml", body: "a: !!binary " + strings.Repeat("A", 100_000),
		},
		"protobuf with false lengths":  {contentType: wire.Protobuf, body: "k8s\x00\x0a\xff\xff\xff\xff\x0f"},
		"protobuf of groups in groups": {contentType: wire.Protobuf, body: "k8s\x00" + strings.Repeat("\x0b", 1<<20)},
	}
}

// TestHostileBodies sends what is short to write and long to read. Whatever the
// answer is, it comes soon and takes little memory.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(waitingJob("seed"))
	for name, test := range hostileBodies() {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			for _, c := range []call{
				{method: "POST", path: jobsPath + "?dryRun=All"},
				{method: "POST", path: jobsPath + "?dryRun=All&fieldValidation=Strict"},
				{method: "PUT", path: jobsPath + "/seed"},
				{method: "DELETE", path: jobsPath + "/seed?dryRun=All"},
			} {
				c.contentType, c.body = test.contentType, test.body
				w.soon(c)
			}
			for _, kind := range []string{jsonPatch, mergePatch, strategicPatch, applyPatch} {
				w.soon(call{
					method: "PATCH", path: jobsPath + "/seed?dryRun=All&fieldManager=m", contentType: kind, body: test.body,
				})
			}
		})
	}
	require.Equal(t, "seed", w.job("seed").Name)
}

// soon sends a request that must not take long, nor much memory.
func (w *world) soon(c call) {
	w.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	started := time.Now()
	rec := w.do(c)
	runtime.ReadMemStats(&after)
	require.Less(w, time.Since(started), patience, c.method+" "+c.contentType)
	// most of it garbage; more with the race detector
	require.Less(w, after.TotalAlloc-before.TotalAlloc, uint64(2<<30), c.method+" "+c.contentType)
	require.NotEqual(w, http.StatusInternalServerError, rec.Code, rec.Body.String()[:min(rec.Body.Len(), 500)])
	require.Less(w, rec.Body.Len(), 32<<20)
}

// TestHostileQueries asks for things in ways that nobody would.
func TestHostileQueries(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(waitingJob("seed"))
	long := strings.Repeat("a", 20_000)
	for _, query := range []string{
		"labelSelector=" + strings.Repeat("a%2C", 8_000) + "a",
		"labelSelector=a+in+%28" + strings.Repeat("b%2C", 8_000) + "b%29",
		"labelSelector=" + strings.Repeat("%28", 8_000), "fieldSelector=" + strings.Repeat(
			"metadata.name%3Dx%2C", 1_500,
		) + "metadata.name%3Dx",
		"fieldSelector=" + strings.Repeat("%5C", 8_000), "fieldSelector=metadata.name%3D" + long, "continue=" + long,
		"limit=-1", "limit=9223372036854775807", "limit=99999999999999999999", "resourceVersion=18446744073709551615",
		"resourceVersion=-1",
		"timeoutSeconds=-5&limit=1", "includeObject=" + long, "watch=false", "watch=0&sendInitialEvents=0", "a=%00%0a&b[]=c",
	} {
		for _, path := range []string{jobsPath, podsPath, "/api/v1/events", "/api/v1/namespaces"} {
			w.soon(call{method: "GET", path: path + "?" + query})
			w.soon(call{method: "GET", path: path + "?" + query, accept: tableAccept})
		}
	}
	for _, path := range []string{"/" + long, jobsPath + "/" + long, podsPath + "/" + strings.Repeat("a-", 10_000),
		jobsPath + "/%2e%2e%2f", "//api//v1", "/apis/" + strings.Repeat("x/", 10_000)} {
		w.soon(call{method: "GET", path: path})
		w.soon(call{method: "DELETE", path: path})
	}
	for _, accept := range []string{strings.Repeat("a/b,", 10_000),
		"application/json;as=Table;v=v1;g=meta.k8s.io;" + strings.Repeat("x=y;", 5_000), ";;;,,,", long} {
		w.soon(call{method: "GET", path: jobsPath, accept: accept})
	}
}

func TestManyWarningsAreCut(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	var env []string
	for range 500 {
		env = append(env, `{"name":"A","value":"1"}`)
	}
	rec := w.do(call{method: "POST", path: jobsPath + "?dryRun=All",
		body: strings.Replace(
			manifest("a", "hello", ""), `"name":"c",`, `"name":"c","env":[`+strings.Join(env, ",")+`],`, 1,
		)})
	w.read(rec, http.StatusCreated, new(batchv1.Job))
	require.Less(t, len(strings.Join(rec.Header()["Warning"], "")), 2*wire.AllWarnings)
}
