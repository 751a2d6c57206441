package pod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// A ran is what is known of a job's only attempt after it has ended.
type ran struct {
	batch.AttemptStatus
	log   []string
	marks []string // where further runs begin in it
}

// run runs the pod of a job once, and again in place if it is to.
func run(t *testing.T, m *batchv1.Job, s Settings, change func(*batch.Job)) ran {
	t.Helper()
	validation.Default(m)
	require.Empty(t, validation.Validate(m))
	c, err := batch.New(t.Context(), batch.Options{Logger: nil})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Shutdown(context.WithoutCancel(t.Context()))) }()
	job := batch.Job{
		Name: m.Name, Executor: New(m, s), BackoffLimit: new(0), TerminationGracePeriod: new(time.Second),
		RestartPolicy: string(m.Spec.Template.Spec.RestartPolicy)}
	if change != nil {
		change(&job)
	}
	require.NoError(t, c.Create(t.Context(), job))
	_, err = c.Wait(t.Context(), m.Name)
	if _, failed := errors.AsType[*batch.JobError](err); err != nil && !failed {
		require.NoError(t, err)
	}
	attempts, err := c.Attempts(t.Context(), m.Name)
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	r := ran{AttemptStatus: attempts[0]}
	for line, err := range c.Logs(t.Context(), m.Name, r.Name, -1, false) {
		require.NoError(t, err)
		if container, run, ok := ParseMark(line.Text, r.UID); ok {
			r.marks = append(r.marks, fmt.Sprint(container, " ", run, " after ", len(r.log)))
			continue
		}
		r.log = append(r.log, line.Text)
	}
	return r
}

// job is a job named pi, in namespace math, with a pod of the given lines.
func job(t *testing.T, pod string) *batchv1.Job {
	t.Helper()
	m := &batchv1.Job{}
	m.Name, m.Namespace = "pi", "math"
	m.Spec.Template.Labels = map[string]string{"app": "digits"}
	m.Spec.Template.Annotations = map[string]string{"team": "number theory"}
	require.NoError(t, yaml.UnmarshalStrict([]byte(pod), &m.Spec.Template.Spec))
	if m.Spec.Template.Spec.RestartPolicy == "" {
		m.Spec.Template.Spec.RestartPolicy = "Never"
	}
	return m
}

