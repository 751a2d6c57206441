package otel_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A lab is a controller that is traced into a recorder.
type lab struct {
	testing.TB
	*batch.Controller
	telemetry *otel.Telemetry
	spans     *tracetest.SpanRecorder
	tracer    trace.Tracer // of the users
	reader    *sdkmetric.ManualReader
}

func newLab(t testing.TB, o batch.Options, options otel.Options) *lab {
	t.Helper()
	l := &lab{TB: t, Controller: batchtest.NewController(t, o), spans: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.spans))
	if options.TracerProvider == nil {
		options.TracerProvider = provider
	}
	l.tracer, l.reader = provider.Tracer("user"), sdkmetric.NewManualReader()
	options.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader))
	var err error
	l.telemetry, err = otel.New(l.Controller, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.telemetry.Shutdown(context.Background())) })
	return l
}

// create creates a traced job.
func (l *lab) create(job batch.Job) {
	l.Helper()
	require.NoError(l, l.telemetry.Create(l.Context(), job))
}

// finish stops everything, so that all spans have ended.
func (l *lab) finish() {
	l.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(l, l.Shutdown(ended))
	require.NoError(l, l.telemetry.Shutdown(context.Background()))
}

// tree draws the spans that have ended: each under its parent, in the order of their
// starts, with the attributes of these keys that it has.
func (l *lab) tree(keys ...string) string {
	spans := l.spans.Ended()
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	known := make(map[trace.SpanID]sdktrace.ReadOnlySpan)
	for _, s := range spans {
		known[s.SpanContext().SpanID()] = s
	}
	var text strings.Builder
	var draw func(parent trace.SpanID, depth int)
	draw = func(parent trace.SpanID, depth int) {
		for _, s := range spans {
			above := s.Parent().SpanID()
			if known[above] == nil {
				above = trace.SpanID{}
			}
			if above == parent {
				fmt.Fprintf(&text, "%s%s\n", strings.Repeat("  ", depth), describe(s, known, keys))
				draw(s.SpanContext().SpanID(), depth+1)
			}
		}
	}
	draw(trace.SpanID{}, 0)
	return text.String()
}

// describe gives a span with attributes, links and events, without the prefix of
// their keys.
func describe(s sdktrace.ReadOnlySpan, known map[trace.SpanID]sdktrace.ReadOnlySpan, keys []string) string {
	words := []string{strings.TrimPrefix(s.Name(), "batch.")}
	for _, key := range keys {
		if value, ok := attributeOf(s.Attributes(), key); ok {
			words = append(words, key[strings.LastIndex(key, ".")+1:]+"="+value.String())
		}
	}
	for _, link := range s.Links() {
		kind, _ := attributeOf(link.Attributes, "batch.link")
		to, _ := attributeOf(known[link.SpanContext.SpanID()].Attributes(), "batch.attempt.number")
		words = append(words, kind.String()+" of "+to.String())
	}
	for _, event := range s.Events() {
		words = append(words, "("+strings.TrimPrefix(event.Name, "batch.")+")")
	}
	return strings.Join(words, " ")
}

func attributeOf(list []attribute.KeyValue, key string) (attribute.Value, bool) {
	for _, a := range list {
		if string(a.Key) == key {
			return a.Value, true
		}
	}
	return attribute.Value{}, false
}

// one is the span of that name of which there is only one.
func (l *lab) one(name string) sdktrace.ReadOnlySpan {
	l.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, s := range l.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	require.Len(l, found, 1, name)
	return found[0]
}

// metrics are all data points, such as "batch.jobs{state=Failed} 1".
func (l *lab) metrics() []string {
	l.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(l, l.reader.Collect(context.Background(), &all))
	var lines []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s%s %d", m.Name, short(p.Attributes), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s%s %d in %vs", m.Name, short(p.Attributes), p.Count, p.Sum))
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func short(set attribute.Set) string {
	var pairs []string
	for _, a := range set.ToSlice() {
		if a.Key != "k8s.job.uid" && a.Key != "k8s.namespace.name" {
			pairs = append(pairs, string(a.Key)[strings.LastIndex(string(a.Key), ".")+1:]+"="+a.Value.String())
		}
	}
	return cmp.Or(strings.ReplaceAll("{"+strings.Join(pairs, ",")+"}", "{}", ""), "")
}
