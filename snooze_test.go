package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A snooze delays the next try and counts as no failure.
func TestSnooze(t *testing.T) {
	early := batch.Snooze(errors.New("too early"), time.Minute)
	errs := map[string]error{"marked": early, "wrapped": fmt.Errorf("wrapped: %w", early)}
	jobs := map[string]batch.Job{
		"a job":               {BackoffLimit: new(0)},
		"an index":            {CompletionMode: batch.Indexed, BackoffLimit: new(0)},
		"an index of its own": {CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(0)},
		"in place":            {RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(1)},
	}
	for kind, job := range jobs {
		for name, err := range errs {
			t.Run(kind+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					start, tries := time.Now(), 0
					job.Name, job.Completions = "j", new(1)
					job.Executor = fn(func(context.Context) error {
						if tries++; tries <= 50 {
							return err
						}
						return nil
					})
					c := newController(t, batch.Options{})
					apply(t, c, job)
					settle()
					require.Contains(t, get(t, c, "j").Explain(), " came too early ("+err.Error()+"), next try at 00:01:00")
					status, err := c.Wait(t.Context(), "j")
					require.NoError(t, err)
					require.Equal(t, 50*time.Minute, time.Since(start))
					require.Zero(t, status.Failed)
				})
			})
		}
	}
	require.NoError(t, batch.Snooze(nil, time.Minute))
	require.Equal(t, errDisk, batch.Snooze(errDisk, 0))
}

// The number of snoozes is limited, also over restarts.
func TestSnoozeIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tries := 0
		job := batch.Job{Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error {
			tries++
			return batch.Snooze(errDisk, time.Minute)
		})}
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		apply(t, c, job)
		time.Sleep(49*time.Minute + time.Second)
		settle()
		require.Equal(t, 50, tries)
		store = crash(t, c, store)
		c = newController(t, batch.Options{Store: store})
		apply(t, c, job)
		status, err := c.Wait(t.Context(), "j")
		require.ErrorIs(t, failed(t, err, batch.ReasonBackoffLimitExceeded), errDisk)
		require.Equal(t, 1, status.Failed)
		require.Equal(t, 101, tries)
	})
}

// A rule of the failure policy decides before a snooze does, and what a job has snoozed
// for that an executor has run says nothing of the executor.
func TestSnoozeThatIsNone(t *testing.T) {
	early := batch.Snooze(errDisk, time.Minute)
	for name, job := range map[string]batch.Job{
		"a rule": {Executor: fails(early), FailurePolicy: []batch.FailureRule{
			{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errDisk)}}},
		"of another job":  {Executor: fails(&batch.AttemptError{Err: early}), BackoffLimit: new(0)},
		"a permanent one": {Executor: fails(batch.Permanent(early))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job.Name = "j"
				start := time.Now()
				status, err := batch.Run(t.Context(), job)
				require.ErrorIs(t, err, errDisk)
				require.Equal(t, 1, status.Failed)
				require.Less(t, time.Since(start), time.Minute)
			})
		})
	}
}
