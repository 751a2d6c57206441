package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// The customers of four regions are imported, two regions at once. The import
// of one region fails twice, which is one line in the status and no more.
func Example() {
	regions := []string{"africa", "america", "asia", "europe"}
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "import-customers",
		CompletionMode: batch.Indexed, Completions: new(len(regions)), Parallelism: new(2),
		Backoff: batch.ExponentialBackoff(time.Millisecond, time.Second, 0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if regions[a.Index] == "asia" && a.Number < 2 {
				return errors.New("connection reset")
			}
			return nil // here, import the customers of regions[a.Index]
		}),
	})
	fmt.Println(status, err)
	// Output:
	// import-customers: Complete, 4/4 succeeded, 2 failed <nil>
}

// The zero value of every field but Name and Executor is Kubernetes' default:
// one completion, and up to six failures, with delays from 10 s to 10 min.
func ExampleRun() {
	status, err := batch.Run(context.Background(), batch.Job{
		Name: "nightly-report",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Println("writing the report")
			return ctx.Err()
		}),
	})
	fmt.Println(status.State(), err)
	// Output:
	// writing the report
	// Complete <nil>
}

// When the context of Run ends, so do the job's attempts, within their grace
// period. Run waits for them and returns the cause.
func ExampleRun_cancel() {
	ctx, cancel := context.WithCancelCause(context.Background())
	status, err := batch.Run(ctx, batch.Job{
		Name: "reindex",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			cancel(errors.New("the operator pressed Ctrl-C"))
			<-ctx.Done() // a real executor would look at it between two documents
			return context.Cause(ctx)
		}),
	})
	fmt.Println(err)
	fmt.Println(status.Finished(), status.Failed) // an interrupted attempt does not count
	// Output:
	// batch: job "reindex" has not finished: the operator pressed Ctrl-C
	// false 0
}

// Map is for everyday fan-out: the results come in the order of the items, and
// each item is retried on its own.
func ExampleMap() {
	pages := []string{"home", "about", "contact"}
	job := batch.Job{Name: "render", Parallelism: new(3), Backoff: batch.ConstantBackoff(time.Millisecond)}

	html, err := batch.Map(context.Background(), job, pages,
		func(ctx context.Context, page string) (string, error) {
			if a, _ := batch.AttemptFrom(ctx); page == "about" && a.Number == 0 {
				return "", errors.New("template server is busy")
			}
			return "<h1>" + strings.ToUpper(page) + "</h1>", nil
		})
	fmt.Println(html, err)
	// Output:
	// [<h1>HOME</h1> <h1>ABOUT</h1> <h1>CONTACT</h1>] <nil>
}

// An item that fails for good does not stop the others. Its result is the zero
// value, and the error has its last error.
func ExampleMap_failedItems() {
	sizes, err := batch.Map(context.Background(), batch.Job{Name: "sizes", BackoffLimitPerIndex: new(0)},
		[]string{"a.png", "b.txt", "c.png"},
		func(ctx context.Context, file string) (int, error) {
			if !strings.HasSuffix(file, ".png") {
				return 0, fmt.Errorf("%s: not an image", file)
			}
			return 640, nil
		})
	fmt.Println(sizes)
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		for i, attempt := range failed.Indexes() {
			fmt.Println("item", i, "failed:", attempt.Err)
		}
	}
	// Output:
	// [640 0 640]
	// item 1 failed: b.txt: not an image
}

// A map that was cancelled says which items had succeeded: their results are valid.
func ExampleMap_cancelled() {
	ctx, cancel := context.WithCancel(context.Background())
	results, err := batch.Map(ctx, batch.Job{Name: "thumbnails", Parallelism: new(1)}, []int{10, 20, 30},
		func(ctx context.Context, n int) (int, error) {
			if n == 20 {
				cancel()
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return n * n, nil
		})
	if stopped, ok := errors.AsType[*batch.JobError](err); ok {
		for i := range stopped.Status.CompletedIndexes.All() {
			fmt.Println(i, results[i])
		}
		fmt.Println(stopped)
	}
	// Output:
	// 0 100
	// batch: job "thumbnails" has not finished: context canceled
}

// The errors of indexes that were given up are kept, however many there are.
func ExampleJobError_Indexes() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "shards", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4), BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if a.Index == 2 {
				return errors.New("checksum does not match")
			}
			return nil
		}),
	})
	if failed, ok := errors.AsType[*batch.JobError](err); ok {
		for i, attempt := range failed.Indexes() {
			fmt.Println("shard", i, "failed:", attempt.Err)
		}
	}
	// Output:
	// shard 2 failed: checksum does not match
}
