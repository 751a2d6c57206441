package batch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestCommandWithOneWriter wants the order of what a program prints to both streams
// to be kept, and all of it in the log.
func TestCommandWithOneWriter(t *testing.T) {
	var out sharedBuffer
	c := newController(t, batch.Options{})
	command := sh("for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done")
	command.Stdout, command.Stderr = &out, &out
	_, err := c.Run(t.Context(), batch.Job{Name: "j", Executor: command})
	require.NoError(t, err)
	want := ""
	for _, i := range strings.Fields("1 2 3 4 5 6 7 8 9") {
		want += "out " + i + "\nerr " + i + "\n"
	}
	require.Equal(t, want, out.String())
	text := ""
	for line := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{}) {
		text += line.Text + "\n"
	}
	require.Equal(t, want, text)
}

// A sharedBuffer is a buffer for several goroutines.
type sharedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestCommandSaysWhyItFailed wants the end of a program's standard error wherever its
// failure is told.
func TestCommandSaysWhyItFailed(t *testing.T) {
	var log sharedBuffer
	c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	status, err := c.Run(t.Context(), batch.Job{
		Name: "j", BackoffLimit: new(0), Executor: sh("echo fine; echo no space >&2; echo left >&2; exit 3"),
	})
	require.ErrorContains(t, err, `"sh": exit code 3: no space | left`)
	program, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok)
	require.Equal(t, 3, program.ExitCode())
	require.Equal(t, `"sh": exit code 3: no space | left`, status.LastFailure.Message)
	require.Contains(t, status.Explain(), "no space | left")
	require.NoError(t, c.Shutdown(t.Context()))
	require.Contains(t, log.String(), "no space | left")
}

// TestStdinOfACommand wants each execution to read its own input, which is closed.
func TestStdinOfACommand(t *testing.T) {
	c := newController(t, batch.Options{})
	input := &closedReader{}
	command := sh("cat; exit 7")
	command.Stdin = func() (io.Reader, error) {
		input.Reader = strings.NewReader("hello\n")
		return input, nil
	}
	_, err := c.Run(t.Context(), batch.Job{
		Name: "j", BackoffLimit: new(1), Backoff: batch.ConstantBackoff(0), Executor: command,
	})
	require.Error(t, err)
	attempts := attemptsOf(t, c, "j")
	require.Len(t, attempts, 2)
	for _, a := range attempts {
		require.Equal(t, 7, *a.ExitCode)
		for line := range c.Logs(t.Context(), "j", a.Name, batch.LogOptions{}) {
			require.Equal(t, "hello", line.Text)
		}
	}
	require.Equal(t, 2, input.closed)
	command.Stdin = func() (io.Reader, error) { return nil, errDisk }
	_, err = batch.Run(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0), Executor: command})
	require.ErrorIs(t, err, errDisk)
}

type closedReader struct {
	io.Reader
	closed int
}

func (r *closedReader) Close() error { r.closed++; return nil }

func TestCommandIsValidated(t *testing.T) {
	c := newController(t, batch.Options{})
	for _, e := range []batch.Executor{
		batch.Command{Args: []string{"true"}, Env: []string{"A=b", "FOO BAR", "=x", "N=\x00"}},
		&batch.Command{Args: []string{"true"}, Env: []string{"A=b", "FOO BAR", "=x", "N=\x00"}},
	} {
		err := c.Create(t.Context(), batch.Job{Name: "j", Executor: e})
		require.EqualError(t, err, `batch: job "j" is invalid: `+
			`Executor.Env[1]: Invalid value: "FOO BAR": must have the form "NAME=value", without a zero byte; `+
			`Executor.Env[2]: Invalid value: "=x": must have the form "NAME=value", without a zero byte; `+
			`Executor.Env[3]: Invalid value: "N=\x00": must have the form "NAME=value", without a zero byte`)
	}
}

// TestPanicIsFound wants the stack of a panic in the log of the controller and of the
// attempt, and the time of the next try in the former.
func TestPanicIsFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log sharedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		mustCreate(t, c, batch.Job{
			Name: "j", Backoff: batch.ConstantBackoff(time.Hour),
			Executor: fn(func(context.Context) error { return panicHere() }),
		})
		settle()
		require.Contains(t, log.String(), "panicHere")
		require.Contains(t, log.String(), "next_try="+get(t, c, "j").NextRetry.Format("2006-01-02T15:04:05"))
		text := ""
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{}) {
			require.NoError(t, err)
			text += line.Text
		}
		require.Contains(t, text, "panicHere")
	})
}

func panicHere() error { panic("gotcha") }
