package otel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracespb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

// A receiver takes what comes over OTLP.
type receiver struct {
	*httptest.Server

	mu      sync.Mutex // guards the fields below
	traces  tracespb.ExportTraceServiceRequest
	metrics metricspb.ExportMetricsServiceRequest
	errs    []error
}

func newReceiver(t *testing.T) *receiver {
	r := new(receiver)
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/traces", func(_ http.ResponseWriter, q *http.Request) { r.take(q, &r.traces) })
	mux.HandleFunc("/v1/metrics", func(_ http.ResponseWriter, q *http.Request) { r.take(q, &r.metrics) })
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// take adds a message to those of its kind.
func (r *receiver) take(q *http.Request, to proto.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(q.Body)
	if err == nil {
		err = proto.UnmarshalOptions{Merge: true}.Unmarshal(body, to)
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func TestOverOTLP(t *testing.T) {
	ctx := t.Context()
	r := newReceiver(t)
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(r.URL+"/v1/traces"))
	require.NoError(t, err)
	points, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(r.URL+"/v1/metrics"))
	require.NoError(t, err)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points)))

	c := batchtest.NewController(t, batch.Options{})
	telemetry, err := otel.New(c, otel.Options{TracerProvider: tracers, MeterProvider: meters})
	require.NoError(t, err)
	require.NoError(t, telemetry.Create(ctx, batch.Job{
		Name: "j", Backoff: batch.ConstantBackoff(0),
		Executor: batchtest.Script{batchtest.Do(batchtest.Output("\xff"), batchtest.Exit(1)), batchtest.Succeed()},
	}))
	_, err = c.Wait(ctx, "j")
	require.NoError(t, err)
	require.NoError(t, meters.ForceFlush(ctx))
	require.NoError(t, c.Shutdown(ctx))
	require.NoError(t, telemetry.Shutdown(ctx))
	require.NoError(t, tracers.Shutdown(ctx))
	require.NoError(t, meters.Shutdown(ctx))

	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.errs)
	require.Equal(t, []string{"batch.attempt", "batch.attempt", "batch.job"}, r.spanNames())
	require.Subset(t, r.metricNames(), []string{"batch.attempt.duration", "batch.jobs", "k8s.job.pod.successful"})
	require.NotContains(t, r.metricNames(), "batch.span.dropped")
}

// spanNames needs r.mu.
func (r *receiver) spanNames() []string {
	var names []string
	for _, resource := range r.traces.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				names = append(names, span.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// metricNames needs r.mu.
func (r *receiver) metricNames() []string {
	var names []string
	for _, resource := range r.metrics.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

func TestAReceiverThatIsDownDisturbsNothing(t *testing.T) {
	ctx := t.Context()
	r := newReceiver(t)
	r.Close()
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(r.URL+"/v1/traces"),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	require.NoError(t, err)
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	c := batchtest.NewController(t, batch.Options{})
	telemetry, err := otel.New(c, otel.Options{TracerProvider: tracers})
	require.NoError(t, err)
	require.NoError(t, telemetry.Create(ctx, batch.Job{Name: "j", Completions: new(100), Executor: batchtest.Succeed()}))
	status, err := c.Wait(ctx, "j")
	require.NoError(t, err)
	require.Equal(t, 100, status.Succeeded)
	require.NoError(t, c.Shutdown(context.WithoutCancel(ctx)))
	require.NoError(t, telemetry.Shutdown(ctx))
	require.NoError(t, tracers.Shutdown(ctx))
}
