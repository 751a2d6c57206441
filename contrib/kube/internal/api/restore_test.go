package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// goesOn waits until a job does not wait to be declared any more.
func (w *world) goesOn(name string) {
	w.Helper()
	w.eventually(func() bool {
		status, err := w.c.Get(name)
		require.NoError(w, err)
		return !status.Is(batch.ConditionStalled)
	})
}

// forged sets what a job keeps for itself: a manifest that runs a program.
func forged() map[string]string {
	program := strings.Replace(
		manifest("a", "wait", ""), `"image":"func/wait"`, `"image":"process","command":["forged"]`, 1,
	)
	return map[string]string{string(convert.FromClient): program, string(convert.FromCode): program,
		convert.MetadataAnnotation: `{"generateName":"forged"}`, "mine": "yes"}
}

// forgeries are calls that set what forged does, on all ways there are.
func forgeries(t *testing.T) map[string][]call {
	annotations, err := json.Marshal(forged())
	require.NoError(t, err)
	patch := fmt.Sprintf(`{"metadata":{"annotations":%s}}`, annotations)
	var operations []string
	for key, value := range forged() {
		operations = append(
			operations,
			fmt.Sprintf(`{"op":"add","path":"/metadata/annotations/%s","value":%q}`, strings.ReplaceAll(key, "/", "~1"), value),
		)
	}
	create := strings.Replace(
		manifest("a", "wait", ""), `"metadata":{`, `"metadata":{"annotations":`+string(annotations)+`,`, 1,
	)
	plain := call{
		method: "POST", path: jobsPath,
		body: strings.Replace(manifest("a", "wait", ""), `"metadata":{`, `"metadata":{"annotations":{"a":"b"},`, 1),
	}
	job := jobsPath + "/a"
	apply := call{method: "PATCH", path: job + "?fieldManager=m&force=true", contentType: applyPatch, body: create}
	return map[string][]call{
		"by create":             {{method: "POST", path: jobsPath, body: create}},
		"by apply that creates": {apply},
		"by apply":              {plain, apply},
		"by a replacement":      {plain, {method: "PUT", path: job}},
		"by a merge patch":      {plain, {method: "PATCH", path: job, contentType: mergePatch, body: patch}},
		"by a strategic patch":  {plain, {method: "PATCH", path: job, contentType: strategicPatch, body: patch}},
		"by a JSON patch": {
			plain, {method: "PATCH", path: job, contentType: jsonPatch, body: "[" + strings.Join(operations, ",") + "]"},
		},
		"by a patch that removes all": {
			plain, {method: "PATCH", path: job, contentType: mergePatch, body: `{"metadata":{"annotations":null}}`},
		},
	}
}

// TestKeptManifestCannotBeForged lets clients set the annotations in which a job
// keeps its manifest, by every way there is.
func TestKeptManifestCannotBeForged(t *testing.T) {
	for name, calls := range forgeries(t) {
		t.Run(name, func(t *testing.T) {
			store := new(batchtest.MemoryStore)
			w := newWorldOf(t, store, Config{Write: true})
			for _, c := range calls {
				if c.method == "PUT" {
					replacement := w.job("a")
					replacement.Annotations, replacement.ResourceVersion = forged(), ""
					c = *w.put(replacement)
				}
				rec := w.do(c)
				require.Equal(t, 2, rec.Code/100, rec.Body.String())
			}
			spec, err := w.c.Job("a")
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprint(spec.Annotations), "forged")
			require.NotContains(t, spec.Annotations, string(convert.FromCode))
			before := w.job("a")
			w.end()

			w = newWorldOf(t, store, Config{Write: true})
			w.goesOn("a")
			after := w.job("a")
			require.Equal(t, "func/wait", after.Spec.Template.Spec.Containers[0].Image)
			require.Equal(t, before.Spec, after.Spec)
			require.Equal(t, before.Annotations, after.Annotations)
			require.Equal(t, before.ManagedFields, after.ManagedFields)
			require.Equal(t, before.GenerateName, after.GenerateName)
		})
	}
}

// TestRestoreLargeJob wants a job that is as large as clients may send it to go
// on: annotations of a manifest are limited, but not what a job keeps.
func TestRestoreLargeJob(t *testing.T) {
	store := new(batchtest.MemoryStore)
	w := newWorldOf(t, store, Config{Write: true})
	w.post(
		strings.Replace(manifest("a", "wait", ""), `"name":"c"`, `"name":"c","args":["`+strings.Repeat("x", 1<<20)+`"]`, 1),
	)
	before := w.job("a")
	w.end()
	w = newWorldOf(t, store, Config{Write: true})
	w.goesOn("a")
	require.Equal(t, before.Spec, w.job("a").Spec)
	rec := w.do(call{method: "PATCH", path: jobsPath + "/a", contentType: mergePatch, body: `{"spec":{"suspend":true}}`})
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
}

