package otel_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

// A service that traces its jobs. In a real one the exporter sends what this one
// keeps, and the global providers need not be passed on.
func Example() {
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	meters := sdkmetric.NewMeterProvider()

	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	telemetry, err := otel.New(c, otel.Options{TracerProvider: tracers, MeterProvider: meters})
	if err != nil {
		log.Fatal(err)
	}
	tracer := tracers.Tracer("service")
	ctx, request := tracer.Start(context.Background(), "POST /imports")
	if err := telemetry.Create(ctx, batch.Job{Name: "import", Executor: importer(tracer)}); err != nil {
		log.Fatal(err)
	}
	request.End()
	if _, err := c.Wait(context.Background(), "import"); err != nil {
		log.Fatal(err)
	}
	shutdown(c.Shutdown, telemetry.Shutdown)
	for _, name := range []string{"POST /imports", "batch.job", "batch.attempt", "insert rows"} {
		for _, span := range exporter.GetSpans() {
			if span.Name == name {
				fmt.Println(name, "in the trace of the request:", span.SpanContext.TraceID() == request.SpanContext().TraceID())
			}
		}
	}
	shutdown(tracers.Shutdown, meters.Shutdown)
	// Output:
	// POST /imports in the trace of the request: true
	// batch.job in the trace of the request: true
	// batch.attempt in the trace of the request: true
	// insert rows in the trace of the request: true
}

func importer(tracer trace.Tracer) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		_, span := tracer.Start(ctx, "insert rows")
		defer span.End()
		return nil
	})
}

// shutdown calls functions one after the other.
func shutdown(functions ...func(context.Context) error) {
	for _, f := range functions {
		if err := f(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}

// Lines that an attempt logs have its trace, though nobody has passed a context.
func ExampleNewHandler() {
	plain := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey, "attempt":
			return slog.Attr{}
		case "trace_id", "span_id":
			return slog.String(a.Key, fmt.Sprintf("<%d digits>", len(a.Value.String())))
		}
		return a
	}
	logs := otel.NewHandler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: plain}))
	c, err := batch.New(context.Background(), batch.Options{Logger: slog.New(quiet{logs})})
	if err != nil {
		log.Fatal(err)
	}
	telemetry, err := otel.New(c, otel.Options{TracerProvider: sdktrace.NewTracerProvider(), Handler: logs})
	if err != nil {
		log.Fatal(err)
	}
	if err := telemetry.Create(context.Background(), batch.Job{Name: "import", Executor: batch.ExecutorFunc(
		func(_ context.Context, a batch.Attempt) error {
			a.Logger().Info("rows inserted", "rows", 42)
			return nil
		})}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Wait(context.Background(), "import"); err != nil {
		log.Fatal(err)
	}
	shutdown(c.Shutdown, telemetry.Shutdown)
	// Output:
	// level=INFO msg="rows inserted" job=import index=-1 rows=42 trace_id="<32 digits>" span_id="<16 digits>"
}

// quiet leaves out what the controller logs.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "job created" || r.Message == "job finished" {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// A job that is declared whenever the service starts keeps the parent that it was
// created with.
func ExampleTelemetry_Apply() {
	c, err := batch.New(context.Background(), batch.Options{Store: new(batchtest.MemoryStore)})
	if err != nil {
		log.Fatal(err)
	}
	telemetry, err := otel.New(c, otel.Options{TracerProvider: sdktrace.NewTracerProvider()})
	if err != nil {
		log.Fatal(err)
	}
	report := batch.Job{Name: "report", Executor: batch.Command{Args: []string{"true"}}}
	if _, err := telemetry.Apply(context.Background(), report); err != nil {
		log.Fatal(err)
	}
	status, err := c.Wait(context.Background(), "report")
	fmt.Println(status.State(), err)
	shutdown(c.Shutdown, telemetry.Shutdown)
	// Output:
	// Complete <nil>
}

// Executors may be wrapped by hand, such as that of a job that no controller has.
func ExampleTelemetry_Executor() {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	exporter := tracetest.NewInMemoryExporter()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	telemetry, err := otel.New(c, otel.Options{TracerProvider: tracers})
	if err != nil {
		log.Fatal(err)
	}
	ctx, span := tracers.Tracer("tool").Start(context.Background(), "migrate")
	if _, err := batch.Run(ctx, batch.Job{
		Name: "schema", Executor: telemetry.Executor(batch.Command{Args: []string{"true"}}),
	}); err != nil {
		log.Fatal(err)
	}
	shutdown(telemetry.Shutdown)
	attempt := exporter.GetSpans()[0]
	fmt.Println(attempt.Name, "under migrate:", attempt.Parent.SpanID() == span.SpanContext().SpanID())
	// Output:
	// batch.attempt under migrate: true
}
