//go:build unix

package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A runEnd is a program and how it ends.
type runEnd struct {
	program Program
	code    int // of the error; 0 if there is none
	signal  syscall.Signal
	is      error
	message string
}

var runEnds = map[string]runEnd{
	"success is no error": {
		program: shell("exit 0"),
	},
	"a code is kept": {
		program: shell("exit 3"),
		code:    3,
		message: `"sh": exit code 3`,
	},
	"the highest code": {
		program: shell("exit 255"),
		code:    255,
	},
	"a program killed from outside": {
		program: shell("kill -KILL $$"),
		code:    137,
		signal:  syscall.SIGKILL,
		message: `"sh": exit code 137, killed by signal 9 (killed)`,
	},
	"a program terminated from outside": {
		program: shell("kill -TERM $$"),
		code:    143,
		signal:  syscall.SIGTERM,
	},
	"a signal to the whole group": {
		program: shell("sleep 100 & kill -TERM 0; wait"),
		code:    143,
		signal:  syscall.SIGTERM,
	},
	"a name that is not in PATH": {
		program: Program{Args: []string{"no-such-program-here"}},
		code:    127,
		is:      exec.ErrNotFound,
		message: `"no-such-program-here": exit code 127, not started: exec: "no-such-program-here": executable file not ` +
			`found in $PATH`,
	},
	"an argument that no system takes": {
		program: Program{Args: []string{"sh", "a\x00b"}},
		code:    126,
		is:      syscall.EINVAL,
	},
}

// runEndsOfFiles are programs that are, or are not, files in a directory.
func runEndsOfFiles(t *testing.T) map[string]runEnd {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	return map[string]runEnd{
		"a path that does not exist": {
			program: Program{Args: []string{filepath.Join(dir, "none")}},
			code:    127,
			is:      os.ErrNotExist,
		},
		"a path relative to the directory": {
			program: Program{Args: []string{"./ok"}, Dir: filepath.Dir(file("ok", "#!/bin/sh\nexit 4\n", 0o755))},
			code:    4,
		},
		"a relative path that does not exist": {
			program: Program{Args: []string{"./none"}, Dir: dir},
			code:    127,
		},
		"a file that may not be executed": {
			program: Program{Args: []string{file("plain", "#!/bin/sh\n", 0o644)}},
			code:    126,
			is:      os.ErrPermission,
		},
		"a file in no known format": {
			program: Program{Args: []string{file("garbage", "\x00\x01garbage", 0o755)}},
			code:    126,
			is:      syscall.ENOEXEC,
		},
		"a script without its interpreter": {
			program: Program{Args: []string{file("orphan", "#!/no/such/interpreter\n", 0o755)}},
			code:    126,
		},
		"a directory": {
			program: Program{Args: []string{dir}},
			code:    126,
		},
		"a working directory that does not exist": {
			program: Program{Args: []string{"/bin/sh"}, Dir: filepath.Join(dir, "none")},
			code:    126,
			is:      os.ErrNotExist,
			message: `"/bin/sh": exit code 126, not started: working directory: stat ` + filepath.Join(dir,
				"none") + ": no such file or directory",
		},
		"a working directory that is a file": {
			program: Program{Args: []string{"/bin/sh"}, Dir: file("file", "", 0o644)},
			code:    126,
		},
	}
}

func TestRunExitCodes(t *testing.T) {
	tests := runEndsOfFiles(t)
	maps.Copy(tests, runEnds)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := Run(t.Context(), test.program)
			if test.code == 0 {
				require.NoError(t, err)
				return
			}
			exit, ok := errors.AsType[*ExitError](err)
			require.True(t, ok, "%T %v", err, err)
			require.Equal(t, test.code, exit.ExitCode(), "%v", err)
			require.Equal(t, int(test.signal), exit.Signal)
			require.Equal(t, test.program.Args[0], exit.Program)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			if test.message != "" {
				require.EqualError(t, err, test.message)
			}
			var coded interface{ ExitCode() int }
			require.ErrorAs(t, err, &coded)
			require.Equal(t, test.code, coded.ExitCode(), "the first code in the chain")
			_, ran := errors.AsType[*exec.ExitError](err)
			require.Equal(t, test.code < 126 || test.code > 127, ran)
		})
	}
}

func TestRunWithoutProgram(t *testing.T) {
	require.EqualError(t, Run(t.Context(), Program{}), "no program to run")
	require.EqualError(t, Run(t.Context(), Program{Args: []string{""}}), "no program to run")
}

