package batchtest

import (
	"context"
	"fmt"
	"io"

	"github.com/runtocompletion/batch"
)

// Stdout writes lines to the attempt's standard output.
func Stdout(lines ...string) Step {
	return Call(func(_ context.Context, a batch.Attempt) error { return write(a.Stdout(), lines) })
}

// Stderr writes lines to the attempt's standard error.
func Stderr(lines ...string) Step {
	return Call(func(_ context.Context, a batch.Attempt) error { return write(a.Stderr(), lines) })
}

// Output leaves the attempt's termination message; see
// [batch.Attempt.SetOutput].
func Output(message string) Step {
	return Call(func(_ context.Context, a batch.Attempt) error {
		a.SetOutput(message)
		return nil
	})
}

// Progress reports that done of total units are done; see
// [batch.Attempt.Progress].
func Progress(done, total int64, phase string) Step {
	return Call(func(_ context.Context, a batch.Attempt) error {
		a.Progress(done, total, phase)
		return nil
	})
}

// Condition sets a condition of the attempt to True, which a failure policy
// may match. A type that is not valid makes the attempt fail.
func Condition(t string) Step {
	return setCondition(batch.Condition{Type: t, Status: "True"})
}

func setCondition(c batch.Condition) Step {
	return Call(func(_ context.Context, a batch.Attempt) error { return a.SetCondition(c) })
}

func write(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