// shell is a pod with a container that runs a script, and more lines of it.
func shell(script string, more ...string) string {
	var text strings.Builder
	text.WriteString("containers:\n- name: main\n  image: process\n  command: [sh, -c, " + quoted(script) + "]\n")
	for _, line := range more {
		text.WriteString("  " + line + "\n")
	}
	return text.String()
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func exitCode(r ran) int {
	if r.ExitCode == nil {
		return -1
	}
	return *r.ExitCode
}

// processTests are pods of a process. DIR is a directory with a program, tool, and another
// directory, sub.
var processTests = map[string]struct {
	pod      string
	settings Settings
	exit     int
	log      []string
	output   string
}{
	"prints": {pod: shell("echo 3.14"), log: []string{"3.14"}},
	"fails":  {pod: shell("exit 42"), exit: 42},
	"is not there": {
		pod: "containers: [{name: main, image: process, command: [no-such-program]}]", exit: 127,
	},
	"is called nothing": {
		pod: "containers: [{name: main, image: process, command: [$(P)], env: [{name: P, value: ''}]}]", exit: 1,
	},
	"is found in a given path": {
		pod:      "containers: [{name: main, image: process, command: [tool, x]}]",
		settings: Settings{Env: []string{"PATH=DIR:/bin"}}, log: []string{"tool x"},
	},
	"is in the directory": {
		pod: "containers: [{name: main, image: process, command: [./tool, x]}]", settings: Settings{Dir: "DIR"},
		log: []string{"tool x"},
	},
	"has command and args": {
		pod: "containers: [{name: main, image: process, command: [echo, a], args: [b, $(X), $(Y), $$(X)], env: [{name: " +
			"X, value: x y}]}]",
		log: []string{"a b x y $(Y) $(X)"},
	},
	"has an environment": {
		pod: shell("echo $A $B", "env: [{name: A, value: one}, {name: B, value: $(A)-$(C)-two}, {name: C, value: late}]"),
		log: []string{"one one-$(C)-two"},
	},
	"sees settings": {
		pod: shell("echo $A $B", "env: [{name: B, value: mine}]"), settings: Settings{Env: []string{"A=theirs", "B=theirs"}},
		log: []string{"theirs mine"},
	},
	"starts in the directory": {pod: shell("pwd"), settings: Settings{Dir: "DIR"}, log: []string{"DIR"}},
	"starts in its own": {
		pod: shell("pwd", "workingDir: sub"), settings: Settings{Dir: "DIR"}, log: []string{"DIR/sub"},
	},
	"starts somewhere else": {pod: shell("pwd", "workingDir: /"), settings: Settings{Dir: "DIR"}, log: []string{"/"}},
	"starts nowhere":        {pod: shell("pwd", "workingDir: /no/such/directory"), exit: 126},
	"is found in its own path": {
		pod: "containers: [{name: main, image: process, command: [tool, x], env: [{name: PATH, value: DIR:" +
			"/bin:/usr/bin}]}]",
		log: []string{"tool x"},
	},
	"is nowhere in its path": {
		pod:  "containers: [{name: main, image: process, command: [echo, x], env: [{name: PATH, value: '.:/nowhere'}]}]",
		exit: 127,
	},
	"leaves a message": {pod: shell("echo -n done >/dev/termination-log"), output: "done"},
	"leaves one elsewhere": {
		pod:    shell("echo -n done >$MSG", "terminationMessagePath: /my/log", "env: [{name: MSG, value: /my/log}]"),
		output: "done",
	},
	"leaves one and fails": {pod: shell("echo -n sorry >/dev/termination-log; exit 3"), exit: 3, output: "sorry"},
	"removes its message":  {pod: shell("rm /dev/termination-log")},
	"fails and prints":     {pod: shell("echo out; exit 3"), exit: 3, log: []string{"out"}},
	"lets its log speak": {
		pod: shell("echo one; echo two; exit 3", "terminationMessagePolicy: FallbackToLogsOnError"), exit: 3,
		output: "one\ntwo\n",
	},
	"lets its errors speak": {
		pod: shell("echo err >&2; exit 3", "terminationMessagePolicy: FallbackToLogsOnError"), exit: 3, output: "err\n",
	},
	"succeeds without a word": {
		pod: shell("echo out", "terminationMessagePolicy: FallbackToLogsOnError"), log: []string{"out"},
	},
	"prefers its message": {
		pod: shell(
			"echo out; echo -n msg >/dev/termination-log; exit 3", "terminationMessagePolicy: FallbackToLogsOnError",
		),
		exit: 3, log: []string{"out"}, output: "msg",
	},
	"knows who it is": {
		pod: shell(
			"echo $WHERE $IN $L $A $E", "env:", "- {name: WHERE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}",
			"- {name: IN, value: in}", "- {name: L, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}",
			"- {name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.annotations['team']\"}}}",
			"- {name: E, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['none']\"}}}",
		),
		log: []string{"math in digits number theory"},
	},
	"knows its job": {
		pod: shell("echo $J", "env: [{name: J, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['job-name']\"}}}]"),
		log: []string{"pi"},
	},
	"knows its limits": {
		pod: shell(
			"echo $C $M $R", "resources: {limits: {cpu: 1500m, memory: 2049Ki}, requests: {cpu: 250m}}", "env:",
			"- {name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}",
			"- {name: M, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}",
			"- {name: R, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}",
		),
		log: []string{"2 3 250"},
	},
	"does without a secret": {
		pod: shell("echo ${S-unset}", "env: [{name: S, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]"),
		log: []string{"unset"},
	},
	"has a host name": {pod: shell("echo $HOSTNAME") + "hostname: tower\n", log: []string{"tower"}},
}

func TestProcess(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho tool $1\n"), 0o700))
	for name, c := range processTests {
		t.Run(name, func(t *testing.T) {
			inDir := func(text string) string { return strings.ReplaceAll(text, "DIR", dir) }
			settings := Settings{Dir: inDir(c.settings.Dir)}
			for _, variable := range c.settings.Env {
				settings.Env = append(settings.Env, inDir(variable))
			}
			r := run(t, job(t, inDir(c.pod)), settings, nil)
			require.Equal(t, c.exit, exitCode(r), "%v", r.Err)
			if c.log != nil {
				require.Equal(t, inDir(strings.Join(c.log, "\n")), strings.Join(r.log, "\n"))
			}
			require.Equal(t, c.output, r.Output)
		})
	}
}

// A printed is what was printed to it, until it was closed.
type printed struct {
	bytes.Buffer
	closed bool
}

func (p *printed) Close() error { p.closed = true; return nil }

// TestOutput wants all that programs print to go where the settings say, besides
// the log and the termination message.
func TestOutput(t *testing.T) {
	var mu sync.Mutex
	all := make(map[string]*printed)
	output := func(a batch.Attempt, container string) (stdout, stderr io.WriteCloser) {
		mu.Lock()
		defer mu.Unlock()
		if container == "quiet" {
			return nil, nil
		}
		out, err := new(printed), new(printed)
		all[container+" stdout"], all[container+" stderr"] = out, err
		return out, err
	}
	r := run(t, job(t, `
initContainers:
- {name: first, image: process, command: [sh, -c, echo one]}
- {name: quiet, image: process, command: [sh, -c, echo two]}
containers: [{name: main, image: process, terminationMessagePolicy: FallbackToLogsOnError,
  command: [sh, -c, echo -n three; echo four >&2; exit 3]}]`),
		Settings{Output: output}, nil)
	require.Equal(t, 3, exitCode(r))
	require.ElementsMatch(t, []string{"one", "two", "three", "four"}, r.log)
	require.Len(t, r.Output, len("threefour\n"))
	texts := make(map[string]string)
	for name, p := range all {
		require.True(t, p.closed, name)
		texts[name] = p.String()
	}
	require.Equal(
		t, map[string]string{"first stdout": "one\n", "first stderr": "", "main stdout": "three", "main stderr": "four\n"},
		texts,
	)
}

// TestIndex wants the index in the environment of an Indexed job's pod, last,
// and only if it is not there already.
func TestIndex(t *testing.T) {
	indexed := func(j *batch.Job) { j.CompletionMode, j.Completions = batch.Indexed, new(1) }
	for name, c := range map[string]struct{ pod, want string }{
		"by its name":  {pod: shell("echo $JOB_COMPLETION_INDEX $HOSTNAME") + "hostname: ignored\n", want: "0 pi-0"},
		"in arguments": {pod: shell("echo $(JOB_COMPLETION_INDEX)"), want: "0"},
		"not in variables": {
			pod: shell("echo $A", "env: [{name: A, value: <$(JOB_COMPLETION_INDEX)>}]"), want: "<$(JOB_COMPLETION_INDEX)>",
		},
		"overridden": {
			pod: shell("echo $JOB_COMPLETION_INDEX", "env: [{name: JOB_COMPLETION_INDEX, value: mine}]"), want: "mine",
		},
		"as an annotation": {
			pod: shell(
				"echo $I",
				"env: [{name: I, valueFrom: {fieldRef: {fieldPath: "+
					"\"metadata.annotations['batch.kubernetes.io/job-completion-index']\"}}}]",
			),
			want: "0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, []string{c.want}, run(t, job(t, c.pod), Settings{}, indexed).log)
		})
	}
}

