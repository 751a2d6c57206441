package batch_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
)

// A service has one controller for all its jobs, as long as it lives.
func ExampleController() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{MaxActive: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Shutdown(ctx)

	err = c.Create(ctx, batch.Job{
		Name: "nightly-backup",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return nil // here, back up
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := c.Wait(ctx, "nightly-backup")
	fmt.Println(status, err)
	// Output:
	// nightly-backup: Complete, 1/1 succeeded, 0 failed <nil>
}

// doNothing is an executor for examples that are about something else.
var doNothing = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })

// untilStopped is an executor that runs until it is asked to stop.
var untilStopped = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
	<-ctx.Done()
	return context.Cause(ctx)
})

// A name is free again once its job has been deleted.
func ExampleController_Create() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	report := batch.Job{Name: "report", Executor: doNothing}
	fmt.Println(c.Create(ctx, report))
	fmt.Println(errors.Is(c.Create(ctx, report), batch.ErrExists))

	_, _ = c.Wait(ctx, "report")
	fmt.Println(c.Delete(ctx, "report", batch.DeleteBackground))
	fmt.Println(c.Create(ctx, report))
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
}

// The spec is given with its defaults resolved.
func ExampleController_Job() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{Name: "report", Executor: doNothing})
	job, _ := c.Job("report")
	fmt.Println(*job.Completions, *job.Parallelism, job.CompletionMode, job.RestartPolicy, *job.BackoffLimit)
	// Output:
	// 1 1 NonIndexed Never 6
}

func ExampleController_All() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	for _, name := range []string{"report", "backup", "cleanup"} {
		_ = c.Create(ctx, batch.Job{Name: name, Suspend: true, Executor: doNothing})
	}
	for status := range c.All() {
		fmt.Println(status.Name, status.State())
	}
	// Output:
	// backup Suspended
	// cleanup Suspended
	// report Suspended
}

// Wait answers for success and failure alike; the error says which. It carries
// the errors of the failed attempts, for errors.Is and errors.As.
func ExampleController_Wait() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	errLocked := errors.New("database is locked")
	_ = c.Create(ctx, batch.Job{
		Name:         "migrate",
		BackoffLimit: new(1),
		Backoff:      batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return fmt.Errorf("step %d: %w", 7+a.Number, errLocked)
		}),
	})
	status, err := c.Wait(ctx, "migrate")
	fmt.Println(status)
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		fmt.Println(failed.Reason)
		for _, attempt := range failed.Attempts {
			fmt.Println("-", attempt.Err)
		}
	}
	fmt.Println(errors.Is(err, errLocked))
	// Output:
	// migrate: Failed, 0/1 succeeded, 2 failed
	// BackoffLimitExceeded
	// - step 7: database is locked
	// - step 8: database is locked
	// true
}

// Parallelism may change at any time: more attempts start at once, and those
// that are too many are stopped, uncounted.
func ExampleController_Update() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	freeze := make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name:        "reindex",
		Completions: new(6), Parallelism: new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-freeze
			return nil
		}),
	})
	before, _ := c.Get("reindex")
	err := c.Update(ctx, "reindex", func(job *batch.Job) { job.Parallelism = new(5) })
	after, _ := c.Get("reindex")
	fmt.Println(before.Active, after.Active, err)

	// Other fields are for the job's whole life.
	err = c.Update(ctx, "reindex", func(job *batch.Job) { job.Completions = new(7) })
	fmt.Println(err)

	close(freeze)
	fmt.Println(c.Wait(ctx, "reindex"))
	// Output:
	// 2 5 <nil>
	// batch: job "reindex" is invalid: Completions: Invalid value: 7: field is immutable
	// reindex: Complete, 6/6 succeeded, 0 failed <nil>
}

// An Indexed job may grow and shrink while it runs, if its completions change
// together with its parallelism.
func ExampleController_Update_elastic() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	freeze := make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name:           "train",
		CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-freeze
			return nil
		}),
	})
	err := c.Update(ctx, "train", func(job *batch.Job) {
		job.Completions, job.Parallelism = new(4), new(4)
	})
	fmt.Println(err)

	close(freeze)
	status, _ := c.Wait(ctx, "train")
	fmt.Println(status.CompletedIndexes)
	// Output:
	// <nil>
	// 0-3
}

// Suspending a job stops its attempts, uncounted; resuming it starts new ones.
func ExampleController_Suspend() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	stopped := make(chan error)
	_ = c.Create(ctx, batch.Job{
		Name: "reindex",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number > 0 {
				return nil
			}
			<-ctx.Done()
			stopped <- context.Cause(ctx)
			return context.Cause(ctx)
		}),
	})
	_ = c.Suspend(ctx, "reindex")
	fmt.Println("the attempt stops:", <-stopped)
	status, _ := c.Get("reindex")
	fmt.Println(status.State(), status.Failed)

	_ = c.Resume(ctx, "reindex")
	fmt.Println(c.Wait(ctx, "reindex"))
	// Output:
	// the attempt stops: batch: job suspended
	// Suspended 0
	// reindex: Complete, 1/1 succeeded, 0 failed <nil>
}

// A job that is created suspended waits for its time.
func ExampleController_Resume() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{Name: "rollout", Suspend: true, Executor: doNothing})
	status, _ := c.Get("rollout")
	fmt.Println(status.Explain())

	_ = c.Resume(ctx, "rollout") // the rollout was approved
	fmt.Println(c.Wait(ctx, "rollout"))
	// Output:
	// suspended; waits to be resumed
	// rollout: Complete, 1/1 succeeded, 0 failed <nil>
}

// Foreground deletion removes the job when its attempts have ended.
func ExampleController_Delete() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name: "crawl",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-ctx.Done()
			fmt.Println("closing connections:", context.Cause(ctx))
			return context.Cause(ctx)
		}),
	})
	fmt.Println(c.Delete(ctx, "crawl", batch.DeleteForeground))
	_, err := c.Wait(ctx, "crawl")
	fmt.Println(errors.Is(err, batch.ErrDeleted) || errors.Is(err, batch.ErrNotFound))
	// Unordered output:
	// closing connections: batch: deleted
	// <nil>
	// true
}

// Orphan deletion removes the job and lets its attempts run to their end.
func ExampleController_Delete_propagation() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	finish := make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name: "upload",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-finish
			return ctx.Err()
		}),
	})
	_ = c.Delete(ctx, "upload", batch.DeleteOrphan)
	_, err := c.Get("upload")
	fmt.Println(err)

	attempts, _ := c.Attempts(context.Background(), "upload") // known as long as they run
	fmt.Println(attempts[0].Phase)
	close(finish)
	// Output:
	// batch: not found: job "upload"
	// Running
}

// Shutdown lets what runs come to its end, for as long as its context allows,
// and starts nothing new.
func ExampleController_Shutdown() {
	c, _ := batch.New(context.Background(), batch.Options{})
	started := make(chan struct{})
	_ = c.Create(context.Background(), batch.Job{
		Name:        "mailing",
		Completions: new(1000),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				close(started)
			}
			time.Sleep(2 * time.Millisecond) // one letter
			return nil
		}),
	})
	<-started

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(c.Shutdown(ctx))

	status, _ := c.Get("mailing") // jobs can still be read
	fmt.Println(status.Succeeded > 0, status.Failed, status.Active)
	fmt.Println(status.Explain())
	fmt.Println(c.Create(context.Background(), batch.Job{Name: "late", Executor: doNothing}))
	// Output:
	// <nil>
	// true 0 0
	// stopped where it was: the controller is shut down
	// batch: controller is shut down
}
