package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// pods lists the pods of a job.
func (w *world) pods(job string) []corev1.Pod {
	w.Helper()
	var list corev1.PodList
	w.get(podsPath+"?labelSelector=job-name%3D"+job, &list)
	return list.Items
}

func TestDeleteJob(t *testing.T) {
	options := &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"},
		PropagationPolicy: new(metav1.DeletePropagationOrphan)}
	tests := map[string]struct {
		query, contentType, body string
		lingers, orphans, warns  bool
	}{
		"without options":   {warns: true},
		"in the background": {body: `{"propagationPolicy":"Background"}`},
		"in the foreground": {body: `{"propagationPolicy":"Foreground"}`, lingers: true},
		"leaving orphans":   {body: `{"propagationPolicy":"Orphan"}`, orphans: true},
		"leaving orphans, by protobuf": {
			contentType: "application/vnd.kubernetes.protobuf", body: encoded(t, options), orphans: true,
		},
		"leaving orphans, by YAML":      {contentType: "application/yaml", body: "propagationPolicy: Orphan", orphans: true},
		"leaving orphans, by query":     {query: "?propagationPolicy=Orphan", orphans: true},
		"leaving orphans, the old way":  {body: `{"orphanDependents":true}`, orphans: true},
		"leaving no orphans, as of old": {body: `{"orphanDependents":false}`},
		"as kubectl does": {
			contentType: "application/json",
			body:        `{"kind":"DeleteOptions","apiVersion":"batch/v1","propagationPolicy":"Background"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Write: true})
			release := make(chan struct{})
			w.create(batch.Job{Name: "a", Executor: stubborn(release)})
			w.eventually(func() bool { pods := w.pods("a"); return len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning })
			job, watch := w.job("a"), w.open(podsPath+"?watch=1", "")
			rec := w.do(call{
				method: "DELETE", path: jobsPath + "/a" + test.query, contentType: test.contentType, body: test.body,
			})
			require.Equal(t, test.warns, rec.Header().Get("Warning") != "", rec.Header())
			if test.lingers {
				var left batchv1.Job
				w.read(rec, http.StatusOK, &left)
				require.NotNil(t, left.DeletionTimestamp)
				require.Equal(t, []string{"foregroundDeletion"}, left.Finalizers)
			} else {
				var status metav1.Status
				w.read(rec, http.StatusOK, &status)
				require.Equal(t, metav1.StatusSuccess, status.Status)
				require.Equal(t, &metav1.StatusDetails{Name: "a", Group: "batch", Kind: "jobs", UID: job.UID}, status.Details)
				w.fails(w.do(call{method: "GET", path: jobsPath + "/a"}), 404, metav1.StatusReasonNotFound)
			}
			var pods corev1.PodList
			w.get(podsPath, &pods)
			require.Len(t, pods.Items, 1, "its pod is still there")
			require.Equal(t, test.orphans, pods.Items[0].DeletionTimestamp == nil)
			require.Equal(t, test.orphans, len(pods.Items[0].OwnerReferences) == 0)
			close(release)
			watch.until("DELETED")
			w.eventually(func() bool { return w.do(call{method: "GET", path: jobsPath + "/a"}).Code == 404 })
		})
	}
}

func TestDeleteRefuses(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(batch.Job{Name: "a", Executor: wait})
	tests := map[string]struct {
		path, contentType, body string
		code                    int
		reason                  metav1.StatusReason
	}{
		"a job that is not there": {path: jobsPath + "/b", code: 404, reason: "NotFound"},
		"a pod that is not there": {path: podsPath + "/b", code: 404, reason: "NotFound"},
		"another UID": {
			path: jobsPath + "/a", body: `{"preconditions":{"uid":"x"}}`, code: 409, reason: "Conflict",
		},
		"another version": {
			path: jobsPath + "/a", body: `{"preconditions":{"resourceVersion":"5"}}`, code: 409, reason: "Conflict",
		},
		"an unknown policy": {
			path: jobsPath + "/a", body: `{"propagationPolicy":"Some"}`, code: 422, reason: "Invalid",
		},
		"two policies": {
			path: jobsPath + "/a", body: `{"propagationPolicy":"Orphan","orphanDependents":true}`, code: 422, reason: "Invalid",
		},
		"an unknown dry run":           {path: jobsPath + "/a", body: `{"dryRun":["Some"]}`, code: 422, reason: "Invalid"},
		"an unknown dry run, by query": {path: jobsPath + "/a?dryRun=Some", code: 422, reason: "Invalid"},
		"no options":                   {path: jobsPath + "/a", body: "{", code: 400, reason: "BadRequest"},
		"options of another kind":      {path: jobsPath + "/a", body: `{"kind":"Job"}`, code: 400, reason: "BadRequest"},
		"a form": {
			path: jobsPath + "/a", contentType: "application/x-www-form-urlencoded", body: "a=b", code: 415,
			reason: "UnsupportedMediaType",
		},
		"garbage in protobuf": {
			path: jobsPath + "/a", contentType: "application/vnd.kubernetes.protobuf", body: "k8s\x00x", code: 400,
			reason: "BadRequest",
		},
		"many, by a bad selector": {path: jobsPath + "?labelSelector=%3D", code: 400, reason: "BadRequest"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			w.fails(
				w.do(call{method: "DELETE", path: test.path, contentType: test.contentType, body: test.body}), test.code,
				test.reason,
			)
			w.job("a")
		})
	}
}

func TestDeletePods(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	release := make(chan struct{})
	defer close(release)
	w.create(batch.Job{Name: "a", Executor: stubborn(release), BackoffLimit: new(0)})
	w.eventually(func() bool { return len(w.pods("a")) == 1 })
	pod := w.pods("a")[0]
	var deleted corev1.Pod
	rec := w.do(call{method: "DELETE", path: podsPath + "/" + pod.Name, body: `{"gracePeriodSeconds":1}`})
	w.read(rec, http.StatusOK, &deleted)
	require.Contains(t, rec.Header().Get("Warning"), "gracePeriodSeconds is ignored")
	require.NotNil(t, deleted.DeletionTimestamp, "a pod that runs is given time")
	require.Equal(t, pod.UID, deleted.UID)
	w.get(podsPath+"/"+pod.Name, &deleted)

	w.post(manifest("b", "hello", ""))
	w.finish("b")
	done := w.pods("b")[0]
	w.read(w.do(call{method: "DELETE", path: podsPath + "/" + done.Name}), http.StatusOK, &deleted)
	w.fails(w.do(call{method: "GET", path: podsPath + "/" + done.Name}), 404, metav1.StatusReasonNotFound)
	require.Empty(t, w.pods("b"))
}

// stubborn is an executor that ends only when it is released.
func stubborn(release <-chan struct{}) batch.Executor {
	return batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
		<-release
		return nil
	})
}

func TestDeleteCollection(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	for i := range 6 {
		w.create(batch.Job{Name: fmt.Sprint("job-", i), Executor: wait, Labels: map[string]string{"odd": fmt.Sprint(i % 2)}})
	}
	var deleted batchv1.JobList
	w.read(
		w.do(call{method: "DELETE", path: jobsPath + "?labelSelector=odd%3D1", body: `{"propagationPolicy":"Background"}`}),
		http.StatusOK, &deleted,
	)
	require.Equal(t, "JobList", deleted.Kind)
	require.Len(t, deleted.Items, 3)
	var left batchv1.JobList
	w.get(jobsPath, &left)
	require.Len(t, left.Items, 3)
	require.Equal(t, http.StatusOK, w.do(call{method: "DELETE", path: "/apis/batch/v1/namespaces/other/jobs"}).Code)
	w.get(jobsPath, &left)
	require.Len(t, left.Items, 3)
	w.eventually(func() bool { return len(w.pods("job-0")) == 1 })
	w.read(
		w.do(call{method: "DELETE", path: podsPath + "?labelSelector=job-name%3Djob-0"}), http.StatusOK, new(corev1.PodList),
	)
	require.Equal(t, http.StatusOK, w.do(call{method: "DELETE", path: jobsPath}).Code)
	w.get(jobsPath, &left)
	require.Empty(t, left.Items)
}

// TestEviction follows the documentation of failures by disruption: an evicted pod
// is replaced and not counted, as the policy says.
func TestEviction(t *testing.T) {
	w := newWorld(t, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{
		"stopped": func(ctx context.Context, _ batch.Attempt, _ convert.Container) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}}})
	w.post(manifest("a", "stopped", `"backoffLimit":0,"podFailurePolicy":{"rules":[
		{"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]}]},`))
	pod := w.pods("a")[0]
	body := func(more string) string {
		return fmt.Sprintf(
			`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":"default"}%s}`, pod.Name, more,
		)
	}
	evict := func(body string) *httptest.ResponseRecorder {
		return w.do(call{method: "POST", path: podsPath + "/" + pod.Name + "/eviction", body: body})
	}
	w.fails(
		evict(body(`,"deleteOptions":{"preconditions":{"uid":"other"}}`)), http.StatusConflict, metav1.StatusReasonConflict,
	)
	w.fails(evict(`{"apiVersion":"v1","kind":"Pod"}`), http.StatusBadRequest, metav1.StatusReasonBadRequest)
	w.read(evict(body(`,"deleteOptions":{"dryRun":["All"]}`)), http.StatusCreated, new(metav1.Status))
	require.Equal(t, pod.UID, w.pods("a")[0].UID, "nothing was done")

	watch := w.open(podsPath+"?watch=1&fieldSelector=metadata.name="+pod.Name, "")
	watch.until("ADDED")
	w.read(evict(body("")), http.StatusCreated, new(metav1.Status))
	require.Contains(t, string(watch.until("DELETED").Object.Status), "EvictionByEvictionAPI")
	w.eventually(func() bool { status, err := w.c.Get("a"); return err == nil && !status.NextRetry.IsZero() })
	require.Zero(t, w.job("a").Status.Failed, "it is ignored, and replaced later")
	require.Empty(t, w.job("a").Status.Conditions)

	refused := newWorld(t, Config{})
	refused.create(waitingJob("a"))
	require.NoError(t, refused.c.Resume(t.Context(), "a"))
	refused.fails(refused.do(call{method: "POST", path: podsPath + "/" + refused.pods("a")[0].Name + "/eviction",
		body: "{}"}),
		http.StatusForbidden, metav1.StatusReasonForbidden)
}
