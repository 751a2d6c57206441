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

var updateTests = map[string]struct {
	change  func(*batchv1.Job)
	code    int
	reason  metav1.StatusReason
	message string
}{
	"suspend":     {change: func(j *batchv1.Job) { j.Spec.Suspend = new(true) }, code: 200},
	"parallelism": {change: func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(3)) }, code: 200},
	"deadlines": {change: func(j *batchv1.Job) {
		j.Spec.ActiveDeadlineSeconds, j.Spec.TTLSecondsAfterFinished = new(int64(900)), new(int32(5))
	}, code: 200},
	"labels":      {change: func(j *batchv1.Job) { j.Labels = map[string]string{"x": "y"} }, code: 200},
	"annotations": {change: func(j *batchv1.Job) { j.Annotations = map[string]string{"x": "y"} }, code: 200},
	"without a version": {
		change: func(j *batchv1.Job) { j.ResourceVersion = ""; j.Spec.Suspend = new(true) }, code: 200,
	},
	"the status is ignored": {
		change: func(j *batchv1.Job) { j.Status.Succeeded = 99; j.Spec.Suspend = new(true) }, code: 200,
	},
	"nothing": {change: func(*batchv1.Job) {}, code: 200},
	"of an older version": {
		change: func(j *batchv1.Job) { j.ResourceVersion = "5" }, code: 409, reason: "Conflict",
		message: `Operation cannot be fulfilled on jobs.batch "a": the object has been modified; ` +
			`please apply your changes to the latest version and try again`,
	},
	"of another job": {
		change: func(j *batchv1.Job) { j.UID = "other" }, code: 409, reason: "Conflict",
		message: "Precondition failed: UID in precondition: other",
	},
	"another name": {
		change: func(j *batchv1.Job) { j.Name = "b" }, code: 400, reason: "BadRequest",
		message: "the name of the object (b) does not match the name on the URL (a)",
	},
	"another namespace": {
		change: func(j *batchv1.Job) { j.Namespace = "other" }, code: 400, reason: "BadRequest",
		message: "the namespace of the provided object does not match",
	},
	"the template": {
		change: func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "func/hello" }, code: 422,
		reason: "Invalid", message: "field is immutable",
	},
	"completions": {
		change: func(j *batchv1.Job) { j.Spec.Completions = new(int32(3)) }, code: 422, reason: "Invalid",
		message: "field is immutable",
	},
	"what would not be valid": {
		change: func(j *batchv1.Job) { j.Spec.Parallelism = new(int32(-1)) }, code: 422, reason: "Invalid",
		message: "must be greater than or equal to 0",
	},
	"the template, when it may": {
		change: func(j *batchv1.Job) { j.Spec.Template.Annotations = map[string]string{"x": "y"} }, code: 422,
		reason: "Invalid", message: "spec.template",
	},
}

func TestUpdate(t *testing.T) {
	for name, test := range updateTests {
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
