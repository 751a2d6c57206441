package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/runtocompletion/batch"
)

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

// What Run does is logged if it has a logger.
func ExampleOptions_Run() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "attempt", "index", "next_try": // other ones each time
				return slog.Attr{}
			}
			return a
		},
	}))
	tries := 0
	status, err := batch.Options{Logger: logger}.Run(context.Background(), batch.Job{
		Name:    "report",
		Backoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			if tries++; tries == 1 {
				return errors.New("no connection")
			}
			return nil
		}),
	})
	fmt.Println(status, err)
	// Output:
	// level=INFO msg="job created" job=report
	// level=WARN msg="attempt failed" restarts=0 error="no connection" job=report
	// level=INFO msg="job finished" condition=Complete reason=CompletionsReached succeeded=1 failed=1 job=report
	// report: Complete, 1/1 succeeded, 1 failed <nil>
}

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
