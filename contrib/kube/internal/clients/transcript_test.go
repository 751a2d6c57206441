package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube"
	"github.com/runtocompletion/batch/internal/effort"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata: look at what has changed")

// TestTranscripts types the commands of testdata/*.txt, which are the lines that
// begin with "$ ", and compares all that is printed with what stands there. Each
// file has a server of its own, readonly.txt a read-only one, and cronjob.txt one with
// CronJobs, of which Go code has declared the one called code; in after.txt, Go code has
// declared the jobs greeted and never, which are to start after others; volumes.txt needs a
// system that lets this process mount. Commands are run by sh, with a kubectl in its PATH,
// but for these:
//
//	COMMAND &   run COMMAND until the next "lines", with its watch begun
//	lines N     wait until it has printed N lines that differ from the one
//	            before, stop it, and show them
//	release     let the containers go on that run func/wait
//
// NAME_upto_1.33.txt takes the place of NAME.txt for kubectls up to 1.33.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	programs := kubectls(t)
	t.Setenv("PATH", programs[0].dir+":"+os.Getenv("PATH")) // where containers find perl
	for _, k := range programs {
		t.Run(fmt.Sprintf("1.%d", k.minor), func(t *testing.T) {
			for _, file := range files {
				name := strings.TrimSuffix(filepath.Base(file), ".txt")
				if strings.Contains(name, "_upto_") {
					continue
				}
				t.Run(name, func(t *testing.T) {
					if name == "volumes" {
						needMounts(t)
					}
					t.Parallel()
					replay(t, k, k.transcript(t, name))
				})
			}
		})
	}
}

// needMounts skips a test on systems that let nobody mount.
func needMounts(t *testing.T) {
	asUser := exec.CommandContext(t.Context(), "unshare", "--map-current-user", "--keep-caps", "--mount", "true").Run()
	if asUser != nil {
		effort.Need(t, exec.CommandContext(t.Context(), "unshare", "--mount", "true").Run())
	}
}

// transcript is the file that says what a kubectl should print.
func (k program) transcript(t *testing.T, name string) string {
	others, err := filepath.Glob("testdata/" + name + "_upto_1.*.txt")
	require.NoError(t, err)
	best, file := math.MaxInt, "testdata/"+name+".txt"
	for _, other := range others {
		var upTo int
		_, err := fmt.Sscanf(strings.TrimPrefix(other, "testdata/"+name), "_upto_1.%d.txt", &upTo)
		require.NoError(t, err, other)
		if k.minor <= upTo && upTo < best {
			best, file = upTo, other
		}
	}
	return file
}

// A program is a kubectl.
type program struct {
	minor int    // of its version
	dir   string // has it as "kubectl", and the perl of this binary
}

// oldest is the first minor version that has all that the transcripts use.
const oldest = 31

// kubectls are the one in this binary and, with BATCH_TEST=all, that of this machine if
// there is one.
func kubectls(t *testing.T) []program {
	self, err := os.Executable()
	require.NoError(t, err)
	list := []program{newProgram(t, 37, self, self)}
	if !effort.Full() {
		return list
	}
	installed, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("there is no kubectl on this machine")
		return list
	}
	minor := minorVersion(t, installed)
	if minor < oldest {
		t.Logf("kubectl 1.%d of this machine is too old", minor)
		return list
	}
	return append(list, newProgram(t, minor, installed, self))
}

// minorVersion asks a kubectl for its version.
func minorVersion(t *testing.T, kubectl string) int {
	out, err := exec.CommandContext(t.Context(), kubectl, "version", "--client", "-o", "json").Output()
	require.NoError(t, err)
	var answer struct{ ClientVersion struct{ Minor string } }
	require.NoError(t, json.Unmarshal(out, &answer))
	minor, err := strconv.Atoi(strings.TrimSuffix(answer.ClientVersion.Minor, "+"))
	require.NoError(t, err)
	return minor
}

func newProgram(t *testing.T, minor int, kubectl, perl string) program {
	p := program{minor, t.TempDir()}
	require.NoError(t, os.Symlink(kubectl, filepath.Join(p.dir, "kubectl")))
	require.NoError(t, os.Symlink(perl, filepath.Join(p.dir, "perl")))
	return p
}

