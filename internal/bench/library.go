package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/runtocompletion/batch"
)

// A library is a way to do work with package batch.
type library struct {
	indexed  bool
	perIndex bool // with a back-off limit for each index
	history  *int // see batch.Job.History
	watched  bool // by a goroutine that takes every change
	polled   bool // by a goroutine that asks for the status all the time
	spinners int  // goroutines that take time and have nothing to do with the job
}

// errUnfinished reports a job that did less than it should have.
var errUnfinished = errors.New("the job has not done its work")

// job makes work a job.
func (l library) job(w *work) batch.Job {
	job := batch.Job{
		Name: "work", Completions: &w.n, Parallelism: &w.p, History: l.history,
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return w.do() }),
	}
	if w.fails > 0 {
		job.Backoff = batch.ConstantBackoff(0)
		job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error { return w.try(a.Number) })
	}
	if l.indexed {
		job.CompletionMode = batch.Indexed
	}
	if l.perIndex {
		job.BackoffLimitPerIndex = new(max(1, w.fails))
	}
	return job
}

// run does work, and lets those who look on do so.
func (l library) run(w *work) error {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	l.lookOn(ctx, c, &others)
	if err := c.Create(ctx, l.job(w)); err != nil {
		return err
	}
	status, err := c.Wait(ctx, "work")
	if err == nil && (status.Succeeded != w.n || status.Failed != w.n*w.fails) {
		err = fmt.Errorf("%w: %v", errUnfinished, status)
	}
	return errors.Join(err, c.Shutdown(ctx))
}

// lookOn starts the goroutines that do something beside the job.
func (l library) lookOn(ctx context.Context, c *batch.Controller, others *sync.WaitGroup) {
	if l.watched {
		others.Go(func() {
			for range c.Watch(ctx, 0) {
			}
		})
	}
	if l.polled {
		others.Go(func() {
			for ctx.Err() == nil {
				c.Get("work")
			}
		})
	}
	for range l.spinners {
		others.Go(func() {
			for ctx.Err() == nil {
				spin(100)
				runtime.KeepAlive(c)
			}
		})
	}
}
