package batch_test

import (
	"errors"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestCommandWithOneWriter wants the order of what a program prints to both streams
// to be kept, and all of it in the log.
func TestCommandWithOneWriter(t *testing.T) {
	var out lockedBuffer
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
	for line := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, -1, false) {
		text += line.Text + "\n"
	}
	require.Equal(t, want, text)
}

// TestCommandSaysWhyItFailed wants the end of a program's standard error wherever its
// failure is told.
func TestCommandSaysWhyItFailed(t *testing.T) {
	var log lockedBuffer
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
		for line := range c.Logs(t.Context(), "j", a.Name, -1, false) {
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

// sh makes a command of a shell script.
func sh(script string) batch.Command { return batch.Command{Args: []string{"sh", "-c", script}} }

func TestCommand(t *testing.T) {
	t.Setenv("BATCH_OUTER", "outer")
	t.Setenv("BATCH_BOTH", "outer")
	dir := t.TempDir()
	with := func(c batch.Command, change func(*batch.Command)) batch.Command { change(&c); return c }
	tests := map[string]struct {
		command batch.Command
		index   bool
		code    int
		log     []string
	}{
		"it succeeds, and prints": {
			command: sh("echo out; echo err >&2; printf unfinished"), code: 0,
			log: []string{"stdout out", "stderr err", "stdout unfinished"},
		},
		"it fails":            {command: sh("echo sorry >&2; exit 42"), code: 42, log: []string{"stderr sorry"}},
		"it dies of a signal": {command: sh("kill -TERM $$"), code: 143},
		"it does not exist":   {command: batch.Command{Args: []string{"/nonexistent/program"}}, code: 127},
		"it cannot be run":    {command: batch.Command{Args: []string{dir}}, code: 126},
		"the environment is that of the process": {command: with(sh("echo $BATCH_OUTER $BATCH_BOTH $BATCH_NEW"),
			func(c *batch.Command) { c.Env = []string{"BATCH_BOTH=inner", "BATCH_NEW=new"} }),
			code: 0, log: []string{"stdout outer inner new"}},
		"the index and the host name (R118, R120)": {
			command: sh("echo $JOB_COMPLETION_INDEX $HOSTNAME"), index: true, code: 0, log: []string{"stdout 0 j-0"},
		},
		"no index (R124)": {command: sh("echo ${JOB_COMPLETION_INDEX-none}"), code: 0, log: []string{"stdout none"}},
		"Env has the last word (R120)": {command: with(sh("echo $JOB_COMPLETION_INDEX $HOSTNAME"),
			func(c *batch.Command) { c.Env = []string{"JOB_COMPLETION_INDEX=x", "HOSTNAME=y"} }),
			index: true, code: 0, log: []string{"stdout x y"}},
		"the directory": {
			command: with(sh("pwd -P"), func(c *batch.Command) { c.Dir = "/" }), code: 0, log: []string{"stdout /"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newController(t, batch.Options{})
			job := batch.Job{Name: "j", BackoffLimit: new(0), Executor: test.command}
			if test.index {
				job.CompletionMode, job.Completions = batch.Indexed, new(1)
			}
			mustCreate(t, c, job)
			_, err := c.Wait(t.Context(), "j")
			require.Equal(t, test.code == 0, err == nil, "%v", err)
			a := attemptsOf(t, c, "j")[0]
			require.Equal(t, test.code, *a.ExitCode)
			var log []string
			for line, err := range c.Logs(t.Context(), "j", a.Name, -1, false) {
				require.NoError(t, err)
				log = append(log, line.Stream+" "+line.Text)
			}
			require.ElementsMatch(t, test.log, log) // two streams have no order
		})
	}
}

func TestCommandWritesElsewhereToo(t *testing.T) {
	var out, err lockedBuffer
	command := sh("echo out; echo err >&2")
	command.Stdout, command.Stderr = &out, &err
	c := newController(t, batch.Options{})
	mustCreate(t, c, batch.Job{Name: "j", Executor: command})
	_, waitErr := c.Wait(t.Context(), "j")
	require.NoError(t, waitErr)
	require.Equal(t, "out\n", out.String())
	require.Equal(t, "err\n", err.String())
	require.ElementsMatch(t, []string{"out", "err"}, logOf(t, c, "j", attemptsOf(t, c, "j")[0].Name))
}

var commandIsStoppedTests = map[string]struct {
	script string
	grace  time.Duration
	code   int
	log    []string
}{
	"it ends of SIGTERM": {script: "echo ready; exec sleep 60", grace: time.Minute, code: 143, log: []string{"ready"}},
	"it ends in its own way": {
		script: "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done", grace: time.Minute, code: 5,
		log: []string{"ready", "bye"},
	},
	"its children end, too": {
		script: "sleep 60 & echo ready; wait", grace: time.Minute, code: 143, log: []string{"ready"},
	},
	"SIGKILL follows the grace": {
		script: "trap '' TERM; echo ready; while :; do sleep 0.01; done", grace: 50 * time.Millisecond, code: 137,
		log: []string{"ready"},
	},
	"there is no grace": {
		script: "trap '' TERM; echo ready; while :; do sleep 0.01; done", grace: 0, code: 137, log: []string{"ready"},
	},
}

func TestCommandIsStopped(t *testing.T) {
	for name, test := range commandIsStoppedTests {
		for how, stop := range map[string]func(c *batch.Controller, attempt string) error{
			"deleted":   func(c *batch.Controller, attempt string) error { return c.DeleteAttempt(t.Context(), "j", attempt) },
			"shut down": func(c *batch.Controller, _ string) error { return c.Shutdown(ended(errDisk)) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				var log lockedBuffer
				c := newController(t, batch.Options{
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
				})
				mustCreate(t, c, batch.Job{
					Name: "j", BackoffLimit: new(0), TerminationGracePeriod: &test.grace, Executor: sh(test.script),
				})
				attempt := attemptsOf(t, c, "j")[0].Name
				var lines []string
				for line, err := range c.Logs(t.Context(), "j", attempt, -1, true) {
					require.NoError(t, err)
					if lines = append(lines, line.Text); len(lines) == 1 {
						go func() {
							if err := stop(c, attempt); err != nil {
								t.Error(err)
							}
						}()
					}
				}
				lines = slices.DeleteFunc(lines, func(line string) bool { return line == "Terminated" }) // says the shell
				require.Equal(t, test.log, lines)
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				if test.grace > 0 { // without, the signals race
					require.Equal(t, test.code, *a.ExitCode)
				}
				if how == "deleted" {
					_, err := c.Wait(t.Context(), "j")
					failed(t, err, batch.ReasonBackoffLimitExceeded)
				}
				require.NotContains(t, log.String(), "abandoned", "a program is killed, not abandoned")
			})
		}
	}
}
