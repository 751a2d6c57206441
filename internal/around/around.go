// Package around puts an executor inside of one that learns how each execution ends, for
// extensions that measure. What the executor returns, panics with, or says of itself is
// not changed.
package around

import (
	"context"
	"errors"

	"github.com/runtocompletion/batch/internal/runner"
)

// The outcomes of an execution.
const (
	Succeeded = "succeeded" // it returned nil
	Failed    = "failed"    // it returned an error
	Panicked  = "panicked"  // it panicked, or called runtime.Goexit
	TimedOut  = "timed_out" // it ran into the timeout of its attempt
	Disrupted = "disrupted" // it was evicted or lost, and did not return nil
	Stopped   = "stopped"   // it was stopped for another reason, and did not return nil
)

// An End is the end of an execution.
type End struct {
	Outcome string
	Cause   error // why it was stopped; nil if it was not
	Err     error // that it returned
	// HasReturned is false if it panicked with a value or, with nil, called
	// runtime.Goexit. Its frames are still on the stack.
	HasReturned bool
	Panic       any
}

// A Next is what is executed: a batch.Executor, whose attempts are of type A.
type Next[A any] interface {
	Execute(ctx context.Context, a A) error
}

// An Observer looks at executions. Several goroutines may call it at once.
type Observer[A any] interface {
	// Begin is called before an execution. It returns the context that the execution is
	// to have, made of ctx, and what is called when it has ended.
	Begin(ctx context.Context, a A) (context.Context, func(End))
}

// An Executor executes Next, observed by Observer. Two are equal if these are.
type Executor[A any, E Next[A], O Observer[A]] struct {
	Next     E
	Observer O
}

// HoldsPending is that of Next.
func (e Executor[A, E, O]) HoldsPending() bool {
	p, ok := any(e.Next).(interface{ HoldsPending() bool })
	return ok && p.HoldsPending()
}

// Unwrap returns Next, for those who look for what is executed in the end.
func (e Executor[A, E, O]) Unwrap() E { return e.Next }

// Execute executes Next.
func (e Executor[A, E, O]) Execute(ctx context.Context, a A) (err error) {
	within, ended := e.Observer.Begin(ctx, a)
	end := End{}
	defer func() {
		if !end.HasReturned {
			end.Panic = recover()
		}
		end.Cause, end.Err = context.Cause(ctx), err
		end.Outcome = end.outcome()
		ended(end)
		if end.Panic != nil {
			panic(end.Panic)
		}
	}()
	err = e.Next.Execute(within, a)
	end.HasReturned = true
	return err
}

func (e *End) outcome() string {
	switch {
	case errors.Is(e.Cause, runner.ErrAttemptTimeout):
		return TimedOut
	case !e.HasReturned:
		return Panicked
	case e.Err == nil:
		return Succeeded
	case errors.Is(e.Cause, runner.ErrDisrupted), errors.Is(e.Err, runner.ErrDisrupted):
		return Disrupted
	case e.Cause != nil:
		return Stopped
	}
	return Failed
}
