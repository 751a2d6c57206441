package batchtest

import (
	"context"

	"github.com/runtocompletion/batch"
)

// A Script is an executor that says what each attempt does: the first step is
// that of the first attempt, and the last one repeats. In an Indexed job every
// index begins at the first step. An empty Script succeeds.
//
// A Script has no state: the step depends on the attempt alone, and is the one
// at Attempt.Number + Attempt.Restarts. So attempts that run at the same time
// have steps that do not depend on who comes first, a restart in place takes
// the step after, and a Script may be shared by jobs, tests and goroutines.
type Script []Step

// Execute does the attempt's step.
func (s Script) Execute(ctx context.Context, a batch.Attempt) error {
	return s.step(a.Number+a.Restarts).Execute(ctx, a)
}

// HoldsPending reports whether a step has a [Pending] in it. It makes the
// script a [batch.PendingExecutor]; steps without one start at once.
func (s Script) HoldsPending() bool { return anyPending(s) }

// step returns step n, counted from 0.
func (s Script) step(n int) Step {
	var last Step
	for _, step := range s {
		if step.times() == 0 {
			continue
		}
		if n < step.times() {
			return step
		}
		n -= step.times()
		last = step
	}
	return last
}

// Others is the key in a [ByIndex] of the script for all indexes that have
// none of their own, and for jobs that are not Indexed.
const Others = -1

// ByIndex is an executor with a script for each index. An index without one
// has that of [Others]; without that too it succeeds.
type ByIndex map[int]Script

// Execute does the step of the attempt in the script of its index.
func (m ByIndex) Execute(ctx context.Context, a batch.Attempt) error {
	script, ok := m[a.Index]
	if !ok {
		script = m[Others]
	}
	return script.Execute(ctx, a)
}

// HoldsPending reports whether any of the scripts has a [Pending] in it. It
// makes a ByIndex a [batch.PendingExecutor].
func (m ByIndex) HoldsPending() bool {
	for _, script := range m {
		if script.HoldsPending() {
			return true
		}
	}
	return false
}

// Func gives an executor, such as a [Script], the shape of a function that the
// code under test calls within an attempt: what it does and returns is that
// of the attempt that ctx was made for. Outside of an attempt it is that of
// the first attempt of a job that is not Indexed.
func Func(e batch.Executor) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		a, ok := batch.AttemptFrom(ctx)
		if !ok {
			a = batch.Attempt{Index: -1}
		}
		return e.Execute(ctx, a)
	}
}
