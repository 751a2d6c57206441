//go:build unix

package proc

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// longTime is how long a test waits for what must happen: no test waits for it
// to pass.
const longTime = time.Minute

// helperKey is the environment variable that makes the test binary one of the
// programs of helpers.
const helperKey = "PROC_TEST_HELPER"

var helpers = map[string]func(){
	// deaf ignores SIGTERM and does not end by itself.
	"deaf": func() {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(2 * longTime)
	},

	// count prints how many SIGTERM it got until half a second after the first.
	"count": func() {
		c := make(chan os.Signal, 16)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		time.Sleep(time.Second / 2)
		fmt.Println("signals", 1+len(c))
	},

	// escape leaves a process behind that is in a session of its own, keeps
	// stdout and stderr open, and prints to them without end. It prints its pid.
	"escape": func() {
		cmd := helperCommand("babble")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Println("pid", cmd.Process.Pid)
	},
	"babble": func() {
		signal.Ignore(syscall.SIGPIPE, syscall.SIGTERM)
		for range 2 * longTime / time.Millisecond {
			fmt.Println("babble")
			time.Sleep(time.Millisecond)
		}
	},

	// desert joins the group of its parent and waits to be stopped.
	"desert": func() {
		if err := syscall.Setpgid(0, syscall.Getppid()); err != nil {
			group, _ := syscall.Getpgid(syscall.Getppid())
			if err := syscall.Setpgid(0, group); err != nil {
				panic(err)
			}
		}
		fmt.Println("ready")
		time.Sleep(2 * longTime)
	},
}

func helperCommand(name string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperKey+"="+name)
	return cmd
}

// helper returns one of helpers as a Program.
func helper(name string) Program {
	cmd := helperCommand(name)
	return Program{Args: cmd.Args, Env: cmd.Env}
}

// shell returns a Program that runs a script.
func shell(script string, args ...string) Program {
	return Program{Args: append([]string{"sh", "-c", script, "sh"}, args...)}
}

func TestMain(m *testing.M) {
	if run := helpers[os.Getenv(helperKey)]; run != nil {
		run()
		return
	}
	code := m.Run()
	if code == 0 {
		if err := leftovers(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers reports children and goroutines that the tests have left.
func leftovers() error {
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		return fmt.Errorf("a child is left: wait4 returns %d, %v", pid, err)
	}
	var left string
	if eventually(func() bool { left = ourGoroutines(); return left == "" }) {
		return nil
	}
	return fmt.Errorf("goroutines are left:\n%s", left)
}

// ourGoroutines returns the stacks of goroutines other than the caller's that
// run code of this package or of package exec.
func ourGoroutines() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var ours []string
	for i, stack := range strings.Split(string(buf), "\n\n") {
		if i > 0 && (strings.Contains(stack, "internal/proc.") || strings.Contains(stack, "os/exec.")) {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}

// eventually reports whether cond became true within a generous time.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(longTime); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// requireGone fails unless the process ends. A zombie has ended: who takes its
// status is not known to this test.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.True(t, eventually(func() bool {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return true
		}
		state, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
		return len(bytes.TrimSpace(state)) == 0 || state[0] == 'Z'
	}), "process %d is still there", pid)
}

// A recorder is a Writer that keeps all and tells when a word has come.
type recorder struct {
	mu    sync.Mutex // guards the fields below
	text  bytes.Buffer
	word  string
	found chan struct{}
}

func newRecorder(word string) *recorder {
	return &recorder{word: word, found: make(chan struct{})}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := strings.Contains(r.text.String(), r.word)
	r.text.Write(p)
	if !seen && strings.Contains(r.text.String(), r.word) {
		close(r.found)
	}
	return len(p), nil
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// pids returns the numbers in lines of the form "pid 17".
func (r *recorder) pids(t *testing.T) []int {
	t.Helper()
	var pids []int
	for line := range strings.Lines(r.String()) {
		if text, ok := strings.CutPrefix(line, "pid "); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// A counter is a Writer that only counts.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// writerFunc is a function as a Writer; it is not comparable.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