func TestRunStreams(t *testing.T) {
	t.Run("all of them", func(t *testing.T) {
		var out, errs bytes.Buffer
		p := shell("cat; echo to stderr >&2; echo args: $*", "a", "b c")
		p.Stdin, p.Stdout, p.Stderr = strings.NewReader("from stdin\n"), &out, &errs
		require.NoError(t, Run(t.Context(), p))
		require.Equal(t, "from stdin\nargs: a b c\n", out.String())
		require.Equal(t, "to stderr\n", errs.String())
	})
	t.Run("one writer for both keeps the order", func(t *testing.T) {
		var both bytes.Buffer
		p := shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
		p.Stdout, p.Stderr = &both, &both
		require.NoError(t, Run(t.Context(), p))
		require.Equal(t, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n", both.String())
	})
	t.Run("writers that cannot be compared", func(t *testing.T) {
		var out, errs bytes.Buffer
		p := shell("echo out; echo err >&2")
		p.Stdout, p.Stderr = writerFunc(out.Write), writerFunc(errs.Write)
		require.NoError(t, Run(t.Context(), p))
		require.Equal(t, "out\n", out.String())
		require.Equal(t, "err\n", errs.String())
	})
	t.Run("files are handed over", func(t *testing.T) {
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		defer file.Close()
		p := shell("echo out; echo err >&2; cat")
		p.Stdin, p.Stdout, p.Stderr = file, file, file
		require.NoError(t, Run(t.Context(), p))
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		require.Equal(t, "out\nerr\n", string(text))
	})
	t.Run("nil is the null device", func(t *testing.T) {
		require.NoError(t, Run(t.Context(), shell("cat && echo out && echo err >&2")))
	})
}

func TestRunEnvironmentAndDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Setenv("PROC_TEST_SET", "by the test")

	var out bytes.Buffer
	inherit := Program{Args: []string{"/bin/sh", "-c", "echo $PROC_TEST_SET; pwd"}, Dir: dir, Stdout: &out}
	require.NoError(t, Run(t.Context(), inherit))
	require.Equal(t, "by the test\n"+dir+"\n", out.String())

	out.Reset()
	complete := Program{Args: []string{"env"}, Env: []string{"A=1", "B=x=y"}, Stdout: &out}
	require.NoError(t, Run(t.Context(), complete))
	require.Equal(t, "A=1\nB=x=y\n", out.String())

	out.Reset()
	require.NoError(t, Run(t.Context(), Program{Args: []string{"env"}, Env: []string{}, Stdout: &out}))
	require.Empty(t, out.String())
}

func TestRunContextDoneAtCall(t *testing.T) {
	cause := errors.New("no more today")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	mark := filepath.Join(t.TempDir(), "mark")
	require.Equal(t, cause, Run(ctx, Program{Args: []string{"touch", mark}}))
	require.NoFileExists(t, mark)
}

// runUntil runs p, cancels its context when it has printed word, and returns
// what it printed and the error.
func runUntil(t *testing.T, word string, p Program) (*recorder, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longTime)
	defer cancel()
	out := newRecorder(word)
	p.Stdout = out
	result := make(chan error, 1)
	go func() { result <- Run(ctx, p) }()
	select {
	case <-out.found:
		cancel()
	case err := <-result:
		require.FailNow(t, "ended too early", "%v: %s", err, out)
	}
	select {
	case err := <-result:
		return out, err
	case <-time.After(longTime):
		require.FailNow(t, "Run does not return")
		return nil, nil
	}
}

func requireExit(t *testing.T, code int, err error) {
	t.Helper()
	exit, ok := errors.AsType[*ExitError](err)
	require.True(t, ok, "%T %v", err, err)
	require.Equal(t, code, exit.Code, "%v", err)
}

func withGrace(grace time.Duration, p Program) Program {
	p.Grace = grace
	return p
}

var runStopsTests = map[string]struct {
	program Program
	code    int
	output  string // at the end of all output
}{
	"a program that knows nothing of signals": {
		program: withGrace(longTime, shell("echo ready; sleep 100")),
		code:    143,
	},
	"a program that cleans up": {
		program: withGrace(longTime, shell("trap 'echo clean; exit 5' TERM; echo ready; while :; do sleep 0.01; done")),
		code:    5,
		output:  "clean\n",
	},
	"a program that ends with success all the same": {
		program: withGrace(longTime, shell("trap 'echo done; exit 0' TERM; echo ready; while :; do sleep 0.01; done")),
		code:    0,
		output:  "done\n",
	},
	"a program that ignores the signal": {
		program: withGrace(50*time.Millisecond, helper("deaf")),
		code:    137,
	},
	"a program without grace": {
		program: helper("deaf"),
		code:    137,
	},
	"a negative grace is none": {
		program: withGrace(-time.Hour, helper("deaf")),
		code:    137,
	},
	"a stopped program": {
		program: withGrace(50*time.Millisecond, shell(`
				(until ps -o stat= -p $$ | grep -q T; do sleep 0.01; done; echo ready) &
				kill -STOP $$`)),
		code: 137,
	},
	"a program that counts its signals": {
		program: withGrace(longTime, helper("count")),
		code:    0,
		output:  "signals 1\n",
	},
	"a program that has left its group": {
		program: withGrace(longTime, helper("desert")),
		code:    143,
	},
	"a program that has left its group, without grace": {
		program: helper("desert"),
		code:    137,
	},
}