// TestVariablesThatStandForTooMuch wants an error, and no memory spent, for
// variables that double each other.
func TestVariablesThatStandForTooMuch(t *testing.T) {
	var text strings.Builder
	text.WriteString(shell("true", "env:", "- {name: A0, value: xxxxxxxxxxxxxxxx}"))
	for i := range 60 {
		text.WriteString(fmt.Sprintf("  - {name: A%d, value: $(A%d)$(A%d)}\n", i+1, i, i))
	}
	r := run(t, job(t, text.String()), Settings{}, nil)
	require.Equal(t, batch.AttemptFailed, r.Phase)
	require.EqualError(t, r.Err, "the container's variables stand for more than 2 MiB in its env, command and args")
}

func TestFunction(t *testing.T) {
	const pod = `
containers:
- name: main
  image: func/report
  command: [one]
  args: [$(A)]
  env: [{name: A, value: two}, {name: A, value: three}, {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]
`
	var got Container
	var uid string
	report := func(_ context.Context, a batch.Attempt, c Container) error {
		got, uid = c, a.UID()
		a.SetOutput("written")
		return nil
	}
	r := run(t, job(t, pod), Settings{Functions: map[string]Function{"report": report}, Env: []string{"NOT=here"}}, nil)
	require.Equal(t, batch.AttemptSucceeded, r.Phase)
	require.Equal(t, "written", r.Output)
	require.Equal(t, Container{Name: "main", Args: []string{"one", "three"}, Env: []string{"A=three", "ME=" + uid}}, got)
	require.Equal(t, "three", got.Getenv("A"))
	require.Empty(t, got.Getenv("B"))
}

