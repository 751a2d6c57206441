package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	batchv1 "k8s.io/api/batch/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

// runFile runs the jobs of a file to their end, shows what they print, and says
// how they ended. Its error is that of the jobs that did not complete.
func runFile(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	manifests, err := load(o.file, stdin)
	if err != nil {
		return err
	}
	s := newScreen(manifests.Jobs, stdout, stderr)
	jobs, err := makeJobs(manifests, &kube.Runner{Functions: functions(), Commands: true, Output: s.output,
		ConfigMaps: manifests.ConfigMaps, Secrets: manifests.Secrets}, stderr)
	if err != nil {
		return err
	}
	if err := checkJobs(jobs); err != nil {
		return err
	}
	c, end, err := o.newController(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(ctx)) }()
	return runJobs(ctx, c, jobs, s)
}

func load(file string, stdin io.Reader) (kube.Objects, error) {
	manifests, err := read(file, stdin)
	if err == nil && len(manifests.Jobs) == 0 {
		err = fmt.Errorf("there are no Jobs in %s", file)
	}
	complete(manifests.Jobs)
	return manifests, err
}

// complete gives manifests what the API server would.
func complete(manifests []*batchv1.Job) {
	for _, m := range manifests {
		kube.Default(m)
		if m.Name == "" && m.GenerateName != "" {
			m.Name = m.GenerateName + utilrand.String(5)
		}
	}
}

func read(file string, stdin io.Reader) (kube.Objects, error) {
	if file != "-" {
		return kube.Load(file)
	}
	text, err := io.ReadAll(stdin)
	if err != nil {
		return kube.Objects{}, err
	}
	return kube.Decode(text)
}

// makeJobs makes jobs of manifests, all of them or none.
func makeJobs(manifests kube.Objects, runner *kube.Runner, stderr io.Writer) ([]batch.Job, error) {
	var jobs []batch.Job
	var errs []error
	for _, m := range manifests.Jobs {
		job, warnings, err := runner.Job(m)
		for _, warning := range warnings {
			fmt.Fprintf(stderr, "Warning: %s: %s\n", m.Name, warning)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("job %q: %w", m.Name, err))
		}
		jobs = append(jobs, job)
	}
	return jobs, errors.Join(errs...)
}

// checkJobs refuses what could not be run to its end.
func checkJobs(jobs []batch.Job) error {
	var errs []error
	names := make(map[string]bool)
	for _, job := range jobs {
		errs = append(errs, neverEnds(job))
		if names[job.Name] {
			errs = append(errs, fmt.Errorf("job %q is there twice", job.Name))
		}
		names[job.Name] = true
	}
	return errors.Join(errs...)
}

// neverEnds refuses jobs that would wait for somebody who is not there.
func neverEnds(job batch.Job) error {
	switch {
	case job.Suspend:
		return fmt.Errorf("job %q is suspended: nobody would resume it", job.Name)
	case job.ManagedBy != nil && *job.ManagedBy != "kubernetes.io/job-controller":
		return fmt.Errorf("job %q is managed by %s: it would not be run here", job.Name, *job.ManagedBy)
	case job.Parallelism != nil && *job.Parallelism == 0:
		return fmt.Errorf("job %q has parallelism 0: nobody would raise it", job.Name)
	}
	return nil
}

func runJobs(ctx context.Context, c *batch.Controller, jobs []batch.Job, s *screen) error {
	for _, job := range jobs {
		job.TTLAfterFinished = nil // how it ended is still to be told
		done := "created"
		if _, err := c.Get(job.Name); err == nil {
			done = "found in the store"
		}
		if _, err := c.Apply(ctx, job); err != nil {
			return fmt.Errorf("apply job %q: %w", job.Name, err)
		}
		s.say("job.batch/%s %s\n", job.Name, done)
	}
	if err := newFollower(c, jobs, s).follow(ctx); err != nil {
		return err
	}
	return report(ctx, c, jobs, s.stderr)
}

// report shows how the jobs ended. The error is that of those that failed.
func report(ctx context.Context, c *batch.Controller, jobs []batch.Job, w io.Writer) error {
	var statuses []batch.Status
	var failures []error
	for _, job := range jobs {
		status, err := c.Wait(ctx, job.Name)
		statuses = append(statuses, status)
		failures = append(failures, err)
	}
	return cmp.Or(errors.Join(failures...), printTable(w, statuses))
}
