package batchtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/runtocompletion/batch"
)

// ErrFailed is the error of Fail(nil).
var ErrFailed = errors.New("batchtest: scripted failure")

// Succeed ends the attempt with success. It is the zero Step; within [Do] the
// steps after it are still done.
func Succeed() Step { return Step{} }

// Fail ends the attempt with err, which may be marked by [batch.Permanent] or
// carry an exit code. Nil means [ErrFailed].
func Fail(err error) Step {
	if err == nil {
		err = ErrFailed
	}
	return fails(err)
}

// Exit ends the attempt with an exit code, as a program does: 0 is success,
// 137 is what remains of one that was killed.
func Exit(code int) Step {
	if code == 0 {
		return Succeed()
	}
	return fails(exitError{code: code})
}

// Panic ends the attempt with a panic; v is its value.
func Panic(v any) Step {
	return Call(func(context.Context, batch.Attempt) error { panic(v) })
}

// Goexit ends the attempt's goroutine with [runtime.Goexit], as calling
// t.FailNow in an executor does.
func Goexit() Step {
	return Call(func(context.Context, batch.Attempt) error {
		runtime.Goexit()
		return nil // not reached
	})
}

// Disrupted ends the attempt as a drained node ends a pod: with the condition
// [batch.ConditionDisruptionTarget] for the given reason, such as
// "EvictionByEvictionAPI", and with an exit code: 137 (killed) if
// it is "TerminationByKubelet", otherwise 143 (terminated). Its
// error is a [batch.ErrDisrupted]. To disrupt an attempt from outside, let it
// [Hang] and call [batch.Controller.Disrupt].
func Disrupted(reason string) Step {
	code := 143
	if reason == "TerminationByKubelet" {
		code = 137
	}
	return Do(
		setCondition(batch.Condition{
			Type:    batch.ConditionDisruptionTarget,
			Status:  "True",
			Reason:  reason,
			Message: "batchtest: scripted disruption",
		}),
		fails(exitError{code: code, err: fmt.Errorf("%w: %s", batch.ErrDisrupted, reason)}),
	)
}

func fails(err error) Step {
	return Call(func(context.Context, batch.Attempt) error { return err })
}

// An exitError is an error with an exit code.
type exitError struct {
	code int
	err  error // may be nil
}

func (e exitError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return fmt.Sprintf("exit status %d", e.code)
}

func (e exitError) ExitCode() int { return e.code }
func (e exitError) Unwrap() error { return e.err }
