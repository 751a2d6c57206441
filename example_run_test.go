package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/runtocompletion/batch"
)

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
