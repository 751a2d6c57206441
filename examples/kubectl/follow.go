package main

import (
	"context"
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
	logs       sync.WaitGroup
	*screen
}

func newFollower(c *batch.Controller, jobs []batch.Job, s *screen) *follower {
	f := &follower{
		controller: c,
		left:       make(map[string]bool),
		retries:    make(map[string]time.Time),
		known:      make(map[string]bool),
		screen:     s,
	}
	for _, job := range jobs {
		f.left[job.Name] = true
	}
	return f
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
	attempts, err := f.controller.Attempts(ctx, status.Name)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if !f.known[a.UID] && !f.printsItself(status.Name) {
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
	prefix := f.prefix(a.Name)
	for line, err := range f.controller.Logs(ctx, job, a.UID, -1, true) {
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
	w := f.stdout
	if line.Stream == "stderr" {
		w = f.stderr
	}
	f.write(w, prefix, []byte(line.Text+"\n"))
}
