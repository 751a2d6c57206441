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
)

// The values of the attribute batch.attempt.outcome.
const (
	outcomeSucceeded = "succeeded" // it returned nil
	outcomeFailed    = "failed"    // it returned an error
	outcomePanicked  = "panicked"  // it panicked, or called runtime.Goexit
	outcomeTimedOut  = "timed_out" // it ran into batch.Job.AttemptTimeout
	outcomeDisrupted = "disrupted" // it was evicted or lost, and did not return nil
	outcomeStopped   = "stopped"   // it was stopped for another reason, and did not return nil
)

// Executor returns an executor that runs next under a span of its own, whose
// context next gets. [Telemetry.Create] and [Telemetry.Apply] call it; it is for
// jobs that come to the controller by other ways: these have no parent but what
// their annotation traceparent says, and those of another controller, such as that
// of [batch.Run], the span of their context. What next returns, panics with, or says
// as a [batch.PendingExecutor] is not changed. A nil next gives nil, and one that is
// traced by t already is returned as it is.
func (t *Telemetry) Executor(next batch.Executor) batch.Executor {
	if e, ok := next.(executor); next == nil || ok && e.telemetry == t {
		return next
	}
	return executor{t, next}
}

type executor struct {
	telemetry *Telemetry
	next      batch.Executor
}

// HoldsPending is next's.
func (e executor) HoldsPending() bool {
	p, ok := e.next.(batch.PendingExecutor)
	return ok && p.HoldsPending()
}

// Unwrap returns next, for those who look for what is executed in the end.
func (e executor) Unwrap() batch.Executor { return e.next }

func (e executor) Execute(ctx context.Context, a batch.Attempt) (err error) {
	t := e.telemetry
	if t.ctx.Err() != nil {
		return e.next.Execute(ctx, a)
	}
	x := t.execution(ctx, a)
	returned := false
	defer func() {
		if returned {
			x.end(ctx, err, nil)
			return
		}
		v := recover() // nil if it was runtime.Goexit
		x.end(ctx, nil, &batch.PanicError{Value: panicValue(v), Stack: debug.Stack()})
		if v != nil {
			panic(v)
		}
	}()
	err = e.next.Execute(x.context(ctx), a)
	returned = true
	return err
}

func panicValue(v any) any {
	if v == nil {
		return batch.ErrGoexit
	}
	return v
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

// end ends it, and lets the span be ended beside. Only one of the errors is not nil.
func (x *execution) end(ctx context.Context, err error, panicked *batch.PanicError) {
	end := time.Now()
	cause := context.Cause(ctx)
	outcome := outcomeOf(cause, err, panicked)
	x.telemetry.metrics.ended(outcome, end.Sub(x.start))
	if x.job != nil {
		x.job.attempts.ended(x.attempt, outcome, x.spanContext)
	}
	if x.span == nil {
		return
	}
	if panicked != nil {
		err = panicked
	}
	if !x.telemetry.ended.put(func() { x.endSpan(end, outcome, cause, err) }) {
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
	if err != nil || outcome == outcomeTimedOut {
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
	if outcome == outcomeFailed {
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

func outcomeOf(cause, err error, panicked *batch.PanicError) string {
	switch {
	case errors.Is(cause, batch.ErrAttemptTimeout):
		return outcomeTimedOut
	case panicked != nil:
		return outcomePanicked
	case err == nil:
		return outcomeSucceeded
	case errors.Is(cause, batch.ErrDisrupted), errors.Is(err, batch.ErrDisrupted):
		return outcomeDisrupted
	case cause != nil:
		return outcomeStopped
	}
	return outcomeFailed
}
