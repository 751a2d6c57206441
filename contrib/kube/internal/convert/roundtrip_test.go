package convert

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

const someUID = "11111111-2222-3333-4444-555555555555"

// again is m after it has become a job, which a controller has taken, and a
// manifest again.
func again(t testing.TB, m *batchv1.Job) *batchv1.Job {
	job, _, err := anything.Job(m, FromCode)
	require.NoError(t, err)
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
	job.ManagedBy = new("example.com/other") // nothing is to run
	require.NoError(t, c.Create(t.Context(), job))
	taken, err := c.Job(job.Name)
	require.NoError(t, err)
	taken.ManagedBy = m.Spec.ManagedBy
	return Manifest(taken, batch.Status{UID: someUID}, "default")
}

// TestRoundTrip wants manifests back as the API server would show them: with
// defaults and generated labels, and nothing else changed.
func TestRoundTrip(t *testing.T) {
	for name, text := range map[string]string{
		"all defaults": `{restartPolicy: Never}`,
		"everything that a job knows": `
restartPolicy: OnFailure
activeDeadlineSeconds: 7
terminationGracePeriodSeconds: 0`,
		"what makes no difference": `
restartPolicy: Never
nodeSelector: {a: b}
terminationGracePeriodSeconds: -5
tolerations: [{key: k, operator: Exists}]`,
	} {
		for specName, spec := range map[string]string{
			"plain":      `{}`,
			"work queue": `{parallelism: 3}`,
			"zeros": `{completions: 0, parallelism: 0, backoffLimit: 0, activeDeadlineSeconds: 0, ` +
				`ttlSecondsAfterFinished: 0}`,
			"suspended":       `{suspend: true, managedBy: "example.com/x"}`,
			"a long deadline": `{activeDeadlineSeconds: 9223372036854775807, ttlSecondsAfterFinished: 2147483647}`,
			"limits per index": `{completionMode: Indexed, completions: 3, backoffLimitPerIndex: 1, maxFailedIndexes: 2, ` +
				`podReplacementPolicy: Failed}`,
			"a success policy": `{completionMode: Indexed, completions: 5, successPolicy: {rules: [{succeededIndexes: ` +
				`"+1,2-3", succeededCount: 1}, {succeededCount: 0}]}}`,
			"a manual selector": `{manualSelector: true, selector: {matchLabels: {a: b}}}`,
		} {
			t.Run(name+", "+specName, func(t *testing.T) {
				m := new(batchv1.Job)
				require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &m.Spec))
				require.NoError(t, yaml.UnmarshalStrict([]byte(text), &m.Spec.Template.Spec))
				containers := `{containers: [{name: c, image: "perl:5", command: [x, "$(A)"], env: [{name: A, value: b}]}]}`
				require.NoError(t, yaml.UnmarshalStrict([]byte(containers), &m.Spec.Template.Spec))
				m.Name, m.APIVersion, m.Kind = "job", "batch/v1", "Job"
				m.Annotations = map[string]string{"note": "x"}
				m.Spec.Template.Labels = map[string]string{"a": "b"}
				requireRoundTrip(t, m)
			})
		}
	}
}

// requireRoundTrip wants m back as it is with its defaults.
func requireRoundTrip(t testing.TB, m *batchv1.Job) {
	validation.Default(m)
	got := again(t, m)
	want := m // labels taken from the template are the template's
	want.UID, want.Namespace = someUID, "default"
	validation.Prepare(want)
	validation.Default(want) // as when it is read
	got.Status = batchv1.JobStatus{}
	require.Equal(t, asJSON(t, want), asJSON(t, got))
}

func asJSON(t testing.TB, m *batchv1.Job) string {
	text, err := json.MarshalIndent(m, "", " ")
	require.NoError(t, err)
	return string(text)
}

