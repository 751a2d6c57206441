package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// put replaces a job.
func (w *world) put(job *batchv1.Job) *call {
	w.Helper()
	body, err := json.Marshal(job)
	require.NoError(w, err)
	return &call{method: "PUT", path: jobsPath + "/a", body: string(body)}
}

func TestUpdate(t *testing.T) {
	tests := map[string]struct {
		change  func(*batchv1.Job)
		code    int
		reason  metav1.StatusReason
		message string
	}{
		"suspend":     {func(j *batchv1.Job) { j.Spec.Suspend = new(true) }, 200, "", ""},
		"parallelism": {func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(3)) }, 200, "", ""},
		"deadlines": {func(j *batchv1.Job) {
			j.Spec.ActiveDeadlineSeconds, j.Spec.TTLSecondsAfterFinished = new(int64(900)), new(int32(5))
		}, 200, "", ""},
		"labels":      {func(j *batchv1.Job) { j.Labels = map[string]string{"x": "y"} }, 200, "", ""},
		"annotations": {func(j *batchv1.Job) { j.Annotations = map[string]string{"x": "y"} }, 200, "", ""},
		"without a version": {
			func(j *batchv1.Job) { j.ResourceVersion = ""; j.Spec.Suspend = new(true) }, 200, "", "",
		},
		"the status is ignored": {
			func(j *batchv1.Job) { j.Status.Succeeded = 99; j.Spec.Suspend = new(true) }, 200, "", "",
		},
		"nothing": {func(*batchv1.Job) {}, 200, "", ""},
		"of an older version": {
			func(j *batchv1.Job) { j.ResourceVersion = "5" }, 409, "Conflict",
			`Operation cannot be fulfilled on jobs.batch "a": the object has been modified; please apply your changes to the ` +
				`latest version and try again`,
		},
		"of another job": {
			func(j *batchv1.Job) { j.UID = "other" }, 409, "Conflict", "Precondition failed: UID in precondition: other",
		},
		"another name": {
			func(j *batchv1.Job) { j.Name = "b" }, 400, "BadRequest",
			"the name of the object (b) does not match the name on the URL (a)",
		},
		"another namespace": {
			func(j *batchv1.Job) { j.Namespace = "other" }, 400, "BadRequest",
			"the namespace of the provided object does not match",
		},
		"the template": {
			func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "func/hello" }, 422, "Invalid",
			"field is immutable",
		},
		"completions": {
			func(j *batchv1.Job) { j.Spec.Completions = new(int32(3)) }, 422, "Invalid", "field is immutable",
		},
		"what would not be valid": {
			func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(-1)) }, 422, "Invalid", "must be greater than or equal to 0",
		},
		"the template, when it may": {
			func(j *batchv1.Job) { j.Spec.Template.Annotations = map[string]string{"x": "y"} }, 422, "Invalid", "spec.template",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Write: true})
			w.post(manifest("a", "wait", ""))
			before := w.job("a")
			w.eventually(func() bool { before = w.job("a"); return before.Status.Ready != nil && *before.Status.Ready == 1 })
			want := before.DeepCopy()
			test.change(want)
			rec := w.do(*w.put(want))
			if test.code != 200 {
				require.Contains(t, w.fails(rec, test.code, test.reason).Message, test.message)
				require.Equal(t, before.ResourceVersion, w.job("a").ResourceVersion)
				return
			}
			var got batchv1.Job
			w.read(rec, 200, &got)
			require.Equal(t, want.Spec, got.Spec)
			require.Equal(t, want.Annotations, got.Annotations)
			require.Zero(t, got.Status.Succeeded)
			require.Equal(
				t, name == "nothing", got.ResourceVersion == before.ResourceVersion, "what changes nothing keeps the version",
			)
		})
	}
	w := newWorld(t, Config{Write: true})
	w.fails(
		w.do(call{method: "PUT", path: jobsPath + "/a", body: manifest("a", "wait", "")}), 404, metav1.StatusReasonNotFound,
	)
}

func TestTemplateOfSuspendedJob(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.post(manifest("a", "wait", `"suspend":true,`))
	require.Empty(t, w.pods("a"))
	job := w.job("a")
	job.Spec.Template.Annotations = map[string]string{"x": "y"}
	job.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "fast"}
	rec := w.do(*w.put(job))
	require.Contains(t, rec.Header().Get("Warning"), "spec.template.spec.nodeSelector: makes no difference")
	w.read(rec, 200, job)
	require.Equal(t, map[string]string{"disk": "fast"}, w.job("a").Spec.Template.Spec.NodeSelector)
	spec, err := w.c.Job("a")
	require.NoError(t, err)
	require.Contains(t, spec.Annotations[string(convert.FromClient)], `"disk":"fast"`, "it is there after a restart, too")

	w.read(
		w.do(call{
			method: "PATCH", path: jobsPath + "/a", contentType: "application/merge-patch+json",
			body: `{"spec":{"suspend":false}}`,
		}),
		200, job,
	)
	w.eventually(func() bool { return len(w.pods("a")) == 1 })
	pod := w.pods("a")[0]
	require.Equal(t, "y", pod.Annotations["x"])
	require.Equal(t, "fast", pod.Spec.NodeSelector["disk"])
	job = w.job("a")
	job.Spec.Template.Annotations["x"] = "z"
	require.Contains(t, w.fails(w.do(*w.put(job)), 422, metav1.StatusReasonInvalid).Message, "field is immutable")

	w = newWorld(t, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{
		"a": func(context.Context, batch.Attempt, convert.Container) error { return nil }}}})
	w.create(waitingJob("a"))
	job = w.job("a")
	job.Spec.Template.Annotations = map[string]string{"x": "y"}
	require.Contains(t, w.fails(w.do(*w.put(job)), 422, metav1.StatusReasonInvalid).Message, "the job is one of Go code")
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	const writers, writes = 8, 20
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range writes {
				body := fmt.Sprintf(`{"metadata":{"annotations":{"w-%d-%d":"x"}}}`, i, j)
				rec := w.do(call{method: "PATCH", path: jobsPath + "/a", contentType: "application/merge-patch+json", body: body})
				if rec.Code != http.StatusOK {
					t.Error(rec.Body.String())
				}
			}
		})
	}
	group.Wait()
	require.Len(t, w.job("a").Annotations, writers*writes)
}

func TestOptimisticLocking(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	const writers = 8
	var group sync.WaitGroup
	var mu sync.Mutex
	won := 0
	job := w.job("a")
	for i := range writers {
		group.Go(func() {
			mine := job.DeepCopy()
			mine.Annotations = map[string]string{"winner": fmt.Sprint(i)}
			if rec := w.do(*w.put(mine)); rec.Code == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	group.Wait()
	require.Equal(t, 1, won)
}
