package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

type executorFailure struct {
	execute func() error
	code    int
	message string // the failure's; a part of it
	is      error  // what the job's error wraps
}

var howExecutorsFailTests = map[string]executorFailure{
	"an error has code 1": {execute: func() error { return errDisk }, code: 1, message: "disk full", is: errDisk},
	"an error with a code": {
		execute: func() error { return fmt.Errorf("wrapped: %w", exit(42)) }, code: 42, message: "wrapped: exit",
		is: exit(42),
	},
	"the code 0 of an error is not success": {
		execute: func() error { return exit(0) }, code: 1, message: "exit", is: exit(0),
	},
	"a negative code": {
		execute: func() error { return exit(-3) }, code: -3, message: "exit", is: exit(-3),
	},
	"an error that cannot be compared": {
		execute: func() error { return uncomparable{"a", "b"} }, code: 1, message: "a b",
	},
	"a nil pointer as an error": {
		execute: func() error { return (*nilError)(nil) }, code: 1, message: "nil pointer",
	},
	"panic with a text": {
		execute: func() error { panic("boom") }, code: 2, message: "executor panicked: boom",
	},
	"panic with an error": {
		execute: func() error { panic(errDisk) }, code: 2, message: "executor panicked: disk full", is: errDisk,
	},
	"panic with nil": {execute: func() error { panic(nil) }, code: 2, message: "panic called with nil"},
	"a run-time error": {
		execute: func() error { var none []error; return none[len(none)] }, code: 2, message: "index out of range",
	},
	"runtime.Goexit": {execute: goexit[error], code: 2, message: "batch: executor called runtime.Goexit"},
	"an error whose text panics": {
		execute: func() error { return hostile{text: panics[string]} }, code: 7,
		message: "whose text cannot be had: panic: gotcha",
	},
	"an error whose text exits": {
		execute: func() error { return hostile{text: goexit[string]} }, code: 2, message: "runtime.Goexit",
	},
	"an error whose exit code panics": {
		execute: func() error { return hostile{code: panics[int]} }, code: 1, message: "hostile",
	},
	"an error whose exit code exits": {
		execute: func() error { return hostile{code: goexit[int]} }, code: 2, message: "runtime.Goexit",
	},
	"an error whose As panics": {execute: func() error { return hostile{as: panics[bool]} }, code: 7, message: "hostile"},
	"an error whose Is panics": {execute: func() error { return hostile{is: panics[bool]} }, code: 7, message: "hostile"},
	"an error whose As lies": {
		execute: func() error { return hostile{as: func() bool { return true }} }, code: 7, message: "hostile",
	},
	"a panic with an error whose As panics": {
		execute: func() error { panic(hostile{as: panics[bool]}) }, code: 2, message: "panicked",
	},
	"an error with a text without end": {
		execute: func() error { return hostile{text: func() string { return strings.Repeat("x", 1<<20) }} }, code: 7,
		message: strings.Repeat("x", 4096),
	},
	"an error whose text is cut in a letter": {
		execute: func() error { return errors.New(strings.Repeat("ä", 1<<12) + "x") }, code: 1,
		message: strings.Repeat("ä", 2048),
	},
}

func TestHowExecutorsFail(t *testing.T) {

	for name, test := range howExecutorsFailTests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					// A rule that looks at every error, and does not match.
					FailurePolicy: []batch.FailureRule{
						{Action: batch.ActionIgnore, OnError: batch.ErrorIs(context.DeadlineExceeded)}},
					Executor: fn(func(context.Context) error { return test.execute() })})
				status, err := c.Wait(t.Context(), "j")
				jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
				require.Equal(t, 1, status.Failed)
				require.Zero(t, status.Active+status.Terminating)
				require.Equal(t, test.code, status.LastFailure.ExitCode)
				require.Contains(t, status.LastFailure.Message, test.message)
				require.LessOrEqual(t, len(status.LastFailure.Message), 4096)
				require.Len(t, jobErr.Attempts, 1)
				require.Equal(t, test.code, jobErr.Attempts[0].ExitCode)
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
				}
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				require.Equal(t, test.code, *a.ExitCode)
				require.Contains(t, a.Message, test.message)
			})
		})
	}
}

func TestPanicHasItsStack(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{
		Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error { panics[int](); return nil }),
	})
	panicked, ok := errors.AsType[*batch.PanicError](err)
	require.True(t, ok)
	require.Equal(t, "gotcha", panicked.Value)
	require.Contains(t, string(panicked.Stack), "panics[...]")
}

