package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// An error without a text is one, also in another process.
func TestErrorWithoutATextSurvives(t *testing.T) {
	job := batch.Job{
		Name: "job", BackoffLimit: new(0), Executor: fn(func(context.Context) error { return errors.New("") }),
	}
	for name, history := range map[string]*int{"kept": nil, "no history": new(0)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store batchtest.MemoryStore
				job := job
				job.History = history
				c := newController(t, batch.Options{Store: &store})
				mustCreate(t, c, job)
				_, before := c.Wait(t.Context(), "job")
				_, after := fresh(t, &store).Wait(t.Context(), "job")
				require.NotErrorIs(t, after, batch.ErrDisrupted)
				require.EqualError(t, after, before.Error())
			})
		})
	}
	t.Run("while its restart is being decided", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var store disk
			deciding, asked := make(chan struct{}), 0
			job := job
			job.RestartPolicy, job.BackoffLimit = batch.RestartOnFailure, new(9)
			job.RestartBackoff = batch.BackoffFunc(func() backoff.BackOff {
				if asked++; asked == 1 {
					<-deciding
				}
				return backoff.NewConstantBackOff(time.Minute)
			})
			mustCreate(t, newController(t, batch.Options{Store: &store}), job)
			settle()
			next := fresh(t, &store)
			apply(t, next, job)
			settle()
			require.Equal(t, 2, asked)
			require.WithinDuration(t, time.Now().Add(time.Minute), get(t, next, "job").NextRetry, time.Second)
			close(deciding)
		})
	})
}
