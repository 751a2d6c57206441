package prometheus_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// serve serves what a registry has as a service would.
func serve(t *testing.T, registry client.Gatherer) *httptest.Server {
	service := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(service.Close)
	return service
}

func TestAlertsFireAndResolve(t *testing.T) {
	m := newMetrics(t, prometheus.Options{})
	c := batchtest.NewController(t, batch.Options{})
	service := serve(t, registry(t, m.Collector(c)))
	rules, err := os.ReadFile("testdata/rules.yml")
	require.NoError(t, err)
	quick := strings.NewReplacer("for: 15m", "for: 1s", "> 43200", "> 3").Replace(string(rules))
	require.NotContains(t, quick, "15m")
	require.NotContains(t, quick, "43200")
	p := startServer(t, service.Listener.Addr().String(), quick)

	p.eventually()
	release := make(chan struct{})
	create(t, c,
		batch.Job{Name: "good", Executor: m.Executor("good", succeed)},
		batch.Job{Name: "doomed", BackoffLimit: new(0), Executor: m.Executor("doomed", batchtest.Exit(1))},
		batch.Job{Name: "endless", Executor: m.Executor("endless", batchtest.Until(release))})
	p.eventually("KubeJobFailed doomed", "KubeJobNotCompleted endless")

	close(release)
	p.eventually("KubeJobFailed doomed")
	require.NoError(t, c.Delete(t.Context(), "doomed", batch.DeleteBackground))
	p.eventually()
}

func TestPromtoolHasNoComplaints(t *testing.T) {
	m := newMetrics(t, prometheus.Options{
		MaxActive: 3, Limits: map[string]batch.Limit{"db": {Active: new(1)}},
		Labels: []string{"app"}, Annotations: []string{"note"},
		CronJobs: prometheus.CronJobsFunc(func(yield func(prometheus.CronJob) bool) { yield(fullCronJob()) }),
	})
	c := batchtest.NewController(t, batch.Options{Store: m.Store(new(batchtest.MemoryStore))})
	executor := m.Executor("x", batchtest.Script{batchtest.Exit(1), batchtest.Succeed()})
	labels := map[string]string{"app": "web"}
	create(t, c,
		batch.Job{Name: "a", Backoff: batch.ConstantBackoff(0), Executor: executor},
		batch.Job{Name: "b", BackoffLimit: new(0), Labels: labels, Executor: batchtest.Exit(1)},
		batch.Job{Name: "c", Backoff: batch.ConstantBackoff(time.Hour), Executor: batchtest.Exit(1)},
		batch.Job{Name: "d", ActiveDeadline: new(time.Hour), Executor: batchtest.Hang()},
		batch.Job{Name: "e", Suspend: true, Executor: batchtest.Hang()})
	for _, name := range []string{"a", "b"} {
		_, err := c.Wait(t.Context(), name)
		require.Equal(t, name == "b", err != nil)
	}
	response, err := http.Get(serve(t, registry(t, m.Collector(c))).URL)
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, name := range []string{"kube_job_labels", "kube_cronjob_labels", "retries_total", "next_retry"} {
		require.Contains(t, string(page), name)
	}
	require.Empty(t, promtool(t, string(page), "check", "metrics"))
	require.Contains(t, promtool(t, "", "check", "rules", "testdata/rules.yml"), "2 rules found")
}
