package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/kube"
)

// A process is a controller with a store, and a handler for it.
type process struct {
	testing.TB
	controller *batch.Controller
	handler    *kube.Server
	log        *syncBuffer // of the handler
}

// start is a process that ends when the test does, or before. Clients may do
// there what the runner allows.
func start(t testing.TB, store batch.Store, runner *kube.Runner) *process {
	t.Helper()
	c, err := batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	log := new(syncBuffer)
	h := kube.Handler(c, kube.Options{Write: true, Runner: runner, Logger: slog.New(slog.NewTextHandler(log, nil))})
	p := &process{t, c, h, log}
	t.Cleanup(p.end)
	return p
}

func (p *process) end() {
	p.handler.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(p, p.controller.Shutdown(ctx))
}

// logs waits until the handler has logged something.
func (p *process) logs(text string) {
	p.Helper()
	require.Eventually(
		p, func() bool { return strings.Contains(p.log.String(), text) }, 2*time.Minute, time.Millisecond, text,
	)
}

// A syncBuffer is a buffer for several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// send sends a request to the jobs, and returns the job that is the answer.
func (p *process) send(method, path, body string) *batchv1.Job {
	p.Helper()
	r := httptest.NewRequestWithContext(
		p.Context(), method, "http://localhost/apis/batch/v1/namespaces/default/jobs"+path, strings.NewReader(body),
	)
	r.Header.Set(
		"Content-Type", map[string]string{"POST": "application/yaml", "PATCH": "application/merge-patch+json"}[method],
	)
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, r)
	require.Equal(p, 2, rec.Code/100, rec.Body)
	job := new(batchv1.Job)
	require.NoError(p, json.Unmarshal(rec.Body.Bytes(), job))
	return job
}

func (p *process) create(manifest string) { p.send("POST", "", manifest) }

// shown is a job as clients see it, but for its version and its conditions.
func (p *process) shown(name string) *batchv1.Job {
	job := p.send("GET", "/"+name, "")
	job.ResourceVersion, job.Status.Conditions = "", nil
	return job
}

// obstacle is the message of the condition Stalled, as clients see it.
func (p *process) obstacle(name string) string {
	p.Helper()
	for _, c := range p.send("GET", "/"+name, "").Status.Conditions {
		if c.Type == batchv1.JobConditionType(batch.ConditionStalled) {
			return c.Message
		}
	}
	require.Fail(p, "the job is not stalled", name)
	return ""
}

// make makes a job of a manifest, as Go code does.
func (p *process) make(runner *kube.Runner, manifest string) batch.Job {
	p.Helper()
	manifests, err := kube.Decode([]byte(manifest))
	require.NoError(p, err)
	kube.Default(manifests.Jobs[0])
	job, _, err := runner.Job(manifests.Jobs[0])
	require.NoError(p, err)
	return job
}

// complete wants a job to complete.
func (p *process) complete(name string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 2*time.Minute)
	defer cancel()
	status, err := p.controller.Wait(ctx, name)
	require.NoError(p, err, status.Explain())
}

func (p *process) isStalled(name string) bool {
	p.Helper()
	status, err := p.controller.Get(name)
	require.NoError(p, err)
	return status.Is(batch.ConditionStalled)
}

func containerJob(name, container string) string {
	return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name + ", labels: {team: x}}\n" +
		"spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, nodeSelector: {disk: ssd}, " +
		"containers: [" + container + "]}}}\n"
}

// A gate holds the containers of a job that runs its function, or its program,
// until it is opened.
type gate struct{ file string }

func newGate(t testing.TB) gate { return gate{filepath.Join(t.TempDir(), "open")} }

func (g gate) open(t testing.TB) { require.NoError(t, os.WriteFile(g.file, nil, 0o600)) }

func (g gate) function(ctx context.Context, _ batch.Attempt, _ kube.Container) error {
	for {
		if _, err := os.Stat(g.file); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
	}
}

func (g gate) runner(commands bool) *kube.Runner {
	return &kube.Runner{Commands: commands, Functions: map[string]kube.Function{"wait": g.function}}
}

// The containers of jobs that wait at a gate.
func (g gate) asFunction() string { return `{name: c, image: func/wait, args: ["1 < 2"]}` }
func (g gate) asProgram() string {
	return `{name: c, image: process, command: [sh, -c, 'while ! test -e "$GATE"; do sleep 0.01; done'], env: [{name: ` +
		`GATE, value: '` + g.file + `'}]}`
}

var containers = map[string]func(gate) string{"a function": gate.asFunction, "a program": gate.asProgram}

// TestRestart wants the jobs of clients to go on in later processes, and to be
// shown as before.
func TestRestart(t *testing.T) {
	for name, container := range containers {
		t.Run(name, func(t *testing.T) {
			g, store := newGate(t), new(batchtest.MemoryStore)
			first := start(t, store, g.runner(true))
			first.create(containerJob("a", container(g)))
			before := first.shown("a")
			first.end()

			g.open(t)
			second := start(t, store, g.runner(true))
			second.complete("a")
			require.False(t, second.isStalled("a"))
			over := second.shown("a")
			require.Equal(t, before.ObjectMeta, over.ObjectMeta)
			require.Equal(t, before.Spec, over.Spec)
			second.end()

			third := start(t, store, nil) // for what is over, nothing is needed
			require.Equal(t, over, third.shown("a"))
			third.end()
			require.Empty(t, third.log.String())
		})
	}
}

