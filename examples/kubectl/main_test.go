package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// An outcome is what a run of the program leaves.
type outcome struct {
	stdout, stderr string
	err            error
}

func runProgram(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return outcome{stdout.String(), stderr.String(), err}
}

// manifest is a job that runs a script.
func manifest(name, script, spec string) string {
	return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name + "}\nspec:\n" + spec +
		"  template:\n    spec:\n      restartPolicy: Never\n      containers:\n" +
		"      - {name: main, image: process, command: [sh, -c, '" + script + "']}\n"
}

func TestRunFile_Pi(t *testing.T) {
	if err := exec.Command("perl", "-Mbignum=bpi", "-e", "1").Run(); err != nil {
		effort.Need(t, fmt.Errorf("a perl that has bignum: %w", err))
	}
	o := runProgram(t, "", "-f", "testdata/manifests/pi.yaml")
	require.NoError(t, o.err)
	digits, err := pi(t.Context(), 1001)
	require.NoError(t, err)
	require.Equal(t, digits[:1000], o.stdout[:1000]) // the last digit of perl's is rounded
	require.Len(t, o.stdout, len("3.")+999+len("\n"))
	require.Contains(t, o.stderr, "Warning: pi: spec.template.spec.containers[0].image: image perl:5.34.0 is not pulled")
	require.Contains(t, o.stderr, "job.batch/pi created\n")
	require.Regexp(t, `(?m)^pi +Complete +1/1 +\d+s$`, o.stderr)
}

var runFileTests = map[string]struct {
	stdin  string
	stdout string // a pattern, as the others
	stderr string
	err    string
}{
	"one job prints what its container prints": {
		stdin:  manifest("one", "echo hello; echo careful >&2", ""),
		stdout: `^hello\n$`,
		stderr: `^job.batch/one created\ncareful\nNAME   STATUS     COMPLETIONS   DURATION\none    Complete   1/1        ` +
			`   0s\n$`,
	},
	"several jobs print whose line it is": {
		stdin:  manifest("a", "echo hello", "") + "---\n" + manifest("b", "true", ""),
		stdout: `^\[pod/a-\w{5}\] hello\n$`,
		stderr: `a +Complete +1/1 +0s\nb +Complete +1/1 +0s\n$`,
	},
	"several pods do, too": {
		stdin:  manifest("many", "echo $JOB_COMPLETION_INDEX", "  completions: 2\n  completionMode: Indexed\n"),
		stdout: `^\[pod/many-0-\w{5}\] 0\n\[pod/many-1-\w{5}\] 1\n$`,
		stderr: `many +Complete +2/2 +0s\n$`,
	},
	"a work queue": {
		stdin:  manifest("queue", "true", "  parallelism: 2\n"),
		stdout: `^$`,
		stderr: `queue +Complete +2/1 of 2 +0s\n$`,
	},
	"a failed job is an error": {
		stdin:  manifest("bad", "echo no >&2; exit 3", "  backoffLimit: 0\n") + "---\n" + manifest("good", "true", ""),
		stdout: `^$`,
		stderr: `\[pod/bad-\w{5}\] no\n(.|\n)*bad +Failed +0/1 +0s\ngood +Complete +1/1 +0s\n$`,
		err:    `^batch: job "bad" failed: BackoffLimitExceeded: .* exit code 3`,
	},
	"a generated name": {
		stdin:  strings.Replace(manifest("", "true", ""), "name:", "generateName: night-", 1),
		stdout: `^$`,
		stderr: `^job.batch/night-\w{5} created\n`,
	},
	"a job that would be gone at once": {
		stdin:  manifest("short", "true", "  ttlSecondsAfterFinished: 0\n"),
		stdout: `^$`,
		stderr: `short +Complete`,
	},
	"nothing": {stdin: "", err: `^there are no Jobs in -$`},
	"a typo":  {stdin: manifest("typo", "true", "  paralelism: 2\n"), err: `unknown field "spec.paralelism"`},
	"an invalid job": {
		stdin: manifest("wrong", "true", "  completions: -1\n"), err: `^job "wrong": spec.completions: Invalid value: -1`,
	},
	"an unknown function": {
		stdin: strings.ReplaceAll(manifest("f", "true", ""), "image: process", "image: func/no"), err: `func/no`,
	},
	"two of one name": {
		stdin: manifest("a", "true", "") + "---\n" + manifest("a", "true", ""), err: `^job "a" is there twice$`,
	},
	"a suspended job": {
		stdin: manifest("s", "true", "  suspend: true\n"), err: `^job "s" is suspended: nobody would resume it$`,
	},
	"no parallelism": {
		stdin: manifest("p", "true", "  parallelism: 0\n"), err: `^job "p" has parallelism 0: nobody would raise it$`,
	},
	"another controller": {
		stdin: manifest("m", "true", "  managedBy: example.com/x\n"),
		err:   `^job "m" is managed by example.com/x: it would not be run here$`,
	},
}