// TestRoundTripOfRecordedJobs takes every job that the API server has accepted.
func TestRoundTripOfRecordedJobs(t *testing.T) {
	text, err := os.ReadFile("../validation/testdata/validation.json")
	require.NoError(t, err)
	var cases []struct {
		Name     string
		Scenario struct {
			Spec          json.RawMessage
			RestartPolicy string
		}
		Outcome struct{ Accepted bool }
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	taken := 0
	for _, c := range cases {
		if !c.Outcome.Accepted {
			continue
		}
		m := podJob(t, "", "")
		m.Spec = batchv1.JobSpec{Template: m.Spec.Template}
		require.NoError(t, json.Unmarshal(c.Scenario.Spec, &m.Spec))
		m.Spec.Template.Spec.RestartPolicy = podJob(t, "", "").Spec.Template.Spec.RestartPolicy
		if len(m.Spec.Template.Spec.Containers[0].Command) == 0 { // a template of its own
			m.Spec.Template.Spec.Containers[0].Command = []string{"true"}
		}
		t.Run(c.Name, func(t *testing.T) { requireRoundTrip(t, m) })
		taken++
	}
	require.Greater(t, taken, 50)
}

// TestManifestOfGoJobs wants jobs made by Go code to look like ones of
// manifests, and to be valid as such.
func TestManifestOfGoJobs(t *testing.T) {
	matches := batch.FailureRule{Action: batch.ActionIgnore, OnError: func(error) bool { return true }}
	codes := batch.FailureRule{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{3}}}
	function := batch.ExecutorFunc(nil)
	for name, c := range map[string]struct {
		job         batch.Job
		image       string
		command     []string
		wantSeconds int64
	}{
		"a function":        {job: batch.Job{Executor: function}, image: "func/job"},
		"a named container": {job: batch.Job{Executor: function, ContainerName: "worker"}, image: "func/job"},
		"a command": {
			job: batch.Job{Executor: batch.Command{Args: []string{"a", "b"}, Env: []string{"SECRET=x"}}}, image: "process",
			command: []string{"a", "b"},
		},
		"a command's address": {
			job: batch.Job{Executor: &batch.Command{Args: []string{"a"}}}, image: "process", command: []string{"a"},
		},
		"part of a second": {
			job: batch.Job{Executor: function, ActiveDeadline: new(1500 * time.Millisecond)}, image: "func/job", wantSeconds: 2,
		},
		"a large number": {job: batch.Job{Executor: function, Completions: new(math.MaxInt)}, image: "func/job"},
		"a predicate": {
			job: batch.Job{Executor: function, FailurePolicy: []batch.FailureRule{matches, codes}}, image: "func/job",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.job.Name = "job"
			m := Manifest(c.job, batch.Status{UID: someUID}, "")
			require.Empty(t, validation.Validate(m))
			require.Empty(t, validation.ValidateUpdate(withVersion(m), withVersion(m)))
			container := m.Spec.Template.Spec.Containers[0]
			require.Equal(t, c.image, container.Image)
			require.Equal(t, c.command, container.Command)
			require.NotContains(t, asJSON(t, m), "SECRET")
			if c.wantSeconds > 0 {
				require.Equal(t, c.wantSeconds, *m.Spec.ActiveDeadlineSeconds)
			}
			if p := c.job.FailurePolicy; p != nil {
				require.Len(t, m.Spec.PodFailurePolicy.Rules, len(p), "rules keep their indexes")
			}
		})
	}
}

func withVersion(m *batchv1.Job) *batchv1.Job {
	m = m.DeepCopy()
	m.ResourceVersion = "1"
	return m
}

// TestChange wants a job to become what its manifest says, and to keep what that
// cannot say.
func TestChange(t *testing.T) {
	half := 1500 * time.Millisecond
	job := batch.Job{Name: "job", Executor: batch.ExecutorFunc(nil), ActiveDeadline: &half, TTLAfterFinished: &half}
	m := Manifest(job, batch.Status{UID: someUID}, "")
	m.Spec.Parallelism, m.Spec.Suspend = new(int32(5)), new(true)
	m.Spec.TTLSecondsAfterFinished = new(int32(60))
	m.Labels = map[string]string{"a": "b"}
	Change(&job, m)
	require.Equal(t, 5, *job.Parallelism)
	require.True(t, job.Suspend)
	require.Equal(t, time.Minute, *job.TTLAfterFinished)
	require.Equal(t, half, *job.ActiveDeadline, "2 seconds is how 1.5 show")
	require.Equal(t, map[string]string{"a": "b"}, job.Labels)
	m.Spec.ActiveDeadlineSeconds, m.Spec.TTLSecondsAfterFinished = nil, nil
	Change(&job, m)
	require.Nil(t, job.ActiveDeadline)
	require.Nil(t, job.TTLAfterFinished)
}
