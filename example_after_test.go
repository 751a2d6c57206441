package batch_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/runtocompletion/batch"
)

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