// TestStalledJobCanBeChanged lets clients change and delete jobs that cannot go
// on.
func TestStalledJobCanBeChanged(t *testing.T) {
	store := new(batchtest.MemoryStore)
	w := newWorldOf(t, store, Config{Write: true})
	w.post(manifest("a", "wait", ""))
	w.post(manifest("b", "wait", ""))
	w.end()

	w = newWorldOf(t, store, Config{Write: true, Runner: new(convert.Runner)})
	var changed batchv1.Job
	w.read(w.do(call{method: "PATCH", path: jobsPath + "/a", contentType: mergePatch,
		body: `{"spec":{"parallelism":3},"metadata":{"labels":{"x":"y"},"annotations":{"x":"y"}}}`}), http.StatusOK, &changed)
	require.Contains(t, changed.Status.Conditions[0].Message, "spec.template.spec.containers[0].image")
	require.Equal(t, http.StatusOK, w.do(call{method: "DELETE", path: jobsPath + "/b"}).Code)
	w.end()

	w = newWorldOf(t, store, Config{Write: true})
	w.goesOn("a")
	job := w.job("a")
	require.EqualValues(t, 3, *job.Spec.Parallelism)
	require.Equal(t, "y", job.Labels["x"])
	require.Equal(t, map[string]string{"x": "y"}, job.Annotations)
	_, err := w.c.Get("b")
	require.ErrorIs(t, err, batch.ErrNotFound)
}

// TestRestoreByTwoServers wants a second server, and clients of both, to make no
// difference.
func TestRestoreByTwoServers(t *testing.T) {
	store := new(batchtest.MemoryStore)
	w := newWorldOf(t, store, Config{Write: true})
	for i := range 50 {
		w.post(manifest(fmt.Sprint("old-", i), "wait", ""))
	}
	w.end()

	w = newWorldOf(t, store, Config{Write: true})
	second := New(w.server.config)
	defer second.Close()
	for i := range 50 {
		w.post(manifest(fmt.Sprint("new-", i), "wait", ""))
	}
	for i := range 50 {
		w.goesOn(fmt.Sprint("old-", i))
		w.goesOn(fmt.Sprint("new-", i))
	}
}

// TestWatchSeesJobsGoOn wants those who watch to be told that a job waits no more.
func TestWatchSeesJobsGoOn(t *testing.T) {
	store := new(batchtest.MemoryStore)
	w := newWorldOf(t, store, Config{Write: true})
	w.post(manifest("a", "wait", ""))
	w.end()

	w = newWorldOf(t, store, Config{Runner: new(convert.Runner)})
	watch := w.open(jobsPath+"?watch=1", "")
	require.Contains(t, string(watch.next().Object.Status), `"type":"Stalled"`)
	able := newWorld(t, Config{}).server.config
	able.Controller = w.c
	second := New(able)
	defer second.Close()
	require.NotContains(t, string(watch.until("MODIFIED").Object.Status), `"type":"Stalled"`)
}

// failingWorld has a job of a client that waits to be restored, a server that is
// closed, and a store that fails.
func failingWorld(t *testing.T) (*world, *failingStore) {
	store := new(failingStore)
	w := newWorldOf(t, store, Config{Write: true})
	w.post(manifest("a", "wait", ""))
	w.end()

	w = newWorldOf(t, store, Config{Runner: new(convert.Runner)})
	w.server.Close()
	store.fail(t, w.c)
	return w, store
}

// TestRestoreEndsWithItsServer wants a server to close although its store fails,
// and goes on to.
func TestRestoreEndsWithItsServer(t *testing.T) {
	w, store := failingWorld(t)
	New(w.server.config).Close()
	store.fails.Store(false)
}

// TestRestoreWhenTheStoreWorksAgain wants jobs to go on that could not be declared
// at first.
func TestRestoreWhenTheStoreWorksAgain(t *testing.T) {
	w, store := failingWorld(t)
	config := w.server.config
	config.Runner = &convert.Runner{Functions: map[string]convert.Function{"wait": func(ctx context.Context,
		_ batch.Attempt, _ convert.Container) error {
		return nil
	}}}
	server := New(config)
	defer server.Close()
	status, err := w.c.Get("a")
	require.NoError(t, err)
	require.True(t, status.Is(batch.ConditionStalled))
	store.fails.Store(false)
	w.finish("a")
	require.EqualValues(t, 1, w.job("a").Status.Succeeded)
}

// A failingStore is a store that fails when it is told to.
type failingStore struct {
	batchtest.MemoryStore
	fails atomic.Bool
}

func (s *failingStore) Commit(ctx context.Context, records []batch.Record) error {
	if s.fails.Load() {
		return errors.New("the disk is full")
	}
	return s.MemoryStore.Commit(ctx, records)
}

// fail lets the store fail, and its controller see that.
func (s *failingStore) fail(t *testing.T, c *batch.Controller) {
	s.fails.Store(true)
	isStoreError := errors.Is(c.Create(t.Context(), waitingJob("seen")), batch.ErrStore)
	require.True(t, isStoreError)
}
