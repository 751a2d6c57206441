package batchtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// atOnce lets the examples, which run in real time, retry without a delay.
var atOnce = batch.ConstantBackoff(0)

func Example() {
	// The third attempt succeeds.
	rec := batchtest.Record(batchtest.Script{
		batchtest.Exit(3).Times(2),
		batchtest.Succeed(),
	})
	status, err := batch.Run(context.Background(), batch.Job{Name: "report", Backoff: atOnce, Executor: rec})
	fmt.Println(status, err)
	for _, x := range rec.Executions() {
		fmt.Println(x.Number, x.Err)
	}
	// Output:
	// report: Complete, 1/1 succeeded, 2 failed <nil>
	// 0 exit status 3
	// 1 exit status 3
	// 2 <nil>
}

func ExampleScript() {
	script := batchtest.Script{
		batchtest.Panic("no disk"), // the first attempt
		batchtest.Exit(3).Times(2), // the second and third
		batchtest.Do( // the fourth and all further ones
			batchtest.Take(time.Millisecond),
			batchtest.Fail(errors.New("no space left")),
		),
	}
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "report", BackoffLimit: new(3), Backoff: atOnce, Executor: script,
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason)
	for _, attempt := range failed.Attempts {
		fmt.Println(attempt.ExitCode)
	}
	// Output:
	// BackoffLimitExceeded
	// 2
	// 3
	// 3
	// 1
}

func ExampleByIndex() {
	status, _ := batch.Run(context.Background(), batch.Job{
		Name:        "thumbnails",
		Completions: new(10), Parallelism: new(4), CompletionMode: batch.Indexed,
		BackoffLimitPerIndex: new(1), Backoff: atOnce,
		Executor: batchtest.ByIndex{
			3: {batchtest.Exit(1), batchtest.Succeed()}, // fails once
			7: {batchtest.Exit(1)},                      // fails for good
		},
	})
	fmt.Println("completed", status.CompletedIndexes, "failed", status.FailedIndexes)
	// Output:
	// completed 0-6,8,9 failed 7
}

func ExampleFunc() {
	// This is the code under test: an executor that calls a function...
	var render func(ctx context.Context) error
	nightly := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		if err := render(ctx); err != nil {
			return fmt.Errorf("render: %w", err)
		}
		return nil
	})

	// ... in whose place the test puts a script.
	render = batchtest.Func(batchtest.Script{batchtest.Exit(3), batchtest.Succeed()})
	status, err := batch.Run(context.Background(), batch.Job{Name: "nightly", Backoff: atOnce, Executor: nightly})
	fmt.Println(status, err)
	// Output:
	// nightly: Complete, 1/1 succeeded, 1 failed <nil>
}

func ExampleFunc_map() {
	// The second item fails once.
	flaky := batchtest.Func(batchtest.ByIndex{1: {batchtest.Exit(3), batchtest.Succeed()}})
	measure := func(ctx context.Context, name string) (int, error) { return len(name), flaky(ctx) }

	job := batch.Job{Name: "sizes", Parallelism: new(2), Backoff: atOnce}
	sizes, err := batch.Map(context.Background(), job, []string{"a", "bc", "def"}, measure)
	fmt.Println(sizes, err)
	// Output:
	// [1 2 3] <nil>
}

func ExampleRecord() {
	rec := batchtest.Record(batchtest.Take(10 * time.Millisecond))
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "thumbnails", Completions: new(12), Parallelism: new(4), CompletionMode: batch.Indexed, Executor: rec,
	})
	fmt.Println(err)
	fmt.Println(rec.Len(), "executions, at most", rec.MaxActive(), "at once,", rec.MaxActivePerIndex(), "per index")
	// Output:
	// <nil>
	// 12 executions, at most 4 at once, 1 per index
}

// A printer stands for the *testing.T of a test, and prints its failures.
type printer struct{ testing.TB }

func (printer) Helper()                           {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func ExampleWantExecutions() {
	var t printer // in your tests a *testing.T

	rec := batchtest.Record(batchtest.Script{batchtest.Exit(3), batchtest.Succeed()})
	_, _ = batch.Run(context.Background(), batch.Job{Name: "report", Backoff: atOnce, Executor: rec})
	batchtest.WantExecutions(t, rec.Executions(), `
		index  number  error
		-      0       exit status 3
		-      1       exit status 3
		-      2       -
	`)
	// Output:
	// batchtest.WantExecutions: not as wanted (-want +got):
	//   index  number  error
	//   -      0       exit status 3
	// - -      1       exit status 3
	// - -      2       -
	// + -      1       -
}

func ExampleWantStatus() {
	var t printer // in your tests a *testing.T

	status, _ := batch.Run(context.Background(), batch.Job{
		Name:        "thumbnails",
		Completions: new(10), Parallelism: new(10), CompletionMode: batch.Indexed,
		BackoffLimitPerIndex: new(0),
		Executor:             batchtest.ByIndex{7: {batchtest.Exit(3)}},
	})
	batchtest.WantStatus(t, status, `
		state             Failed
		reason            FailedIndexes
		completedIndexes  0-6,8,9
		failedIndexes     8
	`)
	// Output:
	// batchtest.WantStatus(thumbnails): not as wanted (-want +got):
	//   state             Failed
	//   reason            FailedIndexes
	//   completedIndexes  0-6,8,9
	// - failedIndexes     8
	// + failedIndexes     7
}

func ExampleWantIndexes() {
	var t printer // in your tests a *testing.T

	done, _ := batch.ParseIndexSet("0-6,8,9")
	batchtest.WantIndexes(t, done, "0-9")
	// Output:
	// batchtest.WantIndexes:
	//  got: "0-6,8,9"
	// want: "0-9"
	// missing: 7
}
