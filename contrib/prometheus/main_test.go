package prometheus_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/prometheus"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// newMetrics returns metrics that are valid.
func newMetrics(t testing.TB, o prometheus.Options) *prometheus.Metrics {
	t.Helper()
	m, err := prometheus.New(o)
	require.NoError(t, err)
	return m
}

// registry returns a registry that checks everything that is collected.
func registry(t testing.TB, collectors ...client.Collector) *client.Registry {
	t.Helper()
	r := client.NewPedanticRegistry()
	for _, c := range collectors {
		require.NoError(t, r.Register(c))
	}
	return r
}

// samples are what a scrape finds now, by series, such as `kube_job_info{job_name="a"}`.
// Labels without a value are left out, as Prometheus does, and so is the namespace
// "default". A histogram has its count and its sum.
func samples(t testing.TB, from client.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := labelsOf(m)
			switch f.GetType() {
			case dto.MetricType_HISTOGRAM:
				all[f.GetName()+"_count"+labels] = float64(m.GetHistogram().GetSampleCount())
				all[f.GetName()+"_sum"+labels] = m.GetHistogram().GetSampleSum()
			case dto.MetricType_COUNTER:
				all[f.GetName()+labels] = m.GetCounter().GetValue()
			default:
				all[f.GetName()+labels] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

func labelsOf(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" && !(l.GetName() == "namespace" && l.GetValue() == "default") {
			pairs = append(pairs, l.GetName()+"="+l.GetValue())
		}
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// with are the samples whose series begin like that, without the beginning.
func with(all map[string]float64, prefix string) map[string]float64 {
	found := make(map[string]float64)
	for series, value := range all {
		if rest, ok := strings.CutPrefix(series, prefix); ok {
			found[rest] = value
		}
	}
	return found
}

// names are the names of the series, sorted.
func names(all map[string]float64) []string { return slices.Sorted(maps.Keys(all)) }

func create(t testing.TB, c *batch.Controller, jobs ...batch.Job) {
	t.Helper()
	for _, job := range jobs {
		require.NoError(t, c.Create(t.Context(), job))
	}
}

// succeed is an executor that does nothing.
var succeed = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
