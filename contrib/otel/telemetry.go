package otel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
)

// scope is the name of the instrumentation.
const scope = "github.com/runtocompletion/batch/contrib/otel"

// Options configure a [Telemetry]. The zero value is good.
type Options struct {
	// TracerProvider makes the spans. Nil means the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider takes the metrics. Nil means the global one.
	MeterProvider metric.MeterProvider
	// Handler is that of the controller's logger. Nil means that what is logged
	// without a context has no trace.
	Handler *Handler
	// Namespace is the attribute k8s.namespace.name; empty means "default". It
	// should be that of [batch.Options].
	Namespace string
	// MaxJobs is how many jobs have metrics of their own. Zero means 1000.
	MaxJobs int
}

const defaultMaxJobs = 1000

// A Telemetry traces and measures one controller. Its methods may be called by
// several goroutines at once.
type Telemetry struct {
	controller *batch.Controller
	options    Options
	tracer     trace.Tracer
	metrics    *instruments
	start      time.Time
	ended      *queue

	ctx     context.Context // done when Shutdown is called
	stop    context.CancelFunc
	waiting sync.WaitGroup // for jobs

	mu     sync.Mutex          // guards the fields below; not held while other code runs
	jobs   map[string]*jobSpan // that have not finished, by UID
	names  map[string]*jobSpan // the same, and those of latest, by name
	latest []*jobSpan          // that have ended, oldest first
}

// New returns a telemetry for c. The error says which option is wrong, or is that
// of Options.MeterProvider.
func New(c *batch.Controller, o Options) (*Telemetry, error) {
	if o.MaxJobs < 0 {
		return nil, fmt.Errorf("otel: Options.MaxJobs: %d: must not be negative", o.MaxJobs)
	}
	if o.TracerProvider == nil {
		o.TracerProvider = api.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = api.GetMeterProvider()
	}
	o.Namespace = cmp.Or(o.Namespace, "default")
	o.MaxJobs = cmp.Or(o.MaxJobs, defaultMaxJobs)
	t := &Telemetry{
		controller: c,
		options:    o,
		tracer:     o.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		start:      time.Now(),
		ended:      new(queue),
		jobs:       make(map[string]*jobSpan),
		names:      make(map[string]*jobSpan),
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	meter := o.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	var err error
	if t.metrics, err = newInstruments(meter); err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	t.metrics.registration, err = meter.RegisterCallback(t.observe, t.metrics.observed.all()...)
	if err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	if o.Handler != nil {
		o.Handler.shared.telemetry.Store(t)
	}
	return t, nil
}

// Create is [batch.Controller.Create] for a job that is to be traced: its executor
// is wrapped as by [Telemetry.Executor], and the span of ctx becomes the parent of
// its span.
func (t *Telemetry) Create(ctx context.Context, job batch.Job) error {
	job.Executor = t.Executor(job.Executor)
	job.Annotations = withParent(job.Annotations, parentOf(ctx))
	if err := t.controller.Create(ctx, job); err != nil {
		return err
	}
	t.beginNamed(job.Name)
	return nil
}

// Apply is [batch.Controller.Apply] for a job that is to be traced, as by
// [Telemetry.Create]. A job that is there already keeps its parent.
func (t *Telemetry) Apply(ctx context.Context, job batch.Job) (batch.Status, error) {
	job.Executor = t.Executor(job.Executor)
	parent := parentOf(ctx)
	if old, err := t.controller.Job(job.Name); err == nil {
		parent = parentIn(old.Annotations)
	}
	job.Annotations = withParent(job.Annotations, parent)
	status, err := t.controller.Apply(ctx, job)
	if err == nil {
		t.beginNamed(job.Name)
	}
	return status, err
}

// Shutdown ends the spans of jobs that have not finished, and waits until all spans
// are handed to the tracer provider. It is to be called after the controller's
// Shutdown and before that of the providers. The error is that of ctx. It may be
// called more than once; afterwards nothing is traced.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.mu.Lock()
	t.stop()
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.waiting.Wait()
		t.ended.wait()
	}()
	select {
	case <-done:
		return t.metrics.close()
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), t.metrics.close())
	}
}

// The annotations of a job that name the parent of its span.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// parentOf returns the span of ctx as annotations.
func parentOf(ctx context.Context) propagation.MapCarrier {
	parent := make(propagation.MapCarrier)
	propagation.TraceContext{}.Inject(ctx, parent)
	return parent
}

// parentIn returns what annotations say about the parent.
func parentIn(annotations map[string]string) propagation.MapCarrier {
	parent := make(propagation.MapCarrier)
	for _, key := range []string{traceParent, traceState} {
		if value, ok := annotations[key]; ok {
			parent[key] = value
		}
	}
	return parent
}

// withParent returns a copy of annotations that names the parent. Without one, what
// they say already stays.
func withParent(annotations map[string]string, parent propagation.MapCarrier) map[string]string {
	if parent[traceParent] == "" {
		return annotations
	}
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = make(map[string]string)
	}
	delete(annotations, traceState)
	maps.Copy(annotations, parent)
	return annotations
}

// safely calls f, which calls a provider. If that panics, OpenTelemetry's handler of
// errors is told.
func safely(f func()) {
	defer func() {
		if v := recover(); v != nil {
			api.Handle(fmt.Errorf("otel: panic: %v", v))
		}
	}()
	f()
}
