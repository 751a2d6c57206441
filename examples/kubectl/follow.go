package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// A follower shows what the attempts of jobs print while they run.
type follower struct {
	controller *batch.Controller
	left       map[string]bool      // names of the jobs that have not finished
	retries    map[string]time.Time // by job, the one that was last told of
	known      map[string]bool      // by UID, the attempts whose logs are shown
	prefix     bool                 // lines begin with the attempt's name
	logs       sync.WaitGroup

	mu             sync.Mutex // guards the writers
	stdout, stderr io.Writer
}

func newFollower(c *batch.Controller, jobs []batch.Job, stdout, stderr io.Writer) *follower {
	f := &follower{
		controller: c,
		left:       make(map[string]bool),
		retries:    make(map[string]time.Time),
		known:      make(map[string]bool),
		prefix:     len(jobs) > 1,
		stdout:     stdout,
		stderr:     stderr,
	}
	for _, job := range jobs {
		f.left[job.Name] = true
		f.prefix = f.prefix || valueOr(job.Parallelism, 1) > 1 || valueOr(job.Completions, 1) > 1
	}
	return f
}

func valueOr(n *int, unset int) int {
	if n == nil {
		return unset
	}
	return *n
}

// follow returns when all jobs have finished and all logs are shown, or with an
// error if ctx ends before.
func (f *follower) follow(ctx context.Context) error {
	defer f.logs.Wait()
	for change, err := range f.controller.Watch(ctx, 0) {
		if err != nil {
			return err
		}
		if err := f.see(ctx, change.Status); err != nil {
			return err
		}
		if len(f.left) == 0 {
			break
		}
	}
	return nil
}

// see looks at what has changed in a job.
func (f *follower) see(ctx context.Context, status batch.Status) error {
	attempts, err := f.controller.Attempts(status.Name)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if !f.known[a.UID] {
			f.known[a.UID] = true
			f.logs.Go(func() { f.show(ctx, status.Name, a) })
		}
	}
	if next := status.NextRetry; !next.IsZero() && !next.Equal(f.retries[status.Name]) {
		f.retries[status.Name] = next
		f.say("%s: %s\n", status.Name, status.Explain())
	}
	if status.Finished() {
		delete(f.left, status.Name)
	}
	return nil
}

// show copies the log of an attempt until that has ended.
func (f *follower) show(ctx context.Context, job string, a batch.AttemptStatus) {
	prefix := ""
	if f.prefix {
		prefix = "[pod/" + a.Name + "] "
	}
	for line, err := range f.controller.Logs(ctx, job, a.UID, batch.LogOptions{Follow: true}) {
		if err != nil {
			if ctx.Err() == nil {
				f.say("the log of pod/%s is lost: %v\n", a.Name, err)
			}
			return
		}
		if line.Dropped > 0 {
			f.say("%d lines of pod/%s came too fast and are lost\n", line.Dropped, a.Name)
		}
		f.print(line, prefix)
	}
}

func (f *follower) print(line batch.LogLine, prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.stdout
	if line.Stream == "stderr" {
		w = f.stderr
	}
	fmt.Fprintf(w, "%s%s\n", prefix, line.Text)
}

func (f *follower) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.stderr, format, args...)
}
