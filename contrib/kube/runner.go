package kube

import (
	"context"
	"errors"
	"fmt"
	"io"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// A Runner decides what the containers of manifests may do in this process, and
// makes jobs of manifests. The zero value lets containers do nothing. It may be
// used by several goroutines at once, and is not to be changed then.
type Runner struct {
	// Functions are what containers with the image func/NAME run, by NAME.
	Functions map[string]Function
	// Commands lets containers run programs of this machine, as the user and in
	// the environment of this process. Whoever can create jobs can then do
	// whatever that user can.
	Commands bool
	// ConfigMaps and Secrets are those that the variables of containers may come from,
	// by name, whatever their namespace: of all jobs, those of clients too. They are read
	// when a container starts, and not stored with its job. Of two with one name, the
	// last one counts.
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
	// Dir is where programs start whose container has no workingDir, and what a
	// relative one is relative to. Empty means the directory of this process.
	Dir string
	// Env is added to the environment of programs, "NAME=value"; containers'
	// own variables come on top. Functions do not see it.
	Env []string
	// LogLimit is [batch.Job.LogLimit] of jobs whose manifest does not say it by the
	// annotation kube.runtocompletion.dev/log-limit. Nil means 64 KiB.
	LogLimit *int
	// Output returns where the programs of a container print besides the log of
	// their attempt, which has the last lines only: they wait for these writers.
	// Each is closed when its program has ended. Nil means nowhere, and so does a
	// nil writer. It is called by several goroutines at once.
	Output func(a batch.Attempt, container string) (stdout, stderr io.WriteCloser)
}

// A Function is what a container with an image func/NAME runs. It is called as a
// [batch.Executor] is: what it returns is how the container ends.
//
// The [batch.Job.Input] of its job is {"args": ["…"], "env": {"NAME": "value"}}: command
// and args, and the variables that have the same value in all attempts. So a function
// can read its parameters with [batch.Input] as a type of its own, whoever has created
// the job. Above 1 MiB there is no input, and only the Container has them.
type Function func(ctx context.Context, a batch.Attempt, c Container) error

// A Container is what a [Function] sees of its container.
type Container struct {
	// Name is the container's name in its pod.
	Name string
	// Args are the container's command and args, with references expanded.
	Args []string
	// Env are its variables, "NAME=value", without those of this process.
	Env []string
}

// Getenv returns the value of a variable of the container, empty if there is none.
func (c Container) Getenv(name string) string { return convert.Container(c).Getenv(name) }

// Job returns the job that m, which has its defaults, describes. The error is an
// Aggregate of k8s.io/apimachinery/pkg/util/errors with a *field.Error for each
// thing that is wrong with m or, if nothing is, that it asks for and that cannot
// be had here. The warnings are about what is had in part, or makes no difference
// here.
//
// The job remembers m: [Manifest] shows its pod template again. It may be changed
// like any other job, but for what the API server does not let change. It keeps m
// in an annotation, which is to be left there and which manifests do not show: so
// a store has m, with all variables in it, and [Runner.Restore] finds it in a later
// process.
func (r *Runner) Job(m *batchv1.Job) (job batch.Job, warnings []string, err error) {
	return r.convert().Job(m, convert.FromCode)
}

// Restore lets the jobs go on that Job has made in an earlier process and that c
// has found in its store: it declares them as they are, with containers that do
// what r allows. It returns when that is done. The error names each job that still
// waits, and why: its function is not there any more, for instance, or it needs
// Commands, or the store fails. Nothing happens to these; Restore may be called
// again, with another runner.
//
// Jobs that a service declares itself, by [batch.Controller.Apply], need no
// Restore: it leaves alone what has been declared before. It does not touch the
// jobs that clients have created, which their [Handler] restores. Code that a
// job was given besides its manifest, such as its Backoff, is not restored.
func (r *Runner) Restore(ctx context.Context, c *batch.Controller) error {
	var errs []error
	for _, refusal := range r.convert().Restore(ctx, c, convert.FromCode) {
		errs = append(errs, fmt.Errorf("kube: restore job %q: %w", refusal.Job, refusal.Err))
	}
	return errors.Join(errs...)
}

// convert returns the runner as the packages below know it; nil stays nil.
func (r *Runner) convert() *convert.Runner {
	if r == nil {
		return nil
	}
	functions := make(map[string]convert.Function, len(r.Functions))
	for name, function := range r.Functions {
		if function != nil {
			functions[name] = func(ctx context.Context, a batch.Attempt, c convert.Container) error {
				return function(ctx, a, Container(c))
			}
		}
	}
	return &convert.Runner{Functions: functions, Commands: r.Commands, ConfigMaps: r.ConfigMaps, Secrets: r.Secrets,
		Dir: r.Dir, Env: r.Env, LogLimit: r.LogLimit, Output: r.Output}
}