// replay types the commands of a file, and compares.
func replay(t *testing.T, k program, file string) {
	want := readFile(t, file)
	term := newTerminal(t, k, filepath.Base(file))
	for line := range strings.Lines(want) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			term.enter(strings.TrimSuffix(command, "\n"))
		} else if strings.HasPrefix(line, "#") {
			term.output.WriteString(line)
		}
	}
	require.Nil(t, term.background, "a command still runs: \"lines\" is missing")
	got := term.output.String()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	require.Equal(t, strings.ReplaceAll(want, "\n$ ", "\n\n$ "), strings.ReplaceAll(got, "\n$ ", "\n\n$ "))
}

// A terminal is where somebody uses kubectl.
type terminal struct {
	*world
	env        []string
	output     bytes.Buffer
	background *background
}

func newTerminal(t *testing.T, k program, file string) *terminal {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	readOnly := strings.HasPrefix(file, "readonly")
	options := kube.Options{Write: !readOnly, Runner: &kube.Runner{Commands: !readOnly}}
	if strings.HasPrefix(file, "cronjob") {
		options.CronJobs, err = cron.New(c, cron.Options{})
		require.NoError(t, err)
		require.NoError(t, options.CronJobs.Create(t.Context(), cron.CronJob{Name: "code", Schedule: "@daily", Suspend: true,
			Job: batch.Job{Executor: nothing}}))
	}
	if strings.HasPrefix(file, "after") {
		for last, first := range map[string]string{"greeted": "hello", "never": "broken"} {
			require.NoError(t, c.Create(t.Context(), batch.Job{Name: last, After: []string{first}, Executor: nothing}))
		}
	}
	w := newWorldOf(t, c, options)
	return &terminal{world: w, env: append(os.Environ(),
		"KUBECONFIG="+w.kubeconfig,
		"HOME="+t.TempDir(),
		"PATH="+k.dir+":"+os.Getenv("PATH"),
		"TZ=UTC",
	)}
}

var nothing = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })

// enter enters a line.
func (t *terminal) enter(line string) {
	fmt.Fprintf(&t.output, "$ %s\n", line)
	command, inBackground := strings.CutSuffix(line, " &")
	word, argument, _ := strings.Cut(line, " ")
	switch {
	case inBackground:
		t.start(command)
	case word == "release":
		t.world.release()
	case word == "lines":
		n, err := strconv.Atoi(argument)
		require.NoError(t, err)
		t.finish(n)
	default:
		t.run(command)
	}
}

func (t *terminal) command(line string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), "sh", "-c", line)
	c.Dir = "testdata"
	c.Env = t.env
	return c
}

// run runs a command to its end.
func (t *terminal) run(line string) {
	var output bytes.Buffer
	c := t.command(line)
	c.Stdout, c.Stderr = &output, &output
	err := c.Run()
	text := normalize(output.String())
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	t.output.WriteString(text)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		fmt.Fprintf(&t.output, "[exit code %d]\n", exit.ExitCode())
		return
	}
	require.NoError(t, err)
}

// A background is a command that does not end by itself.
type background struct {
	command        *exec.Cmd
	stdout, stderr buffer
}

// start starts a command and waits until it watches: it logs that.
func (t *terminal) start(line string) {
	require.Nil(t, t.background, "one command at a time")
	b := &background{command: t.command("exec " + line + " -v=6")}
	b.command.Stdout, b.command.Stderr = &b.stdout, &b.stderr
	require.NoError(t, b.command.Start())
	t.background = b
	t.eventually(func() bool {
		for log := range strings.Lines(b.stderr.String()) {
			if strings.Contains(log, "=true") && strings.Contains(log, "200 OK") {
				return true
			}
		}
		return false
	})
}

// finish waits for lines of the command, and stops it.
func (t *terminal) finish(lines int) {
	b := t.background
	require.NotNil(t, b)
	t.background = nil
	deadline := time.Now().Add(2 * time.Minute)
	for len(changes(b.stdout.String())) < lines && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	require.NoError(t, b.command.Process.Kill())
	_ = b.command.Wait() // it was killed
	t.output.WriteString(strings.Join(changes(b.stdout.String()), ""))
}

// changes are the lines that look different from the one before: how many steps
// of a job's life a watch sees is a matter of time.
func changes(output string) []string {
	return slices.Compact(slices.Collect(strings.Lines(normalize(output))))
}

// A buffer may be written and read at once.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
