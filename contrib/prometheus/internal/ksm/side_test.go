package ksm

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// younger are metrics of jobs that later versions of kube-state-metrics have.
var younger = []string{"kube_job_status_ready"}

// versions is a metric with what each server numbers changes by.
const versions = "kube_cronjob_metadata_resource_version"

func TestKubeStateMetricsShowsTheSame(t *testing.T) {
	path := build(t)
	c := batchtest.NewController(t, batch.Options{})
	crons, err := cron.New(c, cron.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, crons.Shutdown(context.Background())) })
	metrics, err := prometheus.New(prometheus.Options{
		Labels: []string{"app", "costCentre"}, Annotations: []string{"example.com/note"},
		CronJobs: prometheus.CronJobsOf(crons), Owner: prometheus.OwnerOf(crons),
	})
	require.NoError(t, err)
	registry := client.NewPedanticRegistry()
	require.NoError(t, registry.Register(metrics.Collector(c)))

	jobs := makeJobs(t, c)
	createByClient(t, c)
	cronJobs := makeCronJobs(t, crons)
	p := start(t, path, "--kubeconfig="+serve(t, c, crons), "--resources=jobs,cronjobs",
		"--metric-labels-allowlist=jobs=[app,costCentre],cronjobs=[app,costCentre]",
		"--metric-annotations-allowlist=jobs=[example.com/note],cronjobs=[example.com/note]")

	want, got := map[string]float64(nil), ours(t, registry)
	require.Greater(t, len(got), 12*jobs+9*cronJobs)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if want = samples(p.families()); len(want) >= len(got) {
			break
		}
	}
	for _, all := range []map[string]float64{want, got} {
		before := len(all)
		maps.DeleteFunc(all, func(series string, _ float64) bool { return strings.HasPrefix(series, versions) })
		require.Equal(t, before-cronJobs, len(all))
	}
	require.Equal(t, want, got)
}

// makeJobs makes one job of each kind, waits until they are what they are to be, and
// returns how many there are.
func makeJobs(t *testing.T, c *batch.Controller) int {
	at := map[string]func(batch.Status) bool{}
	add := func(job batch.Job, when func(batch.Status) bool) {
		require.NoError(t, c.Create(t.Context(), job))
		at[job.Name] = when
	}
	running := func(s batch.Status) bool { return s.Ready == s.Parallelism && s.Active > 0 }
	anything := func(batch.Status) bool { return true }
	hang, exit := batchtest.Hang(), batchtest.Exit(1)
	add(batch.Job{Name: "complete", Completions: new(3), Executor: batchtest.Succeed(),
		Labels: map[string]string{"app": "web", "costCentre": "7"}}, batch.Status.Finished)
	add(batch.Job{Name: "failed", BackoffLimit: new(1), Backoff: batch.ConstantBackoff(0), Executor: exit,
		Annotations: map[string]string{"example.com/note": `a "quoted" \ note`}}, batch.Status.Finished)
	add(batch.Job{Name: "late", ActiveDeadline: new(time.Second), Executor: hang}, batch.Status.Finished)
	add(batch.Job{Name: "permanent", Executor: batchtest.Fail(batch.Permanent(errors.New("no table")))},
		batch.Status.Finished)
	add(batch.Job{Name: "indexes", CompletionMode: batch.Indexed, Completions: new(3), BackoffLimitPerIndex: new(0),
		Executor: batchtest.ByIndex{1: {exit}, batchtest.Others: {batchtest.Succeed()}}}, batch.Status.Finished)
	add(batch.Job{Name: "running", Completions: new(5), Parallelism: new(2), Executor: hang}, running)
	add(batch.Job{Name: "queue", Parallelism: new(3), Executor: hang}, running)
	add(batch.Job{Name: "deadline", ActiveDeadline: new(time.Hour), Executor: hang}, running)
	add(batch.Job{Name: "waiting", BackoffLimit: new(9), Backoff: batch.ConstantBackoff(time.Hour), Executor: exit},
		func(s batch.Status) bool { return s.Failed == 1 })
	add(batch.Job{Name: "suspended", Suspend: true, Executor: hang}, anything)
	add(batch.Job{Name: "resumed", Suspend: true, Executor: hang}, running)
	add(batch.Job{Name: "foreign", ManagedBy: new("example.com/other"), Executor: hang}, anything)
	require.NoError(t, c.Resume(t.Context(), "resumed"))
	for change, err := range c.Watch(t.Context(), 0) {
		require.NoError(t, err)
		if when := at[change.Status.Name]; when != nil && when(change.Status) {
			delete(at, change.Status.Name)
		}
		if len(at) == 0 {
			break
		}
	}
	return len(slices.Collect(c.All()))
}

