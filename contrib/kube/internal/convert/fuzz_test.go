package convert

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/manifest"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// FuzzJob gives anything for a manifest. Nothing may panic, and what is taken
// must be a job that a controller takes, and come back as it was.
func FuzzJob(f *testing.F) {
	for _, text := range acceptedJobs(f) {
		f.Add([]byte(text))
	}
	f.Add(
		[]byte(asJSON(f, podJob(f, "env: [{name: A, value: $(B)}]", "initContainers: [{name: first, image: func/report}]"))),
	)
	f.Fuzz(func(t *testing.T, data []byte) {
		manifests, err := manifest.Decode(data)
		if err != nil {
			return
		}
		for _, m := range manifests.Jobs {
			validation.Default(m)
			if _, _, err := anything.Job(m, FromCode); err == nil {
				m.Finalizers, m.ManagedFields, m.Status = nil, nil, batchv1.JobStatus{}
				m.UID, m.Generation, m.CreationTimestamp = "", 0, metav1.Time{}
				m.DeletionTimestamp, m.DeletionGracePeriodSeconds = nil, nil
				m.Spec.Scheduling = nil
				requireShows(t, m)
			}
		}
	})
}

// requireShows wants the job and its pods to be shown, and the job as it is.
func requireShows(t *testing.T, m *batchv1.Job) {
	requireRoundTrip(t, m)
	for _, phase := range []string{batch.AttemptPending, batch.AttemptRunning, batch.AttemptSucceeded,
		batch.AttemptFailed} {
		p := Pod(m, attempt(func(a *batch.AttemptStatus) { a.Phase = phase }), "")
		_, err := json.Marshal(p)
		require.NoError(t, err)
	}
}

// acceptedJobs are those that the API server has accepted, with programs to run.
func acceptedJobs(f *testing.F) []string {
	file, err := os.Open("../validation/testdata/answers.jsonl")
	require.NoError(f, err)
	defer file.Close()
	var jobs []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var answer struct {
			Job    *batchv1.Job
			Errors []string
		}
		require.NoError(f, json.Unmarshal(lines.Bytes(), &answer))
		if answer.Errors != nil {
			continue
		}
		for i := range answer.Job.Spec.Template.Spec.Containers {
			answer.Job.Spec.Template.Spec.Containers[i].Command = []string{"true"}
		}
		jobs = append(jobs, asJSON(f, answer.Job))
	}
	require.NoError(f, lines.Err())
	return jobs
}
