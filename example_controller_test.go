package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

	_ = c.Resume(ctx, "rollout") // somebody has approved it
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

// A watcher that was away goes on from the last revision it has seen, and
// misses nothing.
func ExampleController_Watch() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)
	_ = c.Create(ctx, batch.Job{Name: "import", Suspend: true, Executor: doNothing})

	var since uint64 // 0: begin with every job there is
	for change, err := range c.Watch(ctx, since) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(change.Added, change.Status)
		since = change.Status.Revision
		break // the watcher goes away...
	}

	_ = c.Resume(ctx, "import") // ... while the job goes on
	_, _ = c.Wait(ctx, "import")

	for change, err := range c.Watch(ctx, since) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(change.Added, change.Status)
		if change.Status.Finished() {
			break
		}
	}
	// Output:
	// true import: Suspended, 0/1 succeeded, 0 failed
	// false import: Complete, 1/1 succeeded, 0 failed
}

// Attempts stay known after their end, the newest 1000 of a job by default.
func ExampleController_Attempts() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:    "backup",
		Backoff: batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				return exitStatus(75)
			}
			return nil
		}),
	})
	_, _ = c.Wait(ctx, "backup")

	attempts, _ := c.Attempts(context.Background(), "backup")
	for _, attempt := range attempts {
		fmt.Println(attempt.Number, attempt.Phase, *attempt.ExitCode, attempt.Err)
	}
	// Output:
	// 0 Failed 75 exit code 75
	// 1 Succeeded 0 <nil>
}

// The events of a job are those of Kubernetes, letter by letter.
func ExampleController_Events() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:         "backup",
		BackoffLimit: new(1),
		Backoff:      batch.ConstantBackoff(time.Millisecond),
		Executor:     batch.Command{Args: []string{"no-such-program"}},
	})
	_, _ = c.Wait(ctx, "backup")

	events, _ := c.Events(context.Background(), "backup")
	for _, event := range events {
		message, _, _ := strings.Cut(event.Message, ": ") // without the attempt's random name
		fmt.Println(event.Type, event.Reason, message)
	}
	// Output:
	// Normal SuccessfulCreate Created pod
	// Normal SuccessfulCreate Created pod
	// Warning BackoffLimitExceeded Job has reached the specified backoff limit
}

// A followed log ends when the attempt does.
func ExampleController_Logs() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name: "backup",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "12801 files to save")
			fmt.Fprintln(a.Stderr(), "tmp/socket: skipped, not a file")
			fmt.Fprintln(a.Stdout(), "done")
			return nil
		}),
	})
	attempts, _ := c.Attempts(context.Background(), "backup")
	for line, err := range c.Logs(ctx, "backup", attempts[0].Name, batch.LogOptions{Follow: true}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(line.Stream, "|", line.Text)
	}
	// Output:
	// stdout | 12801 files to save
	// stderr | tmp/socket: skipped, not a file
	// stdout | done
}

// Deleting an attempt is for one that is stuck: it counts as failed, and is
// replaced.
func ExampleController_DeleteAttempt() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:    "sync",
		Backoff: batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				<-ctx.Done() // waits for an answer that never comes
			}
			return context.Cause(ctx)
		}),
	})
	attempts, _ := c.Attempts(context.Background(), "sync")
	fmt.Println(c.DeleteAttempt(ctx, "sync", attempts[0].Name))

	fmt.Println(c.Wait(ctx, "sync"))
	attempts, _ = c.Attempts(context.Background(), "sync")
	fmt.Println(attempts[0].Phase, attempts[0].DeletedBy, attempts[0].Err)
	// Output:
	// <nil>
	// sync: Complete, 1/1 succeeded, 1 failed <nil>
	// Failed user batch: deleted
}

func ExampleController_Stack() {
	ctx, cancel := context.WithCancel(context.Background())
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)
	defer cancel() // a hard shutdown

	waits := make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name: "sync",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			close(waits)
			<-ctx.Done() // where does it hang?
			return nil
		}),
	})
	<-waits
	attempts, _ := c.Attempts(context.Background(), "sync")
	stack, err := c.Stack("sync", attempts[0].Name)
	fmt.Println(strings.Contains(stack, "ExampleController_Stack.func1"), err)
	// Output: true <nil>
}

// A test of a job can take an attempt away as a drained node would. This job
// does not count that as a failure.
func ExampleController_Disrupt() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:         "train",
		BackoffLimit: new(0),
		Backoff:      batch.ConstantBackoff(time.Millisecond),
		FailurePolicy: []batch.FailureRule{{
			Action:       batch.ActionIgnore,
			OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}},
		}},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				<-ctx.Done()
			}
			return context.Cause(ctx)
		}),
	})
	attempts, _ := c.Attempts(context.Background(), "train")
	_ = c.Disrupt(ctx, "train", attempts[0].Name, "EvictionByEvictionAPI")

	fmt.Println(c.Wait(ctx, "train"))
	attempts, _ = c.Attempts(context.Background(), "train")
	fmt.Println(attempts[0].Conditions[0].Type, attempts[0].Conditions[0].Reason)
	// Output:
	// train: Complete, 1/1 succeeded, 0 failed <nil>
	// DisruptionTarget EvictionByEvictionAPI
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

// An executor that ignores its context cannot be stopped, and cannot keep
// Shutdown from returning either: the error names the attempts that it left.
func ExampleAbandonedError() {
	c, _ := batch.New(context.Background(), batch.Options{})
	answer, started := make(chan struct{}), make(chan struct{})
	defer close(answer)
	_ = c.Create(context.Background(), batch.Job{
		Name:                   "legacy",
		TerminationGracePeriod: new(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			close(started)
			<-answer // a call without a context
			return nil
		}),
	})
	<-started

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := c.Shutdown(ctx)
	if abandoned, ok := errors.AsType[*batch.AbandonedError](err); ok {
		fmt.Println(len(abandoned.Attempts), "attempt has not returned:", abandoned.Attempts[0][:len("legacy-")]+"...")
	}
	// Output:
	// 1 attempt has not returned: legacy-...
}

// MaxActive is for what all jobs share, such as memory or a database: attempts
// above it are Pending, and jobs take turns.
func ExampleOptions() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{MaxActive: 4})
	defer c.Shutdown(ctx)

	freeze := make(chan struct{})
	for _, name := range []string{"backup", "report"} {
		_ = c.Create(ctx, batch.Job{
			Name:        name,
			Completions: new(3), Parallelism: new(3),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				<-freeze
				return nil
			}),
		})
	}
	for status := range c.All() {
		fmt.Printf("%s: %d active, %d of them pending\n", status.Name, status.Active, status.Pending)
	}
	close(freeze)
	fmt.Println(c.Wait(ctx, "backup"))
	fmt.Println(c.Wait(ctx, "report"))
	// Output:
	// backup: 3 active, 0 of them pending
	// report: 3 active, 2 of them pending
	// backup: Complete, 3/3 succeeded, 0 failed <nil>
	// report: Complete, 3/3 succeeded, 0 failed <nil>
}

func ExampleController_Revision() {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		panic(err)
	}
	since := c.Revision()
	for range c.All() { // list first
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range c.Watch(ctx, since) { // then watch
		fmt.Println(err)
	}
	// Output: context canceled
}