// TestPanicIsFound wants the stack of a panic in the log of the controller and of the
// attempt, and the time of the next try in the former.
func TestPanicIsFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		mustCreate(t, c, batch.Job{
			Name: "j", Backoff: batch.ConstantBackoff(time.Hour),
			Executor: fn(func(context.Context) error { return panicHere() }),
		})
		settle()
		require.Contains(t, log.String(), "panicHere")
		require.Contains(t, log.String(), "next_try="+get(t, c, "j").NextRetry.Format("2006-01-02T15:04:05"))
		text := ""
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, -1, false) {
			require.NoError(t, err)
			text += line.Text
		}
		require.Contains(t, text, "panicHere")
	})
}

func panicHere() error { panic("gotcha") }

func TestAbandonedAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		release := make(chan struct{})
		mustCreate(t, c, batch.Job{Name: "j", TerminationGracePeriod: new(time.Minute), Parallelism: new(1),
			Completions: new(1),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number == 0 {
					stuckHere(release)
				}
				return nil
			})})
		synctest.Wait()
		require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].UID))
		time.Sleep(time.Minute - time.Millisecond)
		require.Equal(t, 0, get(t, c, "j").Abandoned)
		require.Equal(t, 1, get(t, c, "j").Failed)
		time.Sleep(2 * time.Millisecond)
		status := get(t, c, "j")
		require.Equal(t, 1, status.Abandoned)
		require.Equal(t, 1, status.Terminating)
		require.Equal(t, 1, status.Succeeded, "its replacement did the work")
		require.False(t, status.Finished(), "R258")
		require.True(t, attemptsOf(t, c, "j")[0].Abandoned)
		require.Contains(t, log.String(), "level=ERROR msg=\"attempt abandoned")
		require.Contains(t, log.String(), "stuckHere", "the log has the stack")
		close(release)
		status, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Zero(t, status.Abandoned+status.Terminating)
		require.Equal(t, 1, status.Succeeded)
		require.Equal(t, 1, status.Failed)
	})
}

//go:noinline
func stuckHere(release chan struct{}) { <-release }

func TestExitCode(t *testing.T) {
	killed := exec.Command("sh", "-c", "kill -KILL $$").Run()
	exited := exec.Command("sh", "-c", "exit 42").Run()
	tests := map[string]struct {
		err  error
		want int
	}{
		"success":                        {want: 0},
		"any error":                      {err: errDisk, want: 1},
		"an error with a code":           {err: exit(42), want: 42},
		"a wrapped one":                  {err: fmt.Errorf("a: %w", errors.Join(errDisk, exit(42), exit(43))), want: 42},
		"0 is not the code of an error":  {err: exit(0), want: 1},
		"a panic":                        {err: &batch.PanicError{Value: "x"}, want: 2},
		"a panic with an error of code":  {err: &batch.PanicError{Value: exit(42)}, want: 2},
		"a program that exited":          {err: fmt.Errorf("a: %w", exited), want: 42},
		"a program that was killed":      {err: fmt.Errorf("a: %w", killed), want: 137},
		"a permanent error keeps a code": {err: batch.Permanent(exit(42)), want: 42},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, batch.ExitCode(test.err)) })
	}
}

func TestStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 2})
		stand := func(ctx context.Context, a batch.Attempt) error { return standHere(ctx) }
		elsewhere := func(ctx context.Context, a batch.Attempt) error { <-ctx.Done(); return nil }
		for _, job := range []batch.Job{
			{Name: "stands", Executor: batch.ExecutorFunc(stand)},
			{Name: "elsewhere", Executor: batch.ExecutorFunc(elsewhere)},
			{Name: "waits", Executor: batch.ExecutorFunc(stand)},
		} {
			mustCreate(t, c, job)
			synctest.Wait()
		}
		stack := func(job string) string {
			text, err := c.Stack(job, attemptsOf(t, c, job)[0].UID)
			require.NoError(t, err)
			return text
		}
		require.Contains(t, stack("stands"), "batch_test.standHere")
		require.NotContains(t, stack("elsewhere"), "standHere")
		require.NotContains(t, stack("elsewhere"), "\n\n", "the stack of one goroutine")
		require.Empty(t, stack("waits"), "no executor runs")

		attempt := attemptsOf(t, c, "stands")[0].Name
		require.NoError(t, c.DeleteAttempt(t.Context(), "stands", attempt))
		synctest.Wait()
		_, err := c.Stack("stands", attempt)
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		_, err = c.Stack("stands", "another")
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = c.Stack("another", attempt)
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

// standHere is where the executor of TestStack can be found.
//
//go:noinline
func standHere(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
