package around

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/runner"
)

// An executor is a function of an attempt, here a text.
type executor func(ctx context.Context, a string) error

func (f executor) Execute(ctx context.Context, a string) error { return f(ctx, a) }

// A pending executor is Pending until it says that it is not.
type pending struct{ executor }

func (pending) HoldsPending() bool { return true }

type key struct{}

// notes keep what an observer was told.
type notes struct {
	attempt string
	ends    []End
}

func (n *notes) Begin(ctx context.Context, a string) (context.Context, func(End)) {
	n.attempt = a
	return context.WithValue(ctx, key{}, "of the observer"), func(e End) { n.ends = append(n.ends, e) }
}

var errWork = errors.New("no work")

func TestExecutor(t *testing.T) {
	stopped := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		return ctx
	}
	returns := func(err error) executor { return func(context.Context, string) error { return err } }
	panics := func(context.Context, string) error { panic(errWork) }
	exits := func(context.Context, string) error { runtime.Goexit(); return nil }
	cases := map[string]struct {
		ctx     context.Context
		next    executor
		outcome string
	}{
		"success":                   {ctx: t.Context(), next: returns(nil), outcome: Succeeded},
		"failure":                   {ctx: t.Context(), next: returns(errWork), outcome: Failed},
		"panic":                     {ctx: t.Context(), next: panics, outcome: Panicked},
		"exit":                      {ctx: t.Context(), next: exits, outcome: Panicked},
		"out of time":               {ctx: stopped(runner.ErrAttemptTimeout), next: returns(nil), outcome: TimedOut},
		"panic when out of time":    {ctx: stopped(runner.ErrAttemptTimeout), next: panics, outcome: TimedOut},
		"evicted":                   {ctx: stopped(runner.ErrDisrupted), next: returns(errWork), outcome: Disrupted},
		"evicted, and nevertheless": {ctx: stopped(runner.ErrDisrupted), next: returns(nil), outcome: Succeeded},
		"says that it is disrupted": {
			ctx: t.Context(), next: returns(fmt.Errorf("%w: moved", runner.ErrDisrupted)), outcome: Disrupted,
		},
		"deleted":                     {ctx: stopped(runner.ErrDeleted), next: returns(errWork), outcome: Stopped},
		"panic when deleted":          {ctx: stopped(runner.ErrDeleted), next: panics, outcome: Panicked},
		"deleted when it was through": {ctx: stopped(runner.ErrDeleted), next: returns(nil), outcome: Succeeded},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := new(notes)
			next := func(ctx context.Context, a string) error {
				require.Equal(t, "of the observer", ctx.Value(key{}))
				require.Equal(t, "attempt 7", a)
				return c.next(ctx, a)
			}
			value, err := execute(c.ctx, Executor[string, executor, *notes]{next, n})
			require.Equal(t, "attempt 7", n.attempt)
			require.Len(t, n.ends, 1)
			end := n.ends[0]
			require.Equal(t, c.outcome, end.Outcome)
			require.Equal(t, context.Cause(c.ctx), end.Cause)
			require.Equal(t, err, end.Err)
			require.Equal(t, value, end.Panic, "it goes on")
		})
	}
}

// execute returns what e returns, or panics with.
func execute(ctx context.Context, e Executor[string, executor, *notes]) (value any, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { value = recover() }()
		err = e.Execute(ctx, "attempt 7")
	}()
	<-done
	return value, err
}

func TestExecutorPassesOn(t *testing.T) {
	n := new(notes)
	work := executor(func(context.Context, string) error { return nil })
	require.False(t, Executor[string, executor, *notes]{work, n}.HoldsPending())
	held := Executor[string, pending, *notes]{pending{work}, n}
	require.True(t, held.HoldsPending())
	require.True(t, held.Unwrap().HoldsPending())
	type next = Next[string]
	one := Executor[string, next, *notes]{&held, n}
	require.True(t, one == Executor[string, next, *notes]{&held, n})
	require.False(t, one == Executor[string, next, *notes]{&held, new(notes)})
}
