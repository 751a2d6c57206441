package otel

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/around"
)

// Executor returns an executor that runs next under a span of its own, whose
// context next gets. [Telemetry.Create] and [Telemetry.Apply] call it; it is for
// jobs that come to the controller by other ways: these have no parent but what
// their annotation traceparent says, and those of another controller, such as that
// of [batch.Run], the span of their context. What next returns, panics with, or says
// as a [batch.PendingExecutor] is not changed. A nil next gives nil, and one that is
// traced by t already is returned as it is.
func (t *Telemetry) Executor(next batch.Executor) batch.Executor {
	if e, ok := next.(executor); next == nil || ok && e.Observer.telemetry == t {
		return next
	}
	return executor{Next: next, Observer: observer{t}}
}

type executor = around.Executor[batch.Attempt, batch.Executor, observer]

// An observer has a span for each execution.
type observer struct{ telemetry *Telemetry }

// Begin begins the span of an execution, unless the telemetry is shut down.
func (o observer) Begin(ctx context.Context, a batch.Attempt) (context.Context, func(around.End)) {
	if o.telemetry.ctx.Err() != nil {
		return ctx, func(around.End) {}
	}
	x := o.telemetry.execution(ctx, a)
	return x.context(ctx), x.end
}

// An execution is one call of an executor.
type execution struct {
	telemetry   *Telemetry
	attempt     batch.Attempt
	job         *jobSpan   // nil if it is not known
	span        trace.Span // nil if it could not be started
	spanContext trace.SpanContext
	start       time.Time
}

// execution begins one.
func (t *Telemetry) execution(ctx context.Context, a batch.Attempt) *execution {
	x := &execution{telemetry: t, attempt: a, job: t.jobOf(a), start: time.Now()}
	options := []trace.SpanStartOption{trace.WithTimestamp(x.start), trace.WithAttributes(x.attributes()...)}
	isRepeated := false
	if x.job != nil {
		var before trace.SpanContext
		if before, isRepeated = x.job.attempts.begin(a); before.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: before,
				Attributes: []attribute.KeyValue{attribute.String("batch.link", kindOf(a))}}))
		}
		if parent := x.job.context(); parent.IsValid() {
			ctx = trace.ContextWithSpanContext(ctx, parent)
		}
	}
	safely(func() {
		_, span := t.tracer.Start(ctx, "batch.attempt", options...)
		x.spanContext, x.span = span.SpanContext(), span
	})
	if x.job != nil {
		x.job.attempts.started(a, x.spanContext)
	}
	t.metrics.began(a, isRepeated)
	return x
}

func (x *execution) attributes() []attribute.KeyValue {
	a := x.attempt
	attributes := []attribute.KeyValue{
		semconv.K8SNamespaceName(x.telemetry.options.Namespace),
		semconv.K8SJobName(a.Job),
		attribute.String("batch.attempt.name", a.Name()),
		attribute.String("batch.attempt.uid", a.UID()),
		attribute.Int("batch.attempt.number", a.Number),
		attribute.Int("batch.attempt.restarts", a.Restarts),
	}
	if a.Index >= 0 {
		attributes = append(attributes, attribute.Int("batch.attempt.index", a.Index))
	}
	return attributes
}

// context is ctx with the span.
func (x *execution) context(ctx context.Context) context.Context {
	if x.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, x.span)
}

// end ends it, and lets the span be ended beside.
func (x *execution) end(e around.End) {
	end := time.Now()
	x.telemetry.metrics.ended(e.Outcome, end.Sub(x.start))
	if x.job != nil {
		x.job.attempts.ended(x.attempt, e.Outcome, x.spanContext)
	}
	if x.span == nil {
		return
	}
	if !e.HasReturned {
		e.Err = &batch.PanicError{Value: e.Panic, Stack: debug.Stack()}
	}
	if !x.telemetry.ended.put(func() { x.endSpan(end, e.Outcome, e.Cause, e.Err) }) {
		x.telemetry.metrics.drop()
	}
}

func (x *execution) endSpan(end time.Time, outcome string, cause, err error) {
	span := x.span
	span.SetAttributes(attribute.String("batch.attempt.outcome", outcome), semconv.ProcessExitCode(batch.ExitCode(err)))
	if cause != nil {
		span.AddEvent("batch.attempt.stopped", trace.WithTimestamp(end),
			trace.WithAttributes(attribute.String("batch.cause", textOf(cause))))
	}
	if err != nil || outcome == around.TimedOut {
		text := textOf(err)
		span.SetStatus(codes.Error, text)
		span.SetAttributes(semconv.ErrorTypeKey.String(errorType(outcome, err)))
		span.AddEvent("exception", trace.WithTimestamp(end), trace.WithAttributes(exception(text, err)...))
	}
	span.End(trace.WithTimestamp(end))
}

func exception(text string, err error) []attribute.KeyValue {
	attributes := []attribute.KeyValue{semconv.ExceptionMessage(text), semconv.ExceptionType(fmt.Sprintf("%T", err))}
	if panicked, ok := errors.AsType[*batch.PanicError](err); ok {
		attributes = append(attributes, semconv.ExceptionStacktrace(valid(string(panicked.Stack))))
	}
	return attributes
}

// errorType is a word for what went wrong that does not depend on data.
func errorType(outcome string, err error) string {
	if outcome == around.Failed {
		return fmt.Sprintf("%T", err)
	}
	return outcome
}

// maxText is how many bytes of the text of an error are kept.
const maxText = 4096

// textOf is the text of an error, which may panic.
func textOf(err error) string {
	text := "attempt timed out"
	if err != nil {
		text = fmt.Sprintf("%v", err) // has a text for an error that panics
	}
	return valid(text[:min(len(text), maxText)])
}