func TestRunFile(t *testing.T) {
	for name, c := range runFileTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := runProgram(t, c.stdin, "-f", "-")
			if c.err == "" {
				require.NoError(t, o.err)
			} else {
				require.Error(t, o.err)
				require.Regexp(t, c.err, o.err.Error())
			}
			require.Regexp(t, c.stdout, o.stdout)
			require.Regexp(t, c.stderr, o.stderr)
		})
	}
}

// TestRunFile_PrintsEverything has a job print faster than anybody reads.
func TestRunFile_PrintsEverything(t *testing.T) {
	const lines = 1_000_000
	text := fmt.Sprintf(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"seq"},"spec":{
	"template":{"spec":{"restartPolicy":"Never",
		"containers":[{"name":"c","image":"x","command":["seq","%d"]}]}}}}`, lines)
	var stdout, stderr strings.Builder
	require.NoError(t, run(t.Context(), []string{"-f", "-"}, strings.NewReader(text), &stdout, &stderr))
	require.Equal(t, lines, strings.Count(stdout.String(), "\n"), stderr.String())
}

func TestRunFile_AFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": manifest("b", "echo 2", ""), "a.yml": manifest("a", "echo 1", ""),
		"notes.txt": "no"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	o := runProgram(t, "", "-f", dir)
	require.NoError(t, o.err)
	require.Regexp(t, `^job.batch/a created\njob.batch/b created\n`, o.stderr)

	require.ErrorIs(t, runProgram(t, "", "-f", filepath.Join(dir, "missing.yaml")).err, os.ErrNotExist)
}

// TestRunFile_Interrupted stops a job whose program takes its time to say goodbye.
func TestRunFile_Interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	result := make(chan error, 1)
	script := `trap "echo bye; exit 1" TERM; echo ready; while :; do sleep 0.01; done`
	go func() {
		result <- run(ctx, []string{"-f", "-"}, strings.NewReader(manifest("long", script, "")), &stdout, &stderr)
	}()
	stdout.await(t, "ready")
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.Regexp(t, `^ready\n`, stdout.String())
}

// TestRunFile_GoesOn stops a job after its first index, and starts it again.
func TestRunFile_GoesOn(t *testing.T) {
	dir := t.TempDir()
	script := `echo index $JOB_COMPLETION_INDEX; test $JOB_COMPLETION_INDEX = 0 || while ! test -e ` + dir +
		`/open; do sleep 0.01; done`
	text := manifest("long", script, "  completions: 2\n  completionMode: Indexed\n")
	args := []string{"-f", "-", "-store", filepath.Join(dir, "jobs.db")}

	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	result := make(chan error, 1)
	go func() { result <- run(ctx, args, strings.NewReader(text), &stdout, &stderr) }()
	stdout.await(t, "index 1")
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.Regexp(t, `^\[pod/long-0-\w{5}\] index 0\n\[pod/long-1-\w{5}\] index 1\n$`, stdout.String())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "open"), nil, 0o600))
	o := runProgram(t, text, args...)
	require.NoError(t, o.err)
	require.Regexp(t, `^\[pod/long-1-\w{5}\] index 1\n$`, o.stdout)
	require.Regexp(t, `^job.batch/long found in the store\n(.|\n)*long +Complete +2/2`, o.stderr)

	o = runProgram(t, text, args...)
	require.NoError(t, o.err)
	require.Empty(t, o.stdout, "it is over")
}

// kubectlProgram is the kubectl of this machine, or else the one that the tests of
// contrib/kube have in them.
func kubectlProgram(t *testing.T) string {
	t.Helper()
	if installed, err := exec.LookPath("kubectl"); err == nil {
		return installed
	}
	const tests = "github.com/runtocompletion/batch/contrib/kube/internal/clients"
	built := filepath.Join(t.TempDir(), "kubectl")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", built, tests).CombinedOutput(); err != nil {
		effort.Need(t, fmt.Errorf("a kubectl: %w: %s", err, out))
	}
	return built
}

// TestServe_GoesOn stops the server while a client's job runs, and starts it
// again.
func TestServe_GoesOn(t *testing.T) {
	kubectl := kubectlProgram(t)
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	serveWhile := func(commands ...string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stdout, stderr output
		result := make(chan error, 1)
		go func() {
			result <- run(
				ctx, []string{"-kubeconfig", kubeconfig, "-store", filepath.Join(dir, "jobs.db")}, nil, &stdout, &stderr,
			)
		}()
		stdout.await(t, "Ctrl-C ends")
		for _, c := range commands {
			command := exec.CommandContext(t.Context(), kubectl, strings.Fields(c)...)
			command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+dir)
			out, err := command.CombinedOutput()
			require.NoError(t, err, "%s: %s", c, out)
		}
		cancel()
		require.NoError(t, <-result)
	}
	const running = "wait --for=jsonpath={.status.ready}=1 --timeout=30s job/mine"
	token := func() string {
		text, err := os.ReadFile(kubeconfig)
		require.NoError(t, err)
		return regexp.MustCompile(`"?token"?: "?([\w-]+)`).FindStringSubmatch(string(text))[1]
	}
	serveWhile("create job mine --image=func/count -- 1000", running)
	before := token()
	serveWhile("get jobs")
	require.Equal(t, before, token(), "what clients have is still good")
	serveWhile(running, "delete job mine")
	serveWhile("wait --for=delete --timeout=30s job/mine")
}

