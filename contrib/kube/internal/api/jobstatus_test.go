package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

const statusPath = jobsPath + "/a/status"

// newManaged has a job of another controller, with four indexes and a limit for each.
func newManaged(t *testing.T) *world {
	w := newWorld(t, Config{Write: true})
	w.create(batch.Job{Name: "a", ManagedBy: new("acme.io/foo"), Executor: wait, Completions: new(4),
		CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(0)})
	return w
}

// report sends a status.
func (w *world) report(status string) call {
	return call{method: "PATCH", path: statusPath, contentType: "application/merge-patch+json",
		body: `{"status":` + status + `}`}
}

const (
	begun    = `{"startTime":"2026-01-02T03:04:05Z","active":3,"ready":2,"succeeded":1,"completedIndexes":"0"}`
	complete = `{"active":0,"ready":0,"succeeded":4,"completedIndexes":"0-3","completionTime":"2026-01-02T03:04:06Z",
		"conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]}`
)

// TestStatusOfManager reports a job's life by its status, of which spec is no part.
func TestStatusOfManager(t *testing.T) {
	w := newManaged(t)
	before := w.job("a")
	require.Empty(t, before.Status)
	var job batchv1.Job
	w.read(w.do(call{method: "PATCH", path: statusPath, contentType: "application/merge-patch+json",
		body: `{"spec":{"parallelism":9},"metadata":{"labels":{"seen":"yes"}},"status":` + begun + `}`}), http.StatusOK, &job)
	require.Equal(t, before.Spec, job.Spec)
	require.Equal(t, "yes", job.Labels["seen"])
	require.Equal(t, "0", job.Status.CompletedIndexes)
	require.EqualValues(t, 3, job.Status.Active)

	job = batchv1.Job{}
	w.read(w.do(w.report(complete)), http.StatusOK, &job)
	require.Equal(t, batchv1.JobConditionType("Finished"), job.Status.Conditions[1].Type, "as of all jobs")
	require.Equal(t, "2026-01-02T03:04:05Z", job.Status.StartTime.UTC().Format("2006-01-02T15:04:05Z"))
	status, err := w.c.Get("a")
	require.NoError(t, err)
	require.True(t, status.Is(batch.ConditionComplete))

	body, err := json.Marshal(&job)
	require.NoError(t, err)
	var again batchv1.Job
	w.read(w.do(call{method: "PUT", path: statusPath, body: string(body)}), http.StatusOK, &again)
	require.Equal(t, job, again, "what was read can be written")
}

// TestStatusIsJudged wants the rules of an API server for what may follow a status.
func TestStatusIsJudged(t *testing.T) {
	for name, test := range map[string]struct{ status, field, message string }{
		"fewer successes": {`{"succeeded":0}`, "status.succeeded", "cannot decrease the succeeded counter"},
		"another start": {`{"startTime":"2026-01-02T03:04:04Z"}`, "status.startTime",
			"field is immutable for unsuspended job once set"},
		"more ready than active": {`{"ready":4}`, "status.ready", "cannot set more ready pods than active"},
		"an end without a reason": {`{"active":0,"ready":0,"conditions":[{"type":"Complete","status":"True"}],
			"completionTime":"2026-01-02T03:04:06Z"}`, "status.conditions", "SuccessCriteriaMet=true condition"},
		"indexes that are none": {`{"completedIndexes":"x"}`, "status.completedIndexes",
			`error parsing completedIndexes: cannot convert string to integer for index: "x"`},
		"indexes that are too large": {`{"failedIndexes":"7"}`, "status.failedIndexes", `too large index: "7"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newManaged(t)
			var before batchv1.Job
			w.read(w.do(w.report(begun)), http.StatusOK, &before)
			status := w.fails(w.do(w.report(test.status)), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
			require.Equal(t, test.field, status.Details.Causes[0].Field)
			require.Contains(t, status.Message, test.message)
			require.Equal(t, before, *w.job("a"), "nothing has changed")
		})
	}
}

// TestStatusIsRefused wants those to be refused who must not write, or meant something else.
func TestStatusIsRefused(t *testing.T) {
	w := newManaged(t)
	w.create(batch.Job{Name: "ours", Executor: wait})
	call := w.report(begun)
	call.path = jobsPath + "/ours/status"
	status := w.fails(w.do(call), http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	require.Contains(t, status.Message, "the status of a job without managedBy is set by this server alone")
	call.path = jobsPath + "/gone/status"
	w.fails(w.do(call), http.StatusNotFound, metav1.StatusReasonNotFound)
	call.path = statusPath + "?dryRun=All"
	w.fails(w.do(call), http.StatusBadRequest, metav1.StatusReasonBadRequest)
	call.path, call.body = statusPath, `{"metadata":{"resourceVersion":"1"},"status":{"active":1}}`
	w.fails(w.do(call), http.StatusConflict, metav1.StatusReasonConflict)
	call.body = `{"metadata":{"finalizers":["acme.io/mine"]}}`
	status = w.fails(w.do(call), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	require.Equal(t, "metadata.finalizers", status.Details.Causes[0].Field)
	require.Empty(t, w.job("a").Status)
	rec := w.do(w.report(`{"active":1,"uncountedTerminatedPods":{"succeeded":["u"]}}`))
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Header().Get("Warning"), "status.uncountedTerminatedPods: not kept here")
	require.EqualValues(t, 1, w.job("a").Status.Active)
}
