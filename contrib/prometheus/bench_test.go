package prometheus_test

import (
	"fmt"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// What measuring costs an attempt that does nothing.
func BenchmarkExecutor(b *testing.B) {
	m := newMetrics(b, prometheus.Options{})
	for name, executor := range map[string]batch.Executor{"plain": succeed, "measured": m.Executor("x", succeed)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			job := batch.Job{Name: "j", Completions: new(b.N), Parallelism: new(2), Executor: executor}
			_, err := batch.Run(b.Context(), job)
			require.NoError(b, err)
		})
	}
}

// What a scrape costs a job: one of those that have series, and one of the others.
func BenchmarkScrape(b *testing.B) {
	for name, most := range map[string]int{"with series": 10_000, "without series": 1} {
		b.Run(name, func(b *testing.B) {
			const jobs = 2000
			c := batchtest.NewController(b, batch.Options{})
			for i := range jobs {
				create(b, c, batch.Job{Name: fmt.Sprintf("j-%d", i), Suspend: true, Executor: succeed})
			}
			registry := client.NewRegistry()
			registry.MustRegister(newMetrics(b, prometheus.Options{MaxJobs: most}).Collector(c))
			for b.Loop() {
				_, err := registry.Gather()
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*jobs), "ns/job")
		})
	}
}