// TestRestartWithoutWhatAJobNeeds wants jobs to wait, and to say what for, until
// there is a process that has it.
func TestRestartWithoutWhatAJobNeeds(t *testing.T) {
	const at = "no executor has been declared with Apply: spec.template.spec.containers[0]."
	for name, c := range map[string]struct {
		container string
		runner    *kube.Runner
		want      string
	}{
		"a program, and programs are not allowed": {
			container: "a program", runner: newGate(t).runner(false),
			want: at + "command: Forbidden: containers may not run programs here",
		},
		"a function that is not there any more": {container: "a function",
			runner: &kube.Runner{Commands: true, Functions: map[string]kube.Function{"other": nil}},
			want:   at + `image: Unsupported value: "func/wait"`},
		"no runner": {container: "a function", want: at + `image: Unsupported value: "func/wait"`},
	} {
		t.Run(name, func(t *testing.T) {
			g, store := newGate(t), new(batchtest.MemoryStore)
			first := start(t, store, g.runner(true))
			first.create(containerJob("a", containers[c.container](g)))
			before := first.shown("a")
			first.end()

			second := start(t, store, c.runner)
			require.Equal(t, c.want, second.obstacle("a"))
			shown := second.shown("a")
			require.Equal(t, before.ObjectMeta, shown.ObjectMeta)
			require.Equal(t, before.Spec, shown.Spec)
			second.logs("level=ERROR msg=\"stored job waits, it cannot be run here\" job=a error=")
			require.True(t, second.isStalled("a"))
			second.end()

			g.open(t)
			start(t, store, g.runner(true)).complete("a")
		})
	}
}

// TestRestartKeepsJobsApart wants the handler to restore what clients have
// created, a runner what runners have made, each by its own rules, and nobody the
// jobs of other code.
func TestRestartKeepsJobsApart(t *testing.T) {
	g, store := newGate(t), new(batchtest.MemoryStore)
	first := start(t, store, g.runner(true))
	first.create(containerJob("client", g.asProgram()))
	made := first.make(g.runner(true), containerJob("made", g.asProgram()))
	made.TTLAfterFinished = new(time.Hour) // which its manifest does not say
	code := batch.Job{Name: "code", Executor: batch.Command{Args: []string{"true"}}, Suspend: true}
	for _, job := range []batch.Job{made, code} {
		require.NoError(t, first.controller.Create(t.Context(), job))
		first.send("PATCH", "/"+job.Name, `{"metadata":{"annotations":{"by":"kubectl"}}}`)
	}
	first.end()

	second := start(t, store, g.runner(false))
	second.logs("job=client error=")
	require.Equal(t, "no executor has been declared with Apply", second.obstacle("made"))
	require.Equal(t, "no executor has been declared with Apply", second.obstacle("code"))
	require.EqualError(t, g.runner(false).Restore(t.Context(), second.controller),
		`kube: restore job "made": spec.template.spec.containers[0].command: Forbidden: containers may not run programs here`)
	require.True(t, second.isStalled("made"))
	require.NoError(t, g.runner(true).Restore(t.Context(), second.controller))
	require.False(t, second.isStalled("made"))
	require.Equal(t, "kubectl", second.shown("made").Annotations["by"])
	require.EqualValues(t, 3600, *second.shown("made").Spec.TTLSecondsAfterFinished)
	require.True(t, second.isStalled("client"), "what Go code may do is not for clients")
	require.True(t, second.isStalled("code"))

	code.Suspend = false
	_, err := second.controller.Apply(t.Context(), code)
	require.NoError(t, err)
	require.Equal(t, "kubectl", second.shown("code").Annotations["by"])
	second.complete("code")
	g.open(t)
	second.complete("made")
	require.NotContains(t, second.log.String(), "job=made")
	require.NotContains(t, second.log.String(), "job=code")
}

// TestArgumentsAreTheInput wants a function to read its parameters from the input of
// its job, in the process in which a client has created it and in the next.
func TestArgumentsAreTheInput(t *testing.T) {
	store := new(batchtest.MemoryStore)
	type scope struct {
		Args []string
		Env  struct{ Day string }
	}
	seen := make(chan scope, 1)
	runner := &kube.Runner{Functions: map[string]kube.Function{
		"report": func(_ context.Context, a batch.Attempt, c kube.Container) error {
			in, err := batch.Input[scope](a)
			require.Equal(t, c.Args, in.Args)
			seen <- in
			return err
		}}}
	manifest := containerJob(
		"a", "{name: main, image: func/report, args: [--day, $(Day)], env: [{name: Day, value: Monday}]}",
	)
	p := start(t, store, runner)
	p.create(manifest)
	p.complete("a")
	want := scope{Args: []string{"--day", "Monday"}}
	want.Env.Day = "Monday"
	require.Equal(t, want, <-seen)
	p.create(strings.Replace(strings.Replace(manifest, "name: a,", "name: b,", 1), "spec: {", "spec: {suspend: true, ", 1))
	p.end()

	p = start(t, store, runner)
	require.NoError(t, p.controller.Resume(t.Context(), "b"))
	p.complete("b")
	require.Equal(t, want, <-seen)
}
