package batch_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestSlowUserCodeDelaysNobody has all kinds of user code of one job hang: the retries,
// deadlines and removals of others come in time.
func TestSlowUserCodeDelaysNobody(t *testing.T) {
	hang := func() { time.Sleep(time.Hour) }
	failing := func(change func(j *batch.Job)) batch.Job {
		job := batch.Job{Executor: fails(errDisk)}
		change(&job)
		return job
	}
	for name, job := range map[string]batch.Job{
		"the text of an error":      {Executor: fails(hostile{text: func() string { hang(); return "" }})},
		"the exit code of an error": {Executor: fails(hostile{code: func() int { hang(); return 1 }})},
		"Is of an error":            {Executor: fails(hostile{is: func() bool { hang(); return false }})},
		"As of an error":            {Executor: fails(hostile{as: func() bool { hang(); return false }})},
		"an executor that is too late": {AttemptTimeout: new(time.Second), Executor: fn(func(context.Context) error {
			hang()
			return nil
		})},
		"a predicate": failing(func(j *batch.Job) {
			matches := func(error) bool { hang(); return true }
			j.FailurePolicy = []batch.FailureRule{{Action: batch.ActionIgnore, OnError: matches}}
		}),
		"a back-off": failing(func(j *batch.Job) {
			j.Backoff = batch.BackoffFunc(func() backoff.BackOff { hang(); return &backoff.ZeroBackOff{} })
		}),
		"a restart back-off": failing(func(j *batch.Job) {
			j.RestartPolicy = batch.RestartOnFailure
			j.RestartBackoff = batch.BackoffFunc(func() backoff.BackOff { hang(); return &backoff.ZeroBackOff{} })
		}),
		"whether it is pending": {Executor: asksItself{func() bool { hang(); return false }}},
		"the key of a limit": {Limits: []string{"db"}, Executor: succeed, LimitKey: func(int) string {
			hang()
			return ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler),
					Limits: map[string]batch.Limit{"db": {PerKey: true}}})
				job.Name = "hangs"
				var creating sync.WaitGroup
				creating.Go(func() { _ = c.Create(context.Background(), job) })
				othersAreInTime(t, c)
				creating.Wait()
				require.NoError(t, c.Delete(t.Context(), "hangs", batch.DeleteBackground))
				time.Sleep(3 * time.Hour)
			})
		})
	}
}

// othersAreInTime has jobs wait for what only timers bring about.
func othersAreInTime(t *testing.T, c *batch.Controller) {
	t.Helper()
	start := time.Now()
	mustCreate(t, c, batch.Job{Name: "retried", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Minute),
		Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "late", ActiveDeadline: new(90 * time.Second), Executor: untilDone})
	mustCreate(t, c, batch.Job{Name: "removed", TTLAfterFinished: new(time.Minute), Executor: succeed})
	for name, reason := range map[string]string{"retried": batch.ReasonBackoffLimitExceeded,
		"late": batch.ReasonDeadlineExceeded} {
		s, err := c.Wait(t.Context(), name)
		failed(t, err, reason)
		want := map[string]time.Duration{"retried": 2 * time.Minute, "late": 90 * time.Second}[name]
		end := s.Conditions[len(s.Conditions)-1].LastTransitionTime
		require.WithinDuration(t, start.Add(want), end, 10*time.Millisecond, name)
	}
	_, err := c.Get("removed")
	require.ErrorIs(t, err, batch.ErrNotFound)
}
