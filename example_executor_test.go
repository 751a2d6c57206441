package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/runtocompletion/batch"
)

// A dump is an executor with settings of its own: it writes one table.
type dump struct {
	tables []string
	to     io.Writer
}

// Execute is the only method an executor needs.
func (d dump) Execute(ctx context.Context, a batch.Attempt) error {
	_, err := fmt.Fprintf(d.to, "COPY %s;\n", d.tables[a.Index])
	return err
}

func ExampleExecutor() {
	var sql strings.Builder
	tables := []string{"users", "orders", "items"}
	status, err := batch.Run(context.Background(), batch.Job{
		Name:           "dump",
		CompletionMode: batch.Indexed, Completions: new(len(tables)), // one at a time
		Executor: dump{tables, &sql},
	})
	fmt.Print(&sql)
	fmt.Println(status, err)
	// Output:
	// COPY users;
	// COPY orders;
	// COPY items;
	// dump: Complete, 3/3 succeeded, 0 failed <nil>
}

// An executor returns nil for a success and anything else for a failure, and
// stops soon after its context is done.
func ExampleExecutorFunc() {
	backup := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		for file := range 3 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fmt.Println("saving file", file)
		}
		return nil
	})
	status, err := batch.Run(context.Background(), batch.Job{Name: "backup", Executor: backup})
	fmt.Println(status, err)
	// Output:
	// saving file 0
	// saving file 1
	// saving file 2
	// backup: Complete, 1/1 succeeded, 0 failed <nil>
}

// The cause of the cancellation says why an attempt is to stop.
func ExampleExecutorFunc_cause() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name: "crawl",
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			<-ctx.Done()
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, batch.ErrSuspended):
				fmt.Fprintln(a.Stdout(), "suspended: saving the frontier")
			case errors.Is(cause, batch.ErrDeleted):
				fmt.Fprintln(a.Stdout(), "deleted: nothing to save")
			}
			return context.Cause(ctx)
		}),
	})
	attempts, _ := c.Attempts(context.Background(), "crawl")
	_ = c.Suspend(ctx, "crawl")
	for line := range c.Logs(ctx, "crawl", attempts[0].Name, -1, true) {
		fmt.Println(line.Text)
	}
	// Output:
	// suspended: saving the frontier
}

// A farm renders on other machines: a frame waits until one has room for it.
type farm struct{ room chan struct{} }

func (f farm) HoldsPending() bool { return true }

func (f farm) Execute(ctx context.Context, a batch.Attempt) error {
	select {
	case <-f.room:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	a.Started() // from here on it runs, and its timeout counts
	return nil  // a real farm would wait for the frame
}

func ExamplePendingExecutor() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	f := farm{make(chan struct{})}
	_ = c.Create(ctx, batch.Job{Name: "render", Executor: f})
	status, _ := c.Get("render")
	fmt.Println(status.Explain())

	f.room <- struct{}{}
	fmt.Println(c.Wait(ctx, "render"))
	// Output:
	// 1 of 1 slots busy, 1 of them not started yet
	// render: Complete, 1/1 succeeded, 0 failed <nil>
}

// Any error with a method ExitCode has that exit code, wherever it is in the
// chain.
func ExampleExitCode() {
	fmt.Println(batch.ExitCode(nil))
	fmt.Println(batch.ExitCode(errors.New("out of memory")))
	fmt.Println(batch.ExitCode(fmt.Errorf("dump: %w", exitStatus(42))))
	fmt.Println(batch.ExitCode(&batch.PanicError{Value: "index out of range"}))
	// Output:
	// 0
	// 1
	// 42
	// 2
}

// A panic fails the attempt, not the program. Its stack is kept.
func ExamplePanicError() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name:         "parse",
		BackoffLimit: new(0),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			var records []string
			fmt.Println(records[a.Number])
			return nil
		}),
	})
	if panicked, ok := errors.AsType[*batch.PanicError](err); ok {
		fmt.Println(panicked.Value)
		fmt.Println("has a stack:", len(panicked.Stack) > 0)
	}
	// Output:
	// runtime error: index out of range [0] with length 0
	// has a stack: true
}
