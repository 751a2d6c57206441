// Command user is a program that uses package otel.
package main

import (
	"context"
	"log"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/otel"
)

func main() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	telemetry, err := otel.New(c, otel.Options{TracerProvider: trace.NewTracerProvider(trace.WithSyncer(spans))})
	if err != nil {
		log.Fatal(err)
	}
	if err := telemetry.Create(ctx, batch.Job{
		Name:     "import",
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
	}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Wait(ctx, "import"); err != nil {
		log.Fatal(err)
	}
	for _, shutdown := range []func(context.Context) error{c.Shutdown, telemetry.Shutdown} {
		if err := shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
	if len(spans.GetSpans()) == 0 {
		log.Fatal("no spans")
	}
}
