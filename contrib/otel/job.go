package otel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/runtocompletion/batch"
)

// A jobSpan is the span of a job that has not finished.
type jobSpan struct {
	name, uid string
	begin     sync.Once
	span      atomic.Pointer[startedSpan] // nil while it has not begun, or if it cannot
	attempts  attempts
}

type startedSpan struct {
	trace.Span
	context trace.SpanContext
}

// context is that of the job's span, or the zero one.
func (j *jobSpan) context() trace.SpanContext {
	if s := j.span.Load(); s != nil {
		return s.context
	}
	return trace.SpanContext{}
}

// beginNamed begins the span of a job that was just created, if it is still there.
func (t *Telemetry) beginNamed(name string) {
	if status, err := t.controller.Get(name); err == nil && !status.Finished() {
		t.job(name, status.UID)
	}
}

// jobOf returns the span of an attempt's job. It is nil after Shutdown, and for a
// job of another controller.
func (t *Telemetry) jobOf(a batch.Attempt) *jobSpan {
	uid, _, _ := strings.Cut(a.Token(), "/")
	return t.job(a.Job, uid)
}

// job returns the span of a job, which it begins if need be. It is nil if the
// controller does not have that job.
func (t *Telemetry) job(name, uid string) *jobSpan {
	j := t.known(uid)
	if j == nil {
		status, err := t.controller.Get(name)
		if err != nil || status.UID != uid {
			return nil
		}
		if j = t.add(name, uid); j == nil {
			return nil
		}
	}
	j.begin.Do(func() { t.begin(j) })
	return j
}

func (t *Telemetry) known(uid string) *jobSpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.jobs[uid]
}

// named returns the span of a job that has not finished, or has just done so, or nil.
func (t *Telemetry) named(name string) *jobSpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.names[name]
}

// add adds a job and waits, beside, for its end. It returns nil after Shutdown.
func (t *Telemetry) add(name, uid string) *jobSpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	if j := t.jobs[uid]; j != nil || t.ctx.Err() != nil {
		return j
	}
	j := &jobSpan{name: name, uid: uid}
	t.jobs[uid], t.names[name] = j, j
	t.waiting.Go(func() { t.await(j) })
	return j
}

// begin starts the span, with what the job says about its parent.
func (t *Telemetry) begin(j *jobSpan) {
	job, err := t.controller.Job(j.name)
	status, statusErr := t.controller.Get(j.name)
	if err != nil || statusErr != nil || status.UID != j.uid {
		return // it is gone
	}
	j.attempts.restarts = job.RestartPolicy == batch.RestartOnFailure
	parent := propagation.TraceContext{}.Extract(context.Background(), parentIn(job.Annotations))
	attributes := t.jobAttributes(j.name, j.uid)
	attributes = append(attributes, attribute.Int("batch.job.parallelism", status.Parallelism))
	if status.Completions != nil {
		attributes = append(attributes, attribute.Int("batch.job.completions", *status.Completions))
	}
	start := status.CreatedAt
	if start.Before(t.start) {
		start = t.start
		attributes = append(attributes, attribute.Bool("batch.job.resumed", true))
	}
	safely(func() {
		_, span := t.tracer.Start(parent, "batch.job",
			trace.WithTimestamp(start), trace.WithAttributes(attributes...))
		j.span.Store(&startedSpan{span, span.SpanContext()})
	})
}

func (t *Telemetry) jobAttributes(name, uid string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.K8SNamespaceName(t.options.Namespace), semconv.K8SJobName(name), semconv.K8SJobUID(uid)}
}

// await ends the span with the job.
func (t *Telemetry) await(j *jobSpan) {
	j.begin.Do(func() { t.begin(j) })
	status, err := t.controller.Wait(t.ctx, j.name)
	if status.UID != j.uid { // another job has got the name
		err = batch.ErrDeleted
	}
	safely(func() { t.end(j, status, err) })
	t.remove(j)
}

func (t *Telemetry) remove(j *jobSpan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.jobs, j.uid)
	if t.names[j.name] != j {
		return
	}
	t.latest = append(t.latest, j)
	if len(t.latest) > keptEnded {
		if oldest := t.latest[0]; t.names[oldest.name] == oldest {
			delete(t.names, oldest.name)
		}
		t.latest = slices.Delete(t.latest, 0, 1)
	}
}

// keptEnded is how many jobs that have ended can still be named by log records:
// these are written beside, and may come a moment after the end.
const keptEnded = 100

// end ends the span with what has become of the job.
func (t *Telemetry) end(j *jobSpan, status batch.Status, err error) {
	span := j.span.Load()
	if span == nil {
		return
	}
	if status.UID == j.uid {
		span.SetAttributes(
			attribute.String("batch.job.state", status.State()),
			attribute.Int("batch.job.succeeded", status.Succeeded),
			attribute.Int("batch.job.failed", status.Failed))
	}
	var end []trace.SpanEndOption
	failed, hasFailed := errors.AsType[*batch.JobError](err)
	switch {
	case hasFailed:
		span.SetAttributes(attribute.String("batch.job.reason", failed.Reason),
			semconv.ErrorTypeKey.String(failed.Reason))
		span.SetStatus(codes.Error, valid(failed.Message))
		fallthrough
	case err == nil:
		end = append(end, trace.WithTimestamp(endOf(status)))
		t.addOutputs(j, span)
	case errors.Is(err, batch.ErrDeleted), errors.Is(err, batch.ErrNotFound):
		span.AddEvent("batch.job.deleted")
	default:
		span.AddEvent("batch.process.stopped")
	}
	span.End(end...)
}

// endOf is when a finished job has finished.
func endOf(status batch.Status) time.Time {
	c, ok := status.Condition(batch.ConditionFailed)
	if !ok {
		c, _ = status.Condition(batch.ConditionComplete)
	}
	return c.LastTransitionTime
}

// maxOutputs is how many outputs a job's span has, the latest.
const maxOutputs = 100

// addOutputs adds what attempts have left as their output.
func (t *Telemetry) addOutputs(j *jobSpan, span trace.Span) {
	list, err := t.controller.Attempts(context.Background(), j.name)
	if err != nil && list == nil {
		return // they are gone with the job
	}
	var outputs []batch.AttemptStatus
	for _, a := range list {
		if a.JobUID == j.uid && a.Output != "" {
			outputs = append(outputs, a)
		}
	}
	for _, a := range outputs[max(0, len(outputs)-maxOutputs):] {
		attributes := []attribute.KeyValue{
			attribute.String("batch.attempt.name", a.Name), attribute.String("batch.attempt.output", valid(a.Output))}
		if a.Index >= 0 {
			attributes = append(attributes, attribute.Int("batch.attempt.index", a.Index))
		}
		span.AddEvent("batch.attempt.output", trace.WithTimestamp(a.FinishedAt), trace.WithAttributes(attributes...))
	}
}

// valid replaces what is not UTF-8, which protocols refuse.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
