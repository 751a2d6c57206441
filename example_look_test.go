package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

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
	for line, err := range c.Logs(ctx, "backup", attempts[0].Name, -1, true) {
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