func TestRunStops(t *testing.T) {

	for name, test := range runStopsTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := runUntil(t, "ready", test.program)
			if test.code == 0 {
				require.NoError(t, err)
			} else if exit, ok := errors.AsType[*ExitError](err); ok && test.program.Grace <= 0 && exit.Code == 143 {
				// SIGTERM came first and was enough.
			} else {
				requireExit(t, test.code, err)
			}
			require.True(t, strings.HasSuffix(out.String(), test.output), "%q", out)
		})
	}
}

func TestRunStopsTheWholeGroup(t *testing.T) {
	p := shell(`
		(trap '' TERM; while :; do sleep 0.01; done) & echo pid $!
		(trap 'exit 0' TERM; while :; do sleep 0.01; done) & echo pid $!
		trap '' TERM
		echo ready
		while :; do sleep 0.01; done`)
	p.Grace = 50 * time.Millisecond
	out, err := runUntil(t, "ready", p)
	requireExit(t, 137, err)
	require.Len(t, out.pids(t), 2)
	for _, pid := range out.pids(t) {
		requireGone(t, pid)
	}
}

func TestRunKillsWhatTheProgramLeaves(t *testing.T) {
	tests := map[string]struct {
		script string
		code   int
	}{
		"children that keep the output open": {
			script: "sleep 1000 & echo pid $!; sleep 1000 & echo pid $!; exit 0",
		},
		"children that ignore signals": {
			script: "(trap '' TERM HUP; sleep 1000; sleep 1000) & echo pid $!; exit 6",
			code:   6,
		},
		"children that have closed the output": {
			script: "sleep 1000 >/dev/null 2>&1 </dev/null & echo pid $!",
		},
		"grandchildren": {
			script: "(sleep 1000 & echo pid $!)",
		},
		"children of a program killed from outside": {
			script: "sleep 1000 & echo pid $!; kill -KILL $$",
			code:   137,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := shell(test.script)
			out := newRecorder("")
			p.Stdout, p.Stderr = out, out
			err := Run(t.Context(), p)
			if test.code == 0 {
				require.NoError(t, err)
			} else {
				requireExit(t, test.code, err)
			}
			require.NotEmpty(t, out.pids(t))
			for _, pid := range out.pids(t) {
				requireGone(t, pid)
			}
		})
	}
}

func TestRunLeavesStraysAlone(t *testing.T) {
	t.Parallel()
	p := helper("escape")
	out := newRecorder("")
	p.Stdout, p.Stderr = out, out
	start := time.Now()
	err := Run(t.Context(), p)
	took := time.Since(start)

	pids := out.pids(t)
	require.Len(t, pids, 1, "%v: %s", err, out)
	defer requireGone(t, pids[0])
	defer syscall.Kill(pids[0], syscall.SIGKILL)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pids[0], 0), "it is none of our business")
	require.Less(t, took, longTime)
}

// A writer slower than the time that strays have must get all there is.
func TestRunSlowWriterGetsAll(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	first := true
	p := shell("i=0; while [ $i -lt 500 ]; do echo line $i of 500 that all must come through; i=$((i+1)); done")
	p.Stdout = writerFunc(func(text []byte) (int, error) {
		if first {
			first = false
			time.Sleep(strayTime * 5 / 4)
		}
		return out.Write(text)
	})
	require.NoError(t, Run(t.Context(), p))
	require.Equal(t, 500, strings.Count(out.String(), "\n"))
}

func TestRunLargeOutput(t *testing.T) {
	t.Parallel()
	const size = 256 << 20
	var out counter
	p := shell(fmt.Sprintf("head -c %d /dev/zero", size))
	p.Stdout = &out
	require.NoError(t, Run(t.Context(), p))
	require.EqualValues(t, size, out.n)
}

func TestRunEndlessOutput(t *testing.T) {
	t.Parallel()
	var out counter
	p := shell("cat /dev/zero & cat /dev/zero >&2")
	p.Stdout, p.Stderr = &out, io.Discard
	p.Grace = longTime
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	requireExit(t, 143, Run(ctx, p))
}

