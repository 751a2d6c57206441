package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// An Indexed job gives each completion its part of the work.
func ExampleJob() {
	photos := []string{"beach", "forest", "harbour", "island", "lake"}
	thumbnails := make([]string, len(photos))

	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "thumbnails",
		CompletionMode: batch.Indexed,
		Completions:    new(len(photos)),
		Parallelism:    new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			thumbnails[a.Index] = photos[a.Index] + "-small.jpg" // no other attempt has this index
			return nil
		}),
	})
	fmt.Println(strings.Join(thumbnails, " "))
	fmt.Println(status.CompletedIndexes, err)
	// Output:
	// beach-small.jpg forest-small.jpg harbour-small.jpg island-small.jpg lake-small.jpg
	// 0-4 <nil>
}

// Parallelism without completions makes a work queue: the attempts share the
// work among themselves, and the job is complete when one of them has found
// nothing left to do and the others have ended, too.
func ExampleJob_workQueue() {
	queue := make(chan string, 100)
	for n := range 100 {
		queue <- fmt.Sprintf("message %d", n)
	}
	close(queue)

	var sent atomic.Int64
	status, err := batch.Run(context.Background(), batch.Job{
		Name:        "mailing",
		Parallelism: new(3),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			for range queue {
				sent.Add(1)
			}
			return nil
		}),
	})
	fmt.Println(status, err)
	fmt.Println(sent.Load(), "messages")
	// Output:
	// mailing: Complete, 3 succeeded, 0 failed <nil>
	// 100 messages
}

// With limits per index, one bad file neither stops the others nor holds them
// back while it is retried. The job fails in the end, and says which index.
func ExampleJob_perIndexLimits() {
	files := []string{"jan.csv", "feb.csv", "mar.csv", "apr.csv"}
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "import",
		CompletionMode: batch.Indexed, Completions: new(len(files)), Parallelism: new(4),
		BackoffLimitPerIndex: new(1), // each file may fail once
		MaxFailedIndexes:     new(2), // with a third bad file, give up all
		Backoff:              batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if files[a.Index] == "feb.csv" {
				return errors.New("line 1017: unexpected end of file")
			}
			return nil
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason)
	fmt.Println("imported", status.CompletedIndexes, "given up", status.FailedIndexes, "after", status.Failed, "attempts")
	// Output:
	// FailedIndexes
	// imported 0,2,3 given up 1 after 2 attempts
}

// The deadline ends the whole job, whatever it does then, retries included.
func ExampleJob_activeDeadline() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:           "reindex",
		ActiveDeadline: new(5 * time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-ctx.Done() // work that takes too long
			fmt.Println("stopped:", context.Cause(ctx))
			return context.Cause(ctx)
		}),
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason+":", failed.Message)
	// Output:
	// stopped: batch: deadline of the job exceeded
	// DeadlineExceeded: Job was active longer than specified deadline
}

// The timeout ends one attempt, which has then failed like any other.
func ExampleJob_attemptTimeout() {
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "fetch-rates",
		AttemptTimeout: new(20 * time.Millisecond),
		Backoff:        batch.ConstantBackoff(time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number > 0 {
				return nil
			}
			<-ctx.Done() // the server hangs, the first time
			fmt.Println("attempt", a.Number, "stopped:", context.Cause(ctx))
			return context.Cause(ctx)
		}),
	})
	fmt.Println(status, err)
	// Output:
	// attempt 0 stopped: batch: attempt timed out
	// fetch-rates: Complete, 1/1 succeeded, 1 failed <nil>
}

// A finished job is kept, with its attempts and logs, until it is deleted or
// its time to live has passed.
func ExampleJob_timeToLive() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:             "cleanup",
		Suspend:          true,
		TTLAfterFinished: new(time.Millisecond), // an hour is more usual
		Executor:         batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
	})
	status, _ := c.Get("cleanup")
	_ = c.Resume(ctx, "cleanup")
	for change, err := range c.Watch(ctx, status.Revision) {
		if err != nil || change.Deleted {
			fmt.Println("removed when", change.Status.State())
			break
		}
	}
	_, err := c.Get("cleanup")
	fmt.Println(err)
	// Output:
	// removed when Complete
	// batch: not found: job "cleanup"
}