// makeCronJobs makes CronJobs of each kind, waits until none of them changes, and
// returns how many there are.
func makeCronJobs(t *testing.T, c *cron.Controller) int {
	succeeds, hangs := batch.Job{Executor: batchtest.Succeed()}, batch.Job{Executor: batchtest.Hang()}
	for _, job := range []cron.CronJob{
		{Name: "never", Schedule: "0 0 29 2 *", Job: succeeds},
		{Name: "yearly", Schedule: "@yearly", TimeZone: "Europe/Berlin", ConcurrencyPolicy: cron.Forbid, Job: succeeds,
			StartingDeadline: new(200 * time.Second), SuccessfulJobsHistoryLimit: new(7), FailedJobsHistoryLimit: new(0),
			Labels:      map[string]string{"app": "web", "costCentre": "7"},
			Annotations: map[string]string{"example.com/note": `a "quoted" \ note`}},
		{Name: "off", Schedule: "0 * * * *", Suspend: true, ConcurrencyPolicy: cron.Replace, Job: succeeds},
		{Name: "ran", Schedule: "@every 1s", Job: succeeds},
		{Name: "runs", Schedule: "@every 1s", Job: hangs},
	} {
		require.NoError(t, c.Create(t.Context(), job))
	}
	for change, err := range c.Watch(t.Context(), 0) { // each of these has started one job of its minute
		require.NoError(t, err)
		s := change.Status
		if !s.Suspend && (s.Name == "runs" && len(s.Active) > 0 || !s.LastSuccessfulTime.IsZero()) {
			require.NoError(t, c.Suspend(t.Context(), s.Name))
		}
		if get(t, c, "ran").Suspend && get(t, c, "runs").Suspend && len(get(t, c, "ran").Active) == 0 {
			break
		}
	}
	return len(slices.Collect(c.All()))
}

func get(t *testing.T, c *cron.Controller, name string) cron.Status {
	status, err := c.Get(name)
	require.NoError(t, err)
	return status
}

const created = `
apiVersion: batch/v1
kind: Job
metadata:
  name: by-a-client
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: func/nothing}]}}
`

// createByClient creates a job as a client of Kubernetes does.
func createByClient(t *testing.T, c *batch.Controller) {
	nothing := func(context.Context, batch.Attempt, kube.Container) error { return nil }
	runner := &kube.Runner{Functions: map[string]kube.Function{"nothing": nothing}}
	const path = "http://localhost/apis/batch/v1/namespaces/default/jobs"
	request := httptest.NewRequest("POST", path, strings.NewReader(created))
	request.Header.Set("Content-Type", "application/yaml")
	answer := httptest.NewRecorder()
	server := kube.Handler(c, kube.Options{Write: true, Runner: runner})
	server.ServeHTTP(answer, request)
	require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
}

// serve serves the controller to clients of Kubernetes until the test ends, and
// returns their kubeconfig.
func serve(t *testing.T, c *batch.Controller, crons *cron.Controller) string {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	listener, err := kube.Listen(c, kube.Options{CronJobs: crons}, kube.ListenOptions{Kubeconfig: kubeconfig})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return kubeconfig
}

// ours are the samples of our own that kube-state-metrics has, too.
func ours(t *testing.T, registry *client.Registry) map[string]float64 {
	list, err := registry.Gather()
	require.NoError(t, err)
	families := make(map[string]*dto.MetricFamily)
	for _, f := range list {
		if strings.HasPrefix(f.GetName(), "kube_") && !slices.Contains(younger, f.GetName()) {
			families[f.GetName()] = f
		}
	}
	return samples(families)
}

// samples are the values of all series. Labels without a value are left out, as
// Prometheus does.
func samples(families map[string]*dto.MetricFamily) map[string]float64 {
	all := make(map[string]float64)
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			slices.Sort(labels)
			all[name+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue()
		}
	}
	return all
}
