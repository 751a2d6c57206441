package otel

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// A Handler is a [slog.Handler] that adds trace_id and span_id to records and hands
// them on, with a context that has the span, too. It is made before the controller
// whose logger it serves, and given to [New] in [Options]; until then it knows the
// spans of contexts only.
type Handler struct {
	shared *shared
	next   slog.Handler
	job    string // the attributes job and attempt, if they are known already
	name   string
	root   slog.Handler                      // next, as it was before the first group; nil without groups
	groups []func(slog.Handler) slog.Handler // what makes next of root
}

// shared is what all handlers have that come from one.
type shared struct{ telemetry atomic.Pointer[Telemetry] }

// NewHandler returns a handler that hands records to next.
func NewHandler(next slog.Handler) *Handler { return &Handler{shared: new(shared), next: next} }

// Enabled is next's.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler with more attributes.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	to := h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
	for _, a := range attrs {
		to.note(a)
	}
	return to
}

// WithGroup returns a handler with a group. The trace is not in it.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	from := *h
	if from.root == nil {
		from.root = h.next
	}
	return from.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

// with returns a copy with another next.
func (h *Handler) with(change func(slog.Handler) slog.Handler) *Handler {
	to := *h
	to.next = change(h.next)
	if to.root != nil {
		to.groups = append(slices.Clip(to.groups), change)
	}
	return &to
}

// note remembers an attribute that says what a record is about.
func (h *Handler) note(a slog.Attr) {
	if h.root != nil || a.Value.Kind() != slog.KindString {
		return
	}
	switch a.Key {
	case "job":
		h.job = a.Value.String()
	case "attempt":
		h.name = a.Value.String()
	}
}

// Handle adds the trace, if there is one.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		if span = h.spanOf(r); !span.IsValid() {
			return h.next.Handle(ctx, r)
		}
		ctx = trace.ContextWithSpanContext(ctx, span)
	}
	ids := []slog.Attr{slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String())}
	if h.root == nil {
		r = r.Clone()
		r.AddAttrs(ids...)
		return h.next.Handle(ctx, r)
	}
	next := h.root.WithAttrs(ids)
	for _, change := range h.groups {
		next = change(next)
	}
	return next.Handle(ctx, r)
}

// spanOf is the span of the attempt, or the job, that a record names.
func (h *Handler) spanOf(r slog.Record) trace.SpanContext {
	t := h.shared.telemetry.Load()
	if t == nil {
		return trace.SpanContext{}
	}
	about := *h
	r.Attrs(func(a slog.Attr) bool { about.note(a); return true })
	j := t.named(about.job)
	if j == nil {
		return trace.SpanContext{}
	}
	if span := j.attempts.span(about.name); span.IsValid() {
		return span
	}
	return j.context()
}
