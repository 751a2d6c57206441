package batch_test

import (
	"context"
	"fmt"
	"log"

	"github.com/runtocompletion/batch"
)

// Each index has a result, which its attempt sets. With a Store, results are found again
// after a restart.
func ExampleResults() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)
	type count struct{ Lines, Words int }
	_, err = c.Run(ctx, batch.Job{
		Name: "count", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			return a.SetResult(count{Lines: 10 * a.Index, Words: 100 * a.Index})
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	results, err := batch.Results[count](ctx, c, "count")
	if err != nil {
		log.Fatal(err)
	}
	for index, n := range results {
		fmt.Printf("file %d: %d lines, %d words\n", index, n.Lines, n.Words)
	}
	// Output:
	// file 0: 0 lines, 0 words
	// file 1: 10 lines, 100 words
	// file 2: 20 lines, 200 words
}

// Which indexes have failed, and why, is known of all of them, however many there are.
func ExampleController_Failures() {
	ctx := context.Background()
	c, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)
	files := []string{"a.csv", "b.csv", "c.csv"}
	_, err = c.Run(ctx, batch.Job{
		Name: "import", CompletionMode: batch.Indexed, Completions: new(len(files)), BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			if file := files[a.Index]; file != "b.csv" {
				return fmt.Errorf("%s: no header", file)
			}
			return nil
		}),
	})
	failures, err := c.Failures(ctx, "import")
	if err != nil {
		log.Fatal(err)
	}
	for index, f := range failures {
		fmt.Printf("index %d: exit code %d: %s\n", index, f.ExitCode, f.Message)
	}
	// Output:
	// index 0: exit code 1: a.csv: no header
	// index 2: exit code 1: c.csv: no header
}
