package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch"
)

// Under RestartNever, the default, an attempt that fails is over, and a new one
// takes its place. Under RestartOnFailure the same attempt runs again: it keeps
// its UID, its number and its scratch directory.
func ExampleJob_restartPolicy() {
	var uid string
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "warm-cache",
		RestartPolicy:  batch.RestartOnFailure,
		RestartBackoff: batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Restarts == 0 {
				uid = a.UID()
			}
			fmt.Println("attempt", a.Number, "restart", a.Restarts, "same UID:", a.UID() == uid)
			if a.Restarts < 2 {
				return errors.New("cache is not reachable")
			}
			return nil
		}),
	})
	fmt.Println(status, err) // restarts are not failed attempts
	// Output:
	// attempt 0 restart 0 same UID: true
	// attempt 0 restart 1 same UID: true
	// attempt 0 restart 2 same UID: true
	// warm-cache: Complete, 1/1 succeeded, 0 failed <nil>
}

// An exitStatus is an error with an exit code of its own.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitStatus) ExitCode() int { return int(e) }

// Rules say what a failure means: exit code 42 is a bug, which no retry will
// mend; 75 is a temporary failure elsewhere, which shall not count; and
// what is forbidden stays so.
func ExampleFailureRule() {
	codes := []exitStatus{75, 75, 1, 42}
	status, err := batch.Run(context.Background(), batch.Job{
		Name:         "migrate",
		BackoffLimit: new(1),
		Backoff:      batch.ConstantBackoff(time.Millisecond),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{42}}},
			{Action: batch.ActionIgnore, OnExitCodes: &batch.ExitCodes{In: []int{75}}},
			{Action: batch.ActionFailJob, OnError: batch.ErrorIs(fs.ErrPermission)},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return codes[a.Number]
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason)
	fmt.Println(status.Failed, "of", len(codes), "failures counted")
	// Output:
	// PodFailurePolicy
	// 2 of 4 failures counted
}

// Conditions tell a disruption, which the work did not cause, from a failure.
func ExampleFailureRule_conditions() {
	status, err := batch.Run(context.Background(), batch.Job{
		Name:         "train",
		BackoffLimit: new(0), // no failure is tolerated...
		Backoff:      batch.ConstantBackoff(time.Millisecond),
		FailurePolicy: []batch.FailureRule{{
			Action:       batch.ActionIgnore, // ... but a disruption is none
			OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}},
		}},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number > 0 {
				return nil
			}
			// The machine that does the work has been taken away.
			if err := a.SetCondition(batch.Condition{
				Type: batch.ConditionDisruptionTarget, Status: "True", Reason: "SpotInstanceReclaimed",
			}); err != nil {
				return err
			}
			return errors.New("connection to the machine lost")
		}),
	})
	fmt.Println(status, err)
	// Output:
	// train: Complete, 1/1 succeeded, 0 failed <nil>
}

// With FailIndex a rule gives up one index, without retries, and not the job.
func ExampleFailureRule_failIndex() {
	files := []string{"ok.csv", "gone.csv", "fine.csv"}
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:           "import",
		CompletionMode: batch.Indexed, Completions: new(len(files)),
		BackoffLimitPerIndex: new(5),
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailIndex, OnError: batch.ErrorIs(fs.ErrNotExist)},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if files[a.Index] == "gone.csv" {
				return &fs.PathError{Op: "open", Path: "gone.csv", Err: fs.ErrNotExist}
			}
			return nil
		}),
	})
	fmt.Println("imported", status.CompletedIndexes, "given up", status.FailedIndexes, "after", status.Failed, "failure")
	// Output:
	// imported 0,2 given up 1 after 1 failure
}

// Any predicate of the error makes a rule; ErrorIs and ErrorAs make the usual
// ones.
func ExampleErrorIs() {
	errNoSales := errors.New("no sales on that day")
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "daily-report",
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errNoSales)},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return fmt.Errorf("report of 1 January: %w", errNoSales)
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason, len(failed.Attempts), errors.Is(err, errNoSales))
	// Output:
	// PodFailurePolicy 1 true
}

// A missing file fails the job at once; any other failure is retried.
func ExampleErrorAs() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "restore",
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnError: batch.ErrorAs[*fs.PathError]()},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			_, err := os.ReadFile("no/such/archive.tar.gz")
			return err
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason, "after", len(failed.Attempts), "attempt")
	// Output:
	// PodFailurePolicy after 1 attempt
}