func TestServe_AnswersUntilItIsStopped(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	result := make(chan error, 1)
	go func() { result <- run(ctx, []string{"-kubeconfig", kubeconfig}, nil, &stdout, &stderr) }()
	defer func() {
		cancel()
		require.NoError(t, <-result)
	}()
	stdout.await(t, "export KUBECONFIG="+kubeconfig+"\n")
	program := kubectlProgram(t)
	for _, c := range []struct{ command, want string }{
		{
			command: "get jobs -o name",
			want:    `^job.batch/count\njob.batch/digits\njob.batch/flaky\njob.batch/greeting\njob.batch/pi\n$`,
		},
		{command: "wait --for=condition=complete --timeout=30s job/greeting", want: `^job.batch/greeting condition met\n$`},
		{command: "logs -l job-name=greeting", want: `^(hello from Go, it is \d\d:\d\d:\d\d\n){3}$`},
		{command: "create job mine --image=func/pi -- 100", want: `^job.batch/mine created\n$`},
		{command: "create job shell --image=process -- id", want: `spec.template.spec.containers\[0\].command: Forbidden: `},
	} {
		t.Run(c.command, func(t *testing.T) {
			kubectl := exec.CommandContext(t.Context(), program, strings.Fields(c.command)...)
			kubectl.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir())
			out, _ := kubectl.CombinedOutput() // a failure has its own text
			require.Regexp(t, c.want, string(out))
		})
	}
}

func TestServe_RemovesItsOwnKubeconfig(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	result := make(chan error, 1)
	go func() { result <- run(ctx, nil, nil, &stdout, &stderr) }()
	stdout.await(t, "Ctrl-C ends")
	path := regexp.MustCompile(`export KUBECONFIG=(.*)`).FindStringSubmatch(stdout.String())[1]
	require.FileExists(t, path)
	cancel()
	require.NoError(t, <-result)
	require.NoFileExists(t, path)
}

func TestServe_OnlyToThisMachine(t *testing.T) {
	require.ErrorContains(t, runProgram(t, "", "-addr", ":0").err, "AllowRemote is not set")
}

// TestInvitation_IsTrue looks for the things that it names.
func TestInvitation_IsTrue(t *testing.T) {
	jobs, err := builtin(new(output))
	require.NoError(t, err)
	names := map[string]bool{"mine": true, "job": true}
	for _, job := range jobs {
		names[job.Name] = true
	}
	for _, found := range regexp.MustCompile(`\bjobs?[/ ]([a-z]+)`).FindAllStringSubmatch(invitation, -1) {
		if found[1] != "and" {
			require.True(t, names[found[1]], found[0])
		}
	}
}

func TestOptions(t *testing.T) {
	o := runProgram(t, "", "-h")
	require.ErrorIs(t, o.err, flag.ErrHelp)
	require.Contains(t, o.stderr, "kubectl -f FILE")
	require.Contains(t, o.stderr, "let clients create jobs that run programs of this machine")
	require.ErrorContains(t, runProgram(t, "", "get").err, `unexpected argument "get"`)
}

// output may be written and read at once.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(o.String(), text) }, 20*time.Second, time.Millisecond)
}
