package batchtest

import (
	"context"
	"time"

	"github.com/runtocompletion/batch"
)

// A Step is what one attempt does. The zero Step succeeds at once. A Step is
// an executor of its own: one that does the same in every attempt. Steps are
// values without state and may be shared by jobs, tests and goroutines.
type Step struct {
	run     batch.ExecutorFunc // nil succeeds
	extra   int                // how many times it is taken beyond the first
	pending bool               // run calls Started itself
}

// Times returns a step that stands for n such steps in a row: n attempts in a
// [Script], and n times within one attempt in [Do]. Zero or less makes it
// stand for none. It means nothing to a Step that is an executor by itself.
func (s Step) Times(n int) Step {
	s.extra = max(n, 0) - 1
	return s
}

// times is the number that s.Times was given, or 1.
func (s Step) times() int { return s.extra + 1 }

// Execute does what the step says.
func (s Step) Execute(ctx context.Context, a batch.Attempt) error {
	if !s.pending {
		a.Started()
	}
	return s.do(ctx, a)
}

// HoldsPending reports whether the step has a [Pending] in it. It makes the
// step a [batch.PendingExecutor].
func (s Step) HoldsPending() bool { return s.pending }

func (s Step) do(ctx context.Context, a batch.Attempt) error {
	if s.run == nil {
		return nil
	}
	return s.run(ctx, a)
}

// Do makes one step of several, done in order until one of them fails. It
// succeeds if none does.
func Do(steps ...Step) Step {
	return Step{pending: anyPending(steps), run: func(ctx context.Context, a batch.Attempt) error {
		for _, s := range steps {
			for range s.times() {
				if err := s.do(ctx, a); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

// IgnoreCancel is like [Do], but the steps do not notice that the attempt's
// context ends, as code does that does not look at it:
//
//	IgnoreCancel(Take(time.Hour))            // goes on for its full hour
//	IgnoreCancel(Until(t.Context().Done()))  // goes on until the test ends
//
// [Hang] within it never ends and leaks a goroutine; use Until.
func IgnoreCancel(steps ...Step) Step {
	inner := Do(steps...)
	return Step{pending: inner.pending, run: func(ctx context.Context, a batch.Attempt) error {
		return inner.do(context.WithoutCancel(ctx), a)
	}}
}

// Call makes a step of a function. Nil succeeds.
func Call(f func(context.Context, batch.Attempt) error) Step {
	return Step{run: f}
}

func anyPending(steps []Step) bool {
	for _, s := range steps {
		if s.pending && s.times() > 0 {
			return true
		}
	}
	return false
}

// wait waits for a value from any channel ready, and returns nil; or until ctx
// is done, and returns its cause.
func wait[T any](ctx context.Context, ready <-chan T) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sleep waits for d, or until ctx is done, and then returns its cause.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	return wait(ctx, timer.C)
}
