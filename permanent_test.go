package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	backofftest "github.com/runtocompletion/batch/internal/backofftest"
)

// TestPermanentOfAnotherJob wants what made a nested job fail, or had failed when it
// was cancelled, not to be said by the outer executor, and an error of any package
// backoff to be.
func TestPermanentOfAnotherJob(t *testing.T) {
	nested := func(ctx context.Context) error {
		_, err := batch.Run(ctx, batch.Job{Name: "inner", Executor: fails(batch.Permanent(errDisk))})
		return err
	}
	cancelled := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errCause)
		defer cancel()
		job := batch.Job{Name: "inner", FailurePolicy: []batch.FailureRule{{Action: batch.ActionIgnore,
			OnError: batch.ErrorIs(errDisk)}},
			Executor: fails(batch.Permanent(errDisk))}
		_, err := batch.Run(ctx, job)
		return err
	}
	tests := map[string]struct {
		f    func(context.Context) error
		want int
	}{
		"a nested job has failed":    {nested, 3},
		"with text":                  {func(ctx context.Context) error { return fmt.Errorf("inner: %w", nested(ctx)) }, 3},
		"a nested job was cancelled": {cancelled, 3},
		"another package backoff": {func(context.Context) error {
			return fmt.Errorf("wrapped: %w", &backofftest.PermanentError{Err: errDisk})
		}, 1},
		"marked by the outer one": {func(ctx context.Context) error { return batch.Permanent(nested(ctx)) }, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				status, err := batch.Run(t.Context(), batch.Job{
					Name: "outer", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(0), Executor: fn(test.f),
				})
				require.Error(t, err)
				require.Equal(t, test.want, status.Failed)
			})
		})
	}
}
