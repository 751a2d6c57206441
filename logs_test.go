package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestLogsWhoseContextHasEnded wants its cause, not a log that seems to be whole.
func TestLogsWhoseContextHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		_, err := c.Run(t.Context(), batch.Job{Name: "j",
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				for i := range 3 {
					fmt.Fprintln(a.Stdout(), i)
				}
				return nil
			})})
		require.NoError(t, err)
		for _, follow := range []bool{false, true} {
			for end := range 4 {
				ctx, cancel := context.WithCancelCause(t.Context())
				var lines int
				var last error
				if end == 0 {
					cancel(errCause)
				}
				for _, err := range c.Logs(ctx, "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{Follow: follow}) {
					if last = err; err != nil {
						break
					}
					if lines++; lines == end {
						cancel(errCause)
					}
				}
				cancel(nil)
				require.True(t, errors.Is(last, errCause) || follow && end == 3, "follow %v, end %d: %v", follow, end, last)
			}
		}
	})
}
