//go:build unix

package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// A program runs with the environment that a pod would have, and its output is
// the attempt's log.
func ExampleCommand() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:           "resize",
		CompletionMode: batch.Indexed, Completions: new(2),
		Executor: batch.Command{
			Args: []string{"sh", "-c", `echo "$HOSTNAME resizes photo $JOB_COMPLETION_INDEX to $SIZE"`},
			Env:  []string{"SIZE=640x480"},
		},
	})
	_, _ = c.Wait(ctx, "resize")

	attempts, _ := c.Attempts(context.Background(), "resize")
	for _, attempt := range attempts {
		for line := range c.Logs(ctx, "resize", attempt.Name, -1, false) {
			fmt.Println(line.Text)
		}
	}
	// Output:
	// resize-0 resizes photo 0 to 640x480
	// resize-1 resizes photo 1 to 640x480
}

// The exit code of the program is that of the attempt.
func ExampleCommand_exitCode() {
	_, err := batch.Run(context.Background(), batch.Job{
		Name: "check",
		FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{3}}},
		},
		Executor: batch.Command{Args: []string{"sh", "-c", "exit 3"}},
	})
	failed, _ := errors.AsType[*batch.JobError](err)
	fmt.Println(failed.Reason, "exit code", failed.Attempts[0].ExitCode)
	// Output:
	// PodFailurePolicy exit code 3
}

// A program that is to stop gets SIGTERM, and SIGKILL only when its grace
// period has passed.
func ExampleCommand_gracePeriod() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_ = c.Create(ctx, batch.Job{
		Name:                   "crawl",
		TerminationGracePeriod: new(10 * time.Second),
		Executor: batch.Command{Args: []string{"sh", "-c",
			`trap 'echo "saved the frontier"; exit 0' TERM
			 echo crawling
			 sleep 60 & wait`}},
	})
	attempts, _ := c.Attempts(context.Background(), "crawl")
	for line := range c.Logs(ctx, "crawl", attempts[0].Name, -1, true) {
		fmt.Println(line.Text)
		if line.Text == "crawling" {
			_ = c.Suspend(ctx, "crawl")
		}
	}
	// Output:
	// crawling
	// saved the frontier
}

// Each execution reads its input from the beginning, also after a retry.
func ExampleCommand_stdin() {
	ctx := context.Background()
	c, _ := batch.New(context.Background(), batch.Options{})
	defer c.Shutdown(ctx)

	_, err := c.Run(ctx, batch.Job{
		Name: "sort",
		Executor: batch.Command{
			Args:  []string{"sort"},
			Stdin: func() (io.Reader, error) { return strings.NewReader("pear\napple\n"), nil },
		},
	})
	fmt.Println(err)
	attempts, _ := c.Attempts(context.Background(), "sort")
	for line := range c.Logs(ctx, "sort", attempts[0].Name, -1, false) {
		fmt.Println(line.Text)
	}
	// Output:
	// <nil>
	// apple
	// pear
}
