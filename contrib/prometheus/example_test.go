package prometheus_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// A service whose jobs are seen by dashboards and alerts made for Kubernetes.
func Example() {
	metrics, err := prometheus.New(prometheus.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(metrics.Collector(c))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	ctx := context.Background()
	if err := c.Create(ctx, batch.Job{
		Name: "thumbnails", Completions: new(600), Parallelism: new(8),
		Executor: metrics.Executor("thumbnails", batch.ExecutorFunc(render)),
	}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Wait(ctx, "thumbnails"); err != nil {
		log.Fatal(err)
	}
	scrape(mux, "kube_job_status_succeeded", "kube_job_complete", "batch_attempt_duration_seconds_count")
	// Output:
	// batch_attempt_duration_seconds_count{executor="thumbnails",outcome="succeeded"} 600
	// kube_job_complete{condition="false",job_name="thumbnails",namespace="default"} 0
	// kube_job_complete{condition="true",job_name="thumbnails",namespace="default"} 1
	// kube_job_complete{condition="unknown",job_name="thumbnails",namespace="default"} 0
	// kube_job_status_succeeded{job_name="thumbnails",namespace="default"} 600
}

func render(context.Context, batch.Attempt) error { return nil }

// scrape prints the series of these names, as Prometheus reads them.
func scrape(h http.Handler, names ...string) {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		for _, name := range names {
			if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
				fmt.Print(line)
			}
		}
	}
}

// show prints series of metrics whose controller has no jobs.
func show(metrics *prometheus.Metrics, names ...string) {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(metrics.Collector(c))
	scrape(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), names...)
}

// At most 50 jobs have series of their own; their label team is shown.
func ExampleNew() {
	_, err := prometheus.New(prometheus.Options{MaxJobs: 50, Labels: []string{"team"}})
	fmt.Println(err)
	_, err = prometheus.New(prometheus.Options{MaxJobs: -50, Labels: []string{"*"}})
	fmt.Println(err)
	// Output:
	// <nil>
	// prometheus: Options.MaxJobs: -50: must not be negative
	// prometheus: Options.Labels: "*": must be the key of one label
}

// An executor is wrapped where it is declared.
func ExampleMetrics_Executor() {
	metrics, err := prometheus.New(prometheus.Options{Buckets: []float64{1, 60, 3600}})
	if err != nil {
		log.Fatal(err)
	}
	backup := batch.Job{Name: "backup", Executor: metrics.Executor("backup", batch.Command{Args: []string{"true"}})}
	if _, err := batch.Run(context.Background(), backup); err != nil {
		log.Fatal(err)
	}
	show(metrics, "batch_attempt_duration_seconds_count")
	// Output:
	// batch_attempt_duration_seconds_count{executor="backup",outcome="succeeded"} 1
}

// The store is wrapped on its way to the controller.
func ExampleMetrics_Store() {
	metrics, err := prometheus.New(prometheus.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(context.Background(), batch.Options{Store: metrics.Store(new(batchtest.MemoryStore))})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	show(metrics, "batch_store_records_total")
	// Output:
	// batch_store_records_total 3
}

// Jobs that a CronJob has made say so in a label.
func ExampleOwner() {
	metrics, err := prometheus.New(prometheus.Options{Owner: func(job batch.Job) prometheus.Owner {
		if cron := job.Labels["cron"]; cron != "" {
			return prometheus.Owner{Kind: "CronJob", Name: cron, Controller: true}
		}
		return prometheus.Owner{}
	}})
	if err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Create(context.Background(), batch.Job{
		Name: "nightly-1", Labels: map[string]string{"cron": "nightly"},
		TTLAfterFinished: new(time.Hour), Executor: batch.ExecutorFunc(render),
	}); err != nil {
		log.Fatal(err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(metrics.Collector(c))
	scrape(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), "kube_job_owner")
	if err := c.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// kube_job_owner{job_name="nightly-1",namespace="default",owner_is_controller="true",owner_kind="CronJob",owner_name="nightly"}
	// 1
}
