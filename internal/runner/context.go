package runner

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
)

// WithValuesOf returns ctx with the values that base has and ctx has not. Base may be nil.
func WithValuesOf(ctx, base context.Context) context.Context {
	if base == nil {
		return ctx
	}
	return &valuesContext{ctx, context.WithoutCancel(base)}
}

type valuesContext struct {
	context.Context
	base context.Context
}

func (c *valuesContext) Value(key any) any {
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.base.Value(key)
}

type attemptKey struct{}

// AttemptFrom returns the attempt that ctx was made for.
func AttemptFrom(ctx context.Context) (Execution, bool) {
	a, ok := ctx.Value(attemptKey{}).(Execution)
	return a, ok
}

// An attemptContext is the context of one attempt. What it takes to cancel it
// is made at its first use; a context that was not used serves the
// next attempt of its goroutine too, so an executor that does not look at its
// context costs nothing for it.
type attemptContext struct {
	run  *run
	live atomic.Pointer[liveContext]
	stop *stop // how it was cancelled; guarded by job.mu
}

// A stop is how a context ends.
type stop struct {
	cause error
	err   error // context.Canceled or context.DeadlineExceeded
}

// stopFor returns the stop with that cause.
func stopFor(cause error) *stop {
	if errors.Is(cause, context.DeadlineExceeded) {
		return &stop{cause, context.DeadlineExceeded}
	}
	return &stop{cause, context.Canceled}
}

// A liveContext is a context that has been used.
type liveContext struct {
	context.Context
	cancel  context.CancelCauseFunc
	attempt Execution
	expiry  *expiry // of an attempt that has a deadline; otherwise nil
	err     atomic.Pointer[error]
}

// end cancels the context. Only the first call has an effect.
func (l *liveContext) end(s *stop) {
	if !l.err.CompareAndSwap(nil, &s.err) {
		return
	}
	if l.expiry != nil && s.err == context.DeadlineExceeded {
		l.expiry.expire(s.cause)
	}
	l.cancel(s.cause)
}

// Err is that of the stop.
func (l *liveContext) Err() error {
	if err := l.Context.Err(); err == nil {
		return nil
	}
	if err := l.err.Load(); err != nil {
		return *err
	}
	return l.Context.Err()
}

func (c *attemptContext) asked() *liveContext {
	if live := c.live.Load(); live != nil {
		return live
	}
	j := c.run.job
	j.lock()
	defer j.unlock()
	if live := c.live.Load(); live != nil {
		return live
	}
	live := &liveContext{attempt: c.run.view()}
	parent := j.r.values
	if c.mayExpireLocked() {
		live.expiry = newExpiry(parent)
		parent = live.expiry
	}
	live.Context, live.cancel = context.WithCancelCause(parent)
	if !c.run.attempt.Pinned { // the executor left a goroutine behind
		live.end(stopFor(ErrAttemptEnded))
		return live // not stored: c may serve another attempt
	}
	if c.stop != nil {
		live.end(c.stop)
	}
	c.live.Store(live)
	return live
}

// stopLocked notes why the context ends, and returns what is to be cancelled as
// soon as job.mu is released: a goroutine that wakes up needs it. It is nil if no one has
// asked, or the context has been stopped before.
func (c *attemptContext) stopLocked(s *stop) *liveContext {
	if c.stop != nil {
		return nil
	}
	c.stop = s
	return c.live.Load()
}

// endLocked cancels the context of an attempt that has ended.
func (c *attemptContext) endLocked() {
	if c.stop == nil {
		c.stop = stopFor(ErrAttemptEnded)
	}
	if live := c.live.Load(); live != nil {
		live.end(c.stop)
	}
}

// isUntouchedLocked reports whether the context may serve another attempt.
func (c *attemptContext) isUntouchedLocked() bool { return c.stop == nil && c.live.Load() == nil }

// mayExpireLocked reports whether there is any deadline.
func (c *attemptContext) mayExpireLocked() bool {
	spec := c.run.job.engine.Spec
	return spec.ActiveDeadline >= 0 || spec.AttemptTimeout >= 0 || c.run.job.r.hasDeadline
}

// deadlineLocked is when the attempt, its job or the parent runs out of time; zero
// if never.
func (c *attemptContext) deadlineLocked() time.Time {
	j, at := c.run.job, engine.Never
	spec := j.engine.Spec
	if spec.ActiveDeadline >= 0 && j.engine.StartTime != 0 {
		at = j.engine.StartTime.Add(spec.ActiveDeadline)
	}
	if started := c.run.attempt.StartedAt; spec.AttemptTimeout >= 0 && started != 0 {
		at = min(at, started.Add(spec.AttemptTimeout))
	}
	deadline, ok := j.r.parent.Deadline()
	if at == engine.Never {
		return deadline
	}
	if own := j.r.clock.Time(int64(at)); !ok || own.Before(deadline) {
		return own
	}
	return deadline
}

// Deadline is the earliest of those of the attempt, its job and the parent, as they
// are now.
func (c *attemptContext) Deadline() (time.Time, bool) {
	j := c.run.job
	c.asked() // it does not serve another attempt from now on
	j.lock()
	defer j.unlock()
	deadline := c.deadlineLocked()
	return deadline, !deadline.IsZero()
}

func (c *attemptContext) Done() <-chan struct{} { return c.asked().Done() }
func (c *attemptContext) Err() error            { return c.asked().Err() }

func (c *attemptContext) Value(key any) any {
	if key == (attemptKey{}) {
		return c.asked().attempt
	}
	return c.asked().Value(key)
}

// An expiry is the parent of a context that ends with a deadline when the engine
// says so: contexts made of that one then have the error of a deadline, and its
// cause.
type expiry struct {
	context.Context // has the cause
	fail            context.CancelCauseFunc
	done            chan struct{}
	child           func()
}

func newExpiry(parent context.Context) *expiry {
	x := &expiry{done: make(chan struct{})}
	x.Context, x.fail = context.WithCancelCause(parent)
	return x
}

// Done is not that of the embedded context, so that children are cancelled through
// AfterFunc.
func (x *expiry) Done() <-chan struct{} { return x.done }

func (x *expiry) Err() error {
	select {
	case <-x.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// AfterFunc is how package context waits for a parent of a type it does not know.
// There is one child, that of the attempt.
func (x *expiry) AfterFunc(f func()) (stop func() bool) {
	x.child = f
	return func() bool { return true }
}

func (x *expiry) expire(cause error) {
	x.fail(cause)
	close(x.done)
	x.child()
}
