package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

//go:embed testdata/manifests
var manifests embed.FS

// serve serves a controller with some jobs until ctx ends.
func serve(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, end, err := o.newController(logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(ctx)) }()

	path, remove, err := o.kubeconfigPath()
	if err != nil {
		return err
	}
	defer remove()
	listener, err := kube.Listen(c, kube.Options{
		Write:  true,
		Runner: &kube.Runner{Functions: functions(), Commands: o.commands},
		Logger: logger,
	}, kube.ListenOptions{Addr: o.addr, Kubeconfig: path, Credentials: o.credentials()})
	if err != nil {
		return err
	}
	if err := startJobs(ctx, c, stderr); err != nil {
		return errors.Join(err, listener.Close())
	}
	fmt.Fprintf(stdout, invitation, path)
	return listener.Serve(ctx)
}

// credentials is the file beside the store that lets kubectl in after a restart as
// before; empty if there is no store.
func (o options) credentials() string {
	if o.store == "" {
		return ""
	}
	return o.store + ".credentials"
}

// kubeconfigPath is the file to write for kubectl, and how to remove it.
func (o options) kubeconfigPath() (path string, remove func(), err error) {
	if o.kubeconfig != "" {
		path, err := filepath.Abs(o.kubeconfig)
		return path, func() {}, err
	}
	dir, err := os.MkdirTemp("", "kubectl-")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(dir, "kubeconfig"), func() { os.RemoveAll(dir) }, nil
}

// startJobs applies the jobs that are there from the start.
func startJobs(ctx context.Context, c *batch.Controller, stderr io.Writer) error {
	jobs, err := builtin(stderr)
	if err != nil {
		return err
	}
	for _, job := range append(jobs, greeting()) {
		if _, err := c.Apply(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// builtin makes jobs of the manifests of this program. These may run commands,
// whatever clients may.
func builtin(stderr io.Writer) ([]batch.Job, error) {
	files, err := manifests.ReadDir("testdata/manifests")
	if err != nil {
		return nil, err
	}
	var jobs []batch.Job
	for _, file := range files {
		text, err := manifests.ReadFile("testdata/manifests/" + file.Name())
		if err != nil {
			return nil, err
		}
		decoded, err := kube.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		complete(decoded.Jobs)
		more, err := makeJobs(decoded, &kube.Runner{Functions: functions(), Commands: true}, stderr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		jobs = append(jobs, more...)
	}
	return jobs, nil
}

// greeting is a job that no manifest describes.
func greeting() batch.Job {
	return batch.Job{
		Name:        "greeting",
		Labels:      map[string]string{"app": "greeting"},
		Completions: new(3),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			_, err := fmt.Fprintf(a.Stdout(), "hello from Go, it is %s\n", time.Now().Format(time.TimeOnly))
			return err
		}),
	}
}

// invitation is what is printed when kubectl can be used.
const invitation = `Jobs are being served. In another terminal:

export KUBECONFIG=%s

kubectl get jobs
kubectl describe job pi
kubectl get pods -l job-name=pi
kubectl logs job/pi
kubectl wait --for=condition=Finished --timeout=2m job/flaky
kubectl get pods -l job-name=flaky -o wide
kubectl events --for job/flaky
kubectl logs -f job/count
kubectl patch job count -p '{"spec":{"suspend":true}}'
kubectl create job mine --image=func/pi -- 100
kubectl explain job.spec.backoffLimitPerIndex
kubectl get jobs --watch
kubectl delete job count

Ctrl-C ends the jobs and this program.
`