func TestRunWriterFails(t *testing.T) {
	full := errors.New("no space left")
	fail := writerFunc(func([]byte) (int, error) { return 0, full })
	t.Run("an endless program is ended by SIGPIPE", func(t *testing.T) {
		p := Program{Args: []string{"cat", "/dev/zero"}, Stdout: fail}
		err := Run(t.Context(), p)
		requireExit(t, 128+int(syscall.SIGPIPE), err)
		require.ErrorIs(t, err, full)
	})
	t.Run("a program that has succeeded", func(t *testing.T) {
		p := shell("echo hello")
		p.Stderr, p.Stdout = io.Discard, fail
		err := Run(t.Context(), p)
		require.ErrorIs(t, err, full)
		require.EqualError(t, err, `"sh": write stdout: no space left`)
	})
	t.Run("a short write", func(t *testing.T) {
		p := shell("echo hello >&2")
		p.Stderr = writerFunc(func(text []byte) (int, error) { return 1, nil })
		require.ErrorIs(t, Run(t.Context(), p), io.ErrShortWrite)
	})
	t.Run("a deadline of the writer is not ours", func(t *testing.T) {
		p := shell("echo hello")
		p.Stdout = writerFunc(func([]byte) (int, error) { return 0, os.ErrDeadlineExceeded })
		require.ErrorIs(t, Run(t.Context(), p), os.ErrDeadlineExceeded)
	})
}

func TestRunStdin(t *testing.T) {
	t.Run("more than the program reads", func(t *testing.T) {
		var out bytes.Buffer
		p := Program{Args: []string{"head", "-c", "3"}, Stdin: strings.NewReader(strings.Repeat("abc", 1<<20)), Stdout: &out}
		require.NoError(t, Run(t.Context(), p))
		require.Equal(t, "abc", out.String())
	})
	t.Run("a reader that fails", func(t *testing.T) {
		broken := errors.New("broken")
		p := Program{Args: []string{"cat"}, Stdin: io.MultiReader(strings.NewReader("abc"), errReader{broken})}
		err := Run(t.Context(), p)
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, `"cat": read stdin: broken`)
	})
	t.Run("a reader that blocks is left behind", func(t *testing.T) {
		t.Parallel()
		r, w := io.Pipe()
		defer w.Close() // ends the goroutine, as TestMain checks
		p := shell("exit 7")
		p.Stdin = r
		requireExit(t, 7, Run(t.Context(), p))
	})
	t.Run("a stray that does not read", func(t *testing.T) {
		t.Parallel()
		p := helper("escape")
		out := newRecorder("")
		p.Stdin, p.Stdout, p.Stderr = zeros{}, out, out
		require.NoError(t, Run(t.Context(), p))
		require.Len(t, out.pids(t), 1)
		require.NoError(t, syscall.Kill(out.pids(t)[0], syscall.SIGKILL))
		requireGone(t, out.pids(t)[0])
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRunRepeatsPanics(t *testing.T) {
	p := shell("echo hello; exit 3")
	p.Stdout = writerFunc(func([]byte) (int, error) { panic("the writer is broken") })
	defer func() {
		text := fmt.Sprint(recover())
		require.Contains(t, text, "the writer is broken")
		require.Contains(t, text, "proc_test.go", "the stack of the panic")
	}()
	err := Run(t.Context(), p)
	require.Fail(t, "Run returned", "%v", err)
}

func TestRunMany(t *testing.T) {
	t.Parallel()
	results := make(chan error)
	const n = 40
	for i := range n {
		go func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := shell("sleep 1000 & echo pid $$; wait")
			p.Grace = longTime
			p.Stdout = writerFunc(func(text []byte) (int, error) {
				if i%2 == 0 {
					cancel()
				} else {
					var pid int
					_, _ = fmt.Sscanf(string(text), "pid %d", &pid)
					_ = syscall.Kill(pid, syscall.SIGTERM) // from outside
				}
				return len(text), nil
			})
			results <- Run(ctx, p)
		}()
	}
	for range n {
		requireExit(t, 143, <-results)
	}
}

// Cancelling at any moment, around the start and the end, must be safe.
func TestRunCancelAnyTime(t *testing.T) {
	t.Parallel()
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		err := Run(ctx, shell("exit 0"))
		cancel()
		if exit, ok := errors.AsType[*ExitError](err); ok {
			require.Contains(t, []int{137, 143}, exit.Code)
		} else if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if err := Run(b.Context(), Program{Args: []string{"/bin/true"}, Stdout: io.Discard}); err != nil {
			b.Fatal(err)
		}
	}
}