// A report is made when its export is complete. The jobs can be created in any order.
// The upload is not done, as the second export fails.
func ExampleJob_after() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Shutdown(ctx)
	says := func(err error) batch.Executor {
		return batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Println("runs:", a.Job)
			return err
		})
	}
	for _, job := range []batch.Job{
		{Name: "report", After: []string{"customers"}, Executor: says(nil)},
		{Name: "upload", After: []string{"report", "orders"}, Executor: says(nil)},
		{Name: "orders", After: []string{"report"}, BackoffLimit: new(0), Executor: says(errors.New("no such table"))},
	} {
		if err := c.Create(ctx, job); err != nil {
			fmt.Println(err)
		}
	}
	status, _ := c.Get("report")
	fmt.Println(status.Explain())
	if err := c.Create(ctx, batch.Job{Name: "customers", Executor: says(nil)}); err != nil {
		fmt.Println(err)
	}
	_, err = c.Wait(ctx, "upload")
	fmt.Println(err)
	// Output:
	// not started: waits until these are complete: job customers, which does not exist
	// runs: customers
	// runs: report
	// runs: orders
	// batch: job "upload" failed: DependencyFailed: Job orders, after which this one was to start, has failed
}

// An attempt that hangs is stopped, and the next one does its work.
func ExampleJob_progressDeadline() {
	_, err := batch.Run(context.Background(), batch.Job{Name: "copy", ProgressDeadline: 50 * time.Millisecond,
		Backoff: batch.ConstantBackoff(0), Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Number == 0 {
				<-ctx.Done() // hangs
				fmt.Println(context.Cause(ctx))
				return ctx.Err()
			}
			a.Progress(100, 100, "copied")
			return nil
		})})
	fmt.Println(err)
	// Output:
	// batch: attempt made no progress
	// <nil>
}

// All that is wrong with a job is reported at once, and nothing was created.
func ExampleValidationError() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:           "thumbnails",
		CompletionMode: batch.Indexed,
		Parallelism:    new(4),
		BackoffLimit:   new(-1),
		Executor:       batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
	})
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			fmt.Println(field)
		}
	}
	// Output:
	// spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
	// spec.completions: Required value: when completion mode is Indexed
}

// A form that asks for a job's fields can show each error beside its field.
func ExampleFieldError() {
	hints := map[string]string{}
	_, err := batch.Run(context.Background(), batch.Job{Name: "thumbnails", Parallelism: new(-1)})
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			hints[field.Field] = fmt.Sprintf("%s, %s", field.Kind, field.Detail)
		}
	}
	fmt.Println("Workers:", hints["spec.parallelism"])
	fmt.Println("Program:", hints["spec.executor"])
	// Output:
	// Workers: Invalid, must be greater than or equal to 0
	// Program: Required, a job needs something to run
}

func ExampleJob_Validate() {
	job := batch.Job{Name: "Report", Completions: new(-1)}
	fmt.Println(job.Validate() != nil)
	// Output: true
}

// The input belongs to the job. A service that starts again goes on with the list that
// the job was created with, whatever the list is by now.
func ExampleInput() {
	type bills struct {
		Month     string   `json:"month"`
		Customers []string `json:"customers"`
	}
	ctx := context.Background()
	store := new(batchtest.MemoryStore) // contrib/boltstore keeps jobs in a file
	start := func(customers ...string) (*batch.Controller, error) {
		c, err := batch.New(ctx, batch.Options{Store: store})
		if err != nil {
			log.Fatal(err)
		}
		_, err = c.Apply(ctx, batch.Job{
			Name: "bills", Suspend: true,
			Completions: new(len(customers)), CompletionMode: batch.Indexed,
			Input: bills{"2024-05", customers},
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				in, err := batch.Input[bills](a)
				if err == nil {
					fmt.Println("bill for", in.Customers[a.Index], "of", in.Month)
				}
				return err
			}),
		})
		return c, err
	}

	c, _ := start("Ann", "Bo", "Cy")
	c.Shutdown(ctx)

	c, err := start("Bo", "Cy", "Di")
	c.Resume(ctx, "bills")
	fmt.Println(c.Wait(ctx, "bills"))
	fmt.Println(errors.As(err, new(*batch.ValidationError)))
	c.Shutdown(ctx)
	// Output:
	// bill for Ann of 2024-05
	// bill for Bo of 2024-05
	// bill for Cy of 2024-05
	// bills: Complete, 3/3 succeeded, 0 failed <nil>
	// true
}

// What runs can see how its job is labelled.
func ExampleAttempt_Labels() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "report", Labels: map[string]string{"team": "billing"},
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Println("for", a.Labels()["team"])
			return nil
		}),
	})
	fmt.Println(err)
	// Output:
	// for billing
	// <nil>
}
