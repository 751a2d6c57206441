package batch_test

import (
	"context"
	"fmt"
	"log"

	"github.com/runtocompletion/batch"
)

// What is to happen around every attempt is an Executor around another one.
func ExampleOptions_wrap() {
	ctx := context.Background()
	type database struct{ name string }
	type databaseKey struct{}
	c, err := batch.New(ctx, batch.Options{
		BaseContext: context.WithValue(ctx, databaseKey{}, database{"replica"}),
		Wrap: func(next batch.Executor) batch.Executor {
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				fmt.Println("begin", a.Job)
				err := next.Execute(ctx, a)
				fmt.Println("end", a.Job, err)
				return err
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Shutdown(ctx)
	status, err := c.Run(ctx, batch.Job{
		Name: "report",
		Executor: batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
			fmt.Println("reads from the", ctx.Value(databaseKey{}).(database).name)
			return nil
		}),
	})
	fmt.Println(status, err)
	// Output:
	// begin report
	// reads from the replica
	// end report <nil>
	// report: Complete, 1/1 succeeded, 0 failed <nil>
}
