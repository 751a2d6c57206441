package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
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
			thumbnails[a.Index] = photos[a.Index] + "-small.jpg" // nobody else has this index
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