// functions are ones that note that they ran, and fail as often as they are told.
func functions(order *[]string, failures map[string]int) Settings {
	note := func(_ context.Context, a batch.Attempt, c Container) error {
		*order = append(*order, c.Name)
		if failures[c.Name] > 0 {
			failures[c.Name]--
			return coded(10 + len(*order))
		}
		a.SetOutput(c.Name)
		return nil
	}
	return Settings{Functions: map[string]Function{"note": note}}
}

type coded int

func (c coded) Error() string { return "failed" }
func (c coded) ExitCode() int { return int(c) }

const threeContainers = `
initContainers:
- {name: first, image: func/note}
- {name: second, image: func/note}
containers:
- {name: main, image: func/note}
`

func TestInitContainers(t *testing.T) {
	for name, c := range map[string]struct {
		policy   string
		failures map[string]int
		order    string
		phase    string
		failed   string // container
		exit     int
		ready    string // message of the condition Initialized
	}{
		"all succeed": {policy: "Never", order: "first second main", phase: batch.AttemptSucceeded},
		"the first fails": {
			policy: "Never", failures: map[string]int{"first": 1}, order: "first", phase: batch.AttemptFailed, failed: "first",
			exit: 11, ready: "containers with incomplete status: [first second]",
		},
		"the second fails": {
			policy: "Never", failures: map[string]int{"second": 1}, order: "first second", phase: batch.AttemptFailed,
			failed: "second", exit: 12, ready: "containers with incomplete status: [second]",
		},
		"the container fails": {
			policy: "Never", failures: map[string]int{"main": 1}, order: "first second main", phase: batch.AttemptFailed,
			failed: "main", exit: 13,
		},
		"the second is tried again": {
			policy: "OnFailure", failures: map[string]int{"second": 1}, order: "first second second main",
			phase: batch.AttemptSucceeded,
		},
		"the container alone is restarted": {
			policy: "OnFailure", failures: map[string]int{"main": 1}, order: "first second main main",
			phase: batch.AttemptSucceeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var order []string
			m := job(t, threeContainers+"restartPolicy: "+c.policy+"\n")
			r := run(t, m, functions(&order, c.failures), func(j *batch.Job) {
				j.BackoffLimit = nil
				j.FailurePolicy = giveUp(c.policy)
			})
			require.Equal(t, c.order, strings.Join(order, " "))
			require.Equal(t, c.phase, r.Phase)
			i := slices.IndexFunc(r.Conditions, func(c batch.Condition) bool { return c.Type == "Initialized" })
			require.GreaterOrEqual(t, i, 0)
			require.Equal(t, c.ready, r.Conditions[i].Message)
			require.Equal(t, c.ready == "", r.Conditions[i].Status == "True")
			if c.failed == "" {
				require.NoError(t, r.Err)
				return
			}
			failed, ok := errors.AsType[*ContainerError](r.Err)
			require.True(t, ok, "%v", r.Err)
			require.Equal(t, c.failed, failed.Container)
			require.Equal(t, c.exit, exitCode(r))
		})
	}
}

// TestMarks wants the log to tell runs apart, also where a program leaves its last
// line without an end.
func TestMarks(t *testing.T) {
	once := `if test -e $F; then echo -n again; else echo -n once; touch $F; exit 1; fi`
	r := run(t, job(t, `
restartPolicy: OnFailure
initContainers:
- {name: first, image: process, command: [sh, -c, echo -n one; echo err >&2]}
containers: [{name: main, image: process,
  env: [{name: F, value: `+filepath.Join(t.TempDir(), "f")+`}], command: [sh, -c, '`+once+`']}]`),
		Settings{}, func(j *batch.Job) { j.BackoffLimit, j.RestartBackoff = nil, batch.ConstantBackoff(0) })
	require.Equal(t, batch.AttemptSucceeded, r.Phase)
	require.ElementsMatch(t, []string{"one", "err"}, r.log[:2])
	require.Equal(t, []string{"once", "again"}, r.log[2:])
	require.Equal(t, []string{"main 0 after 2", "main 1 after 3"}, r.marks)

	plain := run(t, job(t, shell("echo --- container main begins, run 1 of pod x")), Settings{}, nil)
	require.Empty(t, plain.marks, "a pod with one run needs none, and a program cannot make them")
	require.Len(t, plain.log, 1)
}

