package otel_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

// A slow processor does not return from OnEnd until it is released.
type slow struct{ released chan struct{} }

func (slow) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s slow) OnEnd(sdktrace.ReadOnlySpan)                   { <-s.released }
func (slow) Shutdown(context.Context) error                  { return nil }
func (slow) ForceFlush(context.Context) error                { return nil }

func TestJobsDoNotWaitForAnExporterThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter := slow{make(chan struct{})}
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(exporter))
		l := newLab(t, batch.Options{}, otel.Options{TracerProvider: provider})
		l.create(batch.Job{Name: "j", Completions: new(10_000), Parallelism: new(4), Executor: batchtest.Succeed()})
		start := time.Now()
		status, err := l.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, 10_000, status.Succeeded)
		require.Zero(t, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, l.telemetry.Shutdown(ctx), context.DeadlineExceeded)
		var dropped int
		for _, line := range l.metrics() {
			_, _ = fmt.Sscanf(line, "batch.span.dropped %d", &dropped)
		}
		require.Greater(t, dropped, 10_000-2*4096-1)
		close(exporter.released)
	})
}

// An explosive provider panics whenever a span starts or ends.
type explosive struct {
	embedded.TracerProvider
	atEnd bool
}

type explosiveTracer struct {
	embedded.Tracer
	atEnd bool
}

type explosiveSpan struct{ trace.Span }

func (p explosive) Tracer(string, ...trace.TracerOption) trace.Tracer {
	return explosiveTracer{atEnd: p.atEnd}
}

func (t explosiveTracer) Start(
	ctx context.Context, _ string, _ ...trace.SpanStartOption,
) (context.Context, trace.Span) {
	if !t.atEnd {
		panic("no span")
	}
	return ctx, explosiveSpan{trace.SpanFromContext(ctx)}
}

func (explosiveSpan) End(...trace.SpanEndOption) { panic("no end") }

func TestAPanicOfAProviderDisturbsNothing(t *testing.T) {
	for name, provider := range map[string]explosive{"at the start": {}, "at the end": {atEnd: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, batch.Options{}, otel.Options{TracerProvider: provider})
				l.create(batch.Job{Name: "j", Executor: batchtest.Script{batchtest.Exit(1), batchtest.Succeed()}})
				status, err := l.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.Equal(t, 1, status.Failed)
				l.finish()
				require.Contains(t, l.metrics(), "batch.attempt.duration{outcome=failed} 1 in 0s")
			})
		})
	}
}

func TestErrorsThatPanicAreTracedAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		l.create(batch.Job{Name: "j", BackoffLimit: new(0), Executor: batchtest.Fail(mute{})})
		_, err := l.Wait(t.Context(), "j")
		require.Error(t, err)
		l.finish()
		require.Equal(t, "job\n  attempt outcome=failed (exception)\n", l.tree("batch.attempt.outcome"))
	})
}

type mute struct{}

func (mute) Error() string { panic("no text") }
