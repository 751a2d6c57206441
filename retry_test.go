package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	backofftest "github.com/runtocompletion/batch/internal/backofftest"
)

// The delay that an error asks for takes the place of any back-off.
func TestRetryAfter(t *testing.T) {
	errs := map[string]error{
		"marked":             batch.RetryAfter(errDisk, time.Minute),
		"wrapped":            fmt.Errorf("wrapped: %w", batch.RetryAfter(errDisk, time.Minute)),
		"of package backoff": &backofftest.RetryAfterError{Duration: time.Minute},
	}
	jobs := map[string]batch.Job{
		"the default":      {},
		"constant":         {Backoff: batch.ConstantBackoff(0)},
		"custom":           {Backoff: batch.BackoffFunc(func() backoff.BackOff { return &backoff.StopBackOff{} })},
		"of an index":      {CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(3)},
		"in place":         {RestartPolicy: batch.RestartOnFailure},
		"in place, custom": {RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(time.Hour)},
	}
	for kind, job := range jobs {
		for name, failure := range errs {
			t.Run(kind+", "+name, func(t *testing.T) { require.Equal(t, time.Minute, waitAfter(t, job, failure)) })
		}
	}
}

func TestRetryAfterOfNothing(t *testing.T) {
	for name, failure := range map[string]error{
		"a delay below zero":     batch.RetryAfter(errDisk, -1),
		"of a job that was run":  &batch.AttemptError{Err: batch.RetryAfter(errDisk, time.Hour)},
		"an error without a say": errDisk,
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, 10*time.Second, waitAfter(t, batch.Job{}, failure)) })
	}
	require.NoError(t, batch.RetryAfter(nil, time.Hour))
}

// waitAfter is how long a job waits after a first try that fails.
func waitAfter(t *testing.T, job batch.Job, failure error) (took time.Duration) {
	bubble(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		job.Name, job.Completions = "j", new(1)
		job.Executor = fn(func(context.Context) error {
			if tries++; tries == 1 {
				return failure
			}
			return nil
		})
		_, err := batch.Run(t.Context(), job)
		require.NoError(t, err)
		took = time.Since(start)
	})
	return took
}