// An executor that knows that no retry will help says so itself.
func ExamplePermanent() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "charge-card",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return batch.Permanent(errors.New("card expired"))
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason, "after", len(failed.Attempts), "attempt:", failed.Attempts[0].Err)
	// Output:
	// PodFailurePolicy after 1 attempt: card expired
}

// Index 0 is the leader: when it has succeeded the job has, and the others are
// stopped, uncounted.
func ExampleSuccessRule_leader() {
	leader, err := batch.ParseIndexSet("0")
	if err != nil {
		log.Fatal(err)
	}
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "simulation",
		CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
		SuccessPolicy: []batch.SuccessRule{
			{SucceededIndexes: &leader},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 0 {
				return nil
			}
			<-ctx.Done() // workers serve the leader until they are stopped
			return context.Cause(ctx)
		}),
	})
	done, _ := status.Condition(batch.ConditionComplete)
	fmt.Println(status, err)
	fmt.Println(done.Reason+":", done.Message)
	// Output:
	// simulation: Complete, 1/4 succeeded, 0 failed <nil>
	// SuccessPolicy: Matched rules at index 0
}

// Two of three replicas are enough, whichever they are.
func ExampleSuccessRule() {
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:           "replicate",
		CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
		SuccessPolicy: []batch.SuccessRule{
			{SucceededCount: new(2)},
		},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 1 {
				<-ctx.Done() // this replica does not answer
			}
			return context.Cause(ctx)
		}),
	})
	fmt.Println(status.State(), status.CompletedIndexes)
	// Output:
	// Complete 0,2
}

// Under ReplaceFailed there is never a second writer: an attempt that was asked
// to stop keeps its place until it has ended.
func ExampleJob_replacementPolicy() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	flushed := make(chan struct{})
	_ = c.Create(ctx, batch.Job{
		Name:              "compact-table",
		ReplacementPolicy: batch.ReplaceFailed,
		Backoff:           batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number > 0 {
				return nil
			}
			<-ctx.Done()
			<-flushed // what is half done is brought to an end
			return context.Cause(ctx)
		}),
	})
	attempts, _ := c.Attempts(context.Background(), "compact-table")
	_ = c.DeleteAttempt(ctx, "compact-table", attempts[0].Name)

	status, _ := c.Get("compact-table")
	fmt.Println("active", status.Active, "terminating", status.Terminating)
	fmt.Println(status.Explain())

	close(flushed)
	fmt.Println(c.Wait(ctx, "compact-table"))
	// Output:
	// active 0 terminating 1
	// waits for 1 attempt to stop before it goes on
	// compact-table: Complete, 1/1 succeeded, 1 failed <nil>
}

// Any back-off of github.com/cenkalti/backoff/v4 fits. One that stops ends the
// retries before BackoffLimit does.
func ExampleBackoff() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "publish",
		Backoff: batch.BackoffFunc(func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Millisecond), 2)
		}),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			return errors.New("broker is down")
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason, "after", len(failed.Attempts), "attempts")
	// Output:
	// BackoffLimitExceeded after 3 attempts
}

// A constant delay of 0 retries at once.
func ExampleConstantBackoff() {
	delays := batch.ConstantBackoff(50 * time.Millisecond).BackOff()
	for range 3 {
		fmt.Println(delays.NextBackOff())
	}
	// Output:
	// 50ms
	// 50ms
	// 50ms
}

// These are the delays of a job without a back-off of its own.
func ExampleExponentialBackoff() {
	delays := batch.ExponentialBackoff(10*time.Second, 10*time.Minute, 0).BackOff()
	for range 8 {
		fmt.Print(delays.NextBackOff(), " ")
	}
	// Output:
	// 10s 20s 40s 1m20s 2m40s 5m20s 10m0s 10m0s
}

// A server that says when to come back is believed.
func ExampleRetryAfter() {
	start := time.Now()
	_, err := batch.Run(context.Background(), batch.Job{Name: "fetch", Backoff: batch.ConstantBackoff(time.Hour),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				return batch.RetryAfter(errors.New("429 Too Many Requests"), 20*time.Millisecond)
			}
			return nil
		})})
	fmt.Println(err, time.Since(start) < time.Hour)
	// Output: <nil> true
}

// What is not there yet is no failure: even a job that may not fail waits for it.
func ExampleSnooze() {
	status, err := batch.Run(context.Background(), batch.Job{Name: "report", BackoffLimit: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Number < 3 {
				return batch.Snooze(errors.New("the figures are not there yet"), time.Millisecond)
			}
			return nil
		})})
	fmt.Println(status.State(), status.Failed, err)
	// Output: Complete 0 <nil>
}
