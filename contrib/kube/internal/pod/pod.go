// Package pod runs the pod template of a Job in this process: containers with a
// command as local processes, containers with an image func/NAME as Go
// functions, init containers one after the other before them.
package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// A Function is what a container with an image func/NAME runs. It is called as
// an [batch.Executor] is.
type Function func(ctx context.Context, a batch.Attempt, c Container) error

// A Container is what a [Function] sees of its container.
type Container struct {
	Name string
	// Args are the container's command and args, expanded.
	Args []string
	// Env are its variables, "NAME=value" each, without those of this process.
	Env []string
}

// Getenv returns the value of a variable of the container, empty if there is none.
func (c Container) Getenv(name string) string { return lookup(c.Env, name) }

// lookup finds the last value of a variable among "NAME=value".
func lookup(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// ProcessImage is the image of a container that is nothing but its command.
const ProcessImage = "process"

// FunctionPrefix is how images that are functions begin.
const FunctionPrefix = "func/"

// Settings are what containers may use here.
type Settings struct {
	Functions map[string]Function
	Values    Values
	Dir       string   // where processes start that do not say where
	Env       []string // added to the environment of processes
	// Output returns where the processes of a container print besides the log;
	// nil writers mean nowhere.
	Output func(a batch.Attempt, container string) (stdout, stderr io.WriteCloser)
}

// A Pod is the [batch.Executor] of a job that was made from a manifest.
type Pod struct{ now atomic.Pointer[template] }

// A template is what the attempts of a pod are made from.
type template struct {
	settings   Settings
	manifest   *batchv1.Job                 // never written
	containers map[string]*corev1.Container // of the manifest
}

// New returns an executor for the template of m, which must be one that can be
// run here and have defaults. It keeps a copy of m and of the settings.
func New(m *batchv1.Job, s Settings) *Pod {
	s.Functions = maps.Clone(s.Functions)
	s.Env = slices.Clone(s.Env)
	p := new(Pod)
	p.set(m, s)
	return p
}

func (p *Pod) set(m *batchv1.Job, s Settings) {
	m = m.DeepCopy()
	p.now.Store(&template{s, m, Containers(&m.Spec.Template.Spec)})
}

// Change gives attempts that begin later another template.
func (p *Pod) Change(m *batchv1.Job) { p.set(m, p.now.Load().settings) }

// Clone returns an executor of its own for the same template.
func (p *Pod) Clone() *Pod {
	t := p.now.Load()
	return New(t.manifest, t.settings)
}

// Manifest returns a copy of the manifest that the executor was made from.
func (p *Pod) Manifest() *batchv1.Job { return p.now.Load().manifest.DeepCopy() }

// Execute runs the init containers that have not succeeded in this attempt, and
// then the container.
func (p *Pod) Execute(ctx context.Context, a batch.Attempt) error {
	return p.now.Load().execute(ctx, a)
}

// A ContainerError is the error of an init container, or of the container of a
// pod that has init containers.
type ContainerError struct {
	Container string // its name
	Err       error
}

// Error names the container.
func (e *ContainerError) Error() string { return fmt.Sprintf("container %s: %v", e.Container, e.Err) }

// Unwrap returns e.Err.
func (e *ContainerError) Unwrap() error { return e.Err }

func (p *template) execute(ctx context.Context, a batch.Attempt) error {
	main := &p.manifest.Spec.Template.Spec.Containers[0]
	if !p.runsOften() {
		return p.run(ctx, a, main)
	}
	runs, err := record(a)
	if err != nil {
		return err
	}
	if err := p.initialize(ctx, a, runs); err != nil {
		return err
	}
	return p.runRecorded(ctx, a, main, runs)
}

// runsOften reports whether an attempt may have several runs of containers.
func (p *template) runsOften() bool {
	spec := &p.manifest.Spec.Template.Spec
	return len(spec.InitContainers) > 0 || spec.RestartPolicy == corev1.RestartPolicyOnFailure
}

// runRecorded runs a container and notes that. After the success of the last one
// there is nobody left who would read it.
func (p *template) runRecorded(ctx context.Context, a batch.Attempt, c *corev1.Container, runs *recorder) error {
	if err := runs.begin(c.Name); err != nil {
		return err
	}
	err := p.runNamed(ctx, a, c)
	if err == nil && c == &p.manifest.Spec.Template.Spec.Containers[0] {
		return nil
	}
	if failed := runs.end(c.Name, err); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// runNamed is run with an error, or a panic, that says which container it was if
// there are several.
func (p *template) runNamed(ctx context.Context, a batch.Attempt, c *corev1.Container) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &batch.PanicError{Value: v, Stack: debug.Stack()}
		}
		if err != nil && len(p.manifest.Spec.Template.Spec.InitContainers) > 0 {
			err = &ContainerError{c.Name, err}
		}
	}()
	return p.run(ctx, a, c)
}

// initialize runs the init containers in order. Those that have succeeded before
// a restart in place are not run again.
func (p *template) initialize(ctx context.Context, a batch.Attempt, runs *recorder) error {
	containers := p.manifest.Spec.Template.Spec.InitContainers
	for i := range containers {
		if runs.done(containers[i].Name) {
			continue
		}
		if err := setInitialized(a, containers[i:]); err != nil {
			return err
		}
		if err := p.runRecorded(ctx, a, &containers[i], runs); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx) // the next container is not to start
		}
	}
	if len(containers) == 0 {
		return nil
	}
	return setInitialized(a, nil)
}

// setInitialized sets the attempt's condition and readiness, as a kubelet does.
func setInitialized(a batch.Attempt, left []corev1.Container) error {
	a.SetReady(len(left) == 0)
	c := batch.Condition{Type: string(corev1.PodInitialized), Status: "True"}
	if len(left) > 0 {
		names := make([]string, len(left))
		for i := range left {
			names[i] = left[i].Name
		}
		c.Status, c.Reason = "False", "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %v", names)
	}
	return a.SetCondition(c)
}

// run runs one container to its end.
func (p *template) run(ctx context.Context, a batch.Attempt, c *corev1.Container) error {
	env := p.environment(a, c)
	args := env.expandAll(slices.Concat(c.Command, c.Args))
	if err := env.check(); err != nil {
		return err
	}
	if name, ok := strings.CutPrefix(c.Image, FunctionPrefix); ok {
		return p.settings.Functions[name](ctx, a, Container{Name: c.Name, Args: args, Env: env.list()})
	}
	return p.runProcess(ctx, a, c, args, env)
}