// TestPanic wants to know which container it was.
func TestPanic(t *testing.T) {
	settings := Settings{Functions: map[string]Function{"note": func(_ context.Context, _ batch.Attempt,
		c Container) error {
		if c.Name == "second" {
			panic("oh")
		}
		return nil
	}}}
	r := run(t, job(t, threeContainers), settings, nil)
	failed, ok := errors.AsType[*ContainerError](r.Err)
	require.True(t, ok)
	require.Equal(t, "second", failed.Container)
	panicked, ok := errors.AsType[*batch.PanicError](r.Err)
	require.True(t, ok)
	require.Contains(t, string(panicked.Stack), "TestPanic")
	require.Equal(t, 2, exitCode(r))
}

// TestLastRun wants each failed run before a restart noted.
func TestLastRun(t *testing.T) {
	var order []string
	m := job(t, "restartPolicy: OnFailure\ncontainers: [{name: main, image: func/note}]\n")
	r := run(t, m, functions(&order, map[string]int{"main": 2}), func(j *batch.Job) {
		j.BackoffLimit, j.RestartBackoff = nil, batch.ConstantBackoff(time.Millisecond)
	})
	require.Len(t, order, 3)
	require.Len(t, r.Conditions, 1)
	c := r.Conditions[0]
	require.Equal(t, RunsCondition, c.Type)
	h := RunsOf(r.Conditions)["main"]
	require.Equal(t, 2, h.Failures)
	require.Equal(t, 12, h.Last.Code)
	require.Equal(t, "failed", h.Last.Message)
	require.GreaterOrEqual(t, h.Last.Started.Sub(r.StartedAt), time.Millisecond)
	require.False(t, h.Begun.Before(h.Last.Finished))
	require.Nil(t, RunsOf([]batch.Condition{{Type: RunsCondition, Message: "nonsense"}}))
}

// giveUp ends a job with its first failed attempt.
func giveUp(policy string) []batch.FailureRule {
	if policy != "Never" {
		return nil
	}
	return []batch.FailureRule{{
		Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{NotIn: []int{0}}}}
}

// TestInitMessage wants the message of an init container that has failed, but
// not of one that has succeeded.
func TestInitMessage(t *testing.T) {
	const pod = `
initContainers:
- name: first
  image: process
  command: [sh, -c, 'echo -n early >/dev/termination-log; exit $CODE']
  env: [{name: CODE, value: "%"}]
`
	good := run(t, job(t, strings.Replace(pod, "%", "0", 1)+shell("true")), Settings{}, nil)
	require.Empty(t, good.Output)
	require.Equal(t, batch.AttemptSucceeded, good.Phase)
	bad := run(t, job(t, strings.Replace(pod, "%", "7", 1)+shell("true")), Settings{}, nil)
	require.Equal(t, "early", bad.Output)
	require.Equal(t, 7, exitCode(bad))
}

// TestStop wants a pod that is asked to stop to end with its process, and no
// further container to start.
func TestStop(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "started")
	pod := `
initContainers:
- {name: first, image: process, command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 0.01; done']}
` + shell("touch "+marker)
	r := run(t, job(t, pod), Settings{}, func(j *batch.Job) { j.AttemptTimeout = new(300 * time.Millisecond) })
	require.Equal(t, batch.AttemptFailed, r.Phase)
	require.Equal(t, batch.ReasonDeadlineExceeded, r.Reason)
	require.NoFileExists(t, marker)
}

// TestMessageOfOddFile wants an answer, and soon, whatever a process has left in
// place of its message.
func TestMessageOfOddFile(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"a directory": {script: "rm /dev/termination-log; mkdir /dev/termination-log", want: "is not a regular file"},
		"a pipe":      {script: "rm /dev/termination-log; mkfifo /dev/termination-log", want: "is not a regular file"},
		"a link":      {script: "ln -sf /dev/zero /dev/termination-log", want: "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, run(t, job(t, shell(c.script)), Settings{}, nil).Output, c.want)
		})
	}
	long := run(t, job(t, shell("head -c 100000 /dev/zero | tr '\\0' x >/dev/termination-log")), Settings{}, nil)
	require.Len(t, long.Output, 4096)
}

// TestManifest wants what the executor was made of, and nobody able to change it.
func TestManifest(t *testing.T) {
	m := job(t, shell("true"))
	p := New(m, Settings{})
	m.Name = "changed"
	p.Manifest().Name = "changed"
	require.Equal(t, "pi", p.Manifest().Name)
}
