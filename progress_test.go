package batch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// signs are the ways in which an attempt shows that it makes progress.
var signs = map[string]func(ctx context.Context, a batch.Attempt, n int) error{
	"progress": func(_ context.Context, a batch.Attempt, n int) error { a.Progress(int64(n), 0, ""); return nil },
	"an output": func(_ context.Context, a batch.Attempt, n int) error {
		a.SetOutput(fmt.Sprint(n))
		return nil
	},
	"a line": func(_ context.Context, a batch.Attempt, n int) error {
		_, err := fmt.Fprintln(a.Stdout(), n)
		return err
	},
	"a part of a line": func(_ context.Context, a batch.Attempt, n int) error {
		_, err := fmt.Fprint(a.Stderr(), ".")
		return err
	},
	"a record of its log": func(_ context.Context, a batch.Attempt, n int) error {
		a.Logger().Info("on", "n", n)
		return nil
	},
	"a checkpoint": func(ctx context.Context, a batch.Attempt, n int) error {
		return a.SaveCheckpoint(ctx, []byte(fmt.Sprint(n)))
	},
}

// An attempt is stopped when its last sign of life is too long ago, and not before.
func TestProgressDeadline(t *testing.T) {
	for name, sign := range signs {
		for _, indexed := range []string{batch.NonIndexed, batch.Indexed} {
			t.Run(fmt.Sprint(name, ", ", indexed), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					start := time.Now()
					var stopped time.Duration
					var cause error
					c := newController(t, batch.Options{})
					mustCreate(t, c, batch.Job{Name: "j", CompletionMode: indexed, Completions: new(1), BackoffLimit: new(0),
						ProgressDeadline: time.Minute, Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
							for n := range 5 {
								time.Sleep(50 * time.Second)
								if err := sign(ctx, a, n); err != nil {
									return err
								}
							}
							<-ctx.Done()
							stopped, cause = time.Since(start), context.Cause(ctx)
							return nil
						})})
					_, err := c.Wait(t.Context(), "j")
					require.ErrorIs(t, failed(t, err, batch.ReasonBackoffLimitExceeded), batch.ErrNoProgress)
					require.InDelta(t, 310*time.Second, stopped, float64(time.Millisecond))
					require.Equal(t, batch.ErrNoProgress, cause)
					attempt := attemptsOf(t, c, "j")[0]
					require.Equal(t, batch.ReasonProgressDeadlineExceeded, attempt.Reason)
					require.Equal(t, batch.AttemptFailed, attempt.Phase)
					require.NoError(t, batch.Check(c, "j"))
				})
			})
		}
	}
}

// A stalled attempt is retried as any that has failed, and one that does not stop is
// given up after its grace period.
func TestStalledAttemptsAreRetried(t *testing.T) {
	for name, job := range map[string]batch.Job{
		"by the job":     {},
		"by its index":   {CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1)},
		"not in place":   {RestartPolicy: batch.RestartOnFailure},
		"behind a limit": {Parallelism: new(1)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{MaxActive: 2})
				job.Name, job.Completions, job.ProgressDeadline = "j", new(1), time.Minute
				job.TerminationGracePeriod = new(10 * time.Second)
				stuck := make(chan struct{})
				job.Executor = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
					if a.Number == 0 {
						<-stuck
					}
					return lasts(ctx, 30*time.Second)
				})
				mustCreate(t, c, job)
				time.Sleep(71 * time.Second)
				synctest.Wait()
				require.Equal(t, 1, get(t, c, "j").Abandoned)
				time.Sleep(time.Minute)
				close(stuck)
				require.Equal(t, 1, complete(t, c, "j").Failed)
				first := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, first.Phase)
				require.Equal(t, batch.ReasonProgressDeadlineExceeded, first.Reason)
			})
		})
	}
}

// Without a deadline an attempt need not give any sign, and a deadline is not negative.
func TestNoProgressDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		_, err := c.Run(t.Context(), batch.Job{Name: "j", Executor: lasting(1000 * time.Hour)})
		require.NoError(t, err)
		require.EqualError(t, c.Create(t.Context(), batch.Job{Name: "k", ProgressDeadline: -1, Executor: succeed}),
			`batch: job "k" is invalid: ProgressDeadline: Invalid value: -1ns: must be greater than or equal to 0`)
		mustCreate(t, c, batch.Job{Name: "k", ProgressDeadline: time.Hour, Suspend: true, Executor: succeed})
		require.ErrorContains(t, c.Update(t.Context(), "k", func(j *batch.Job) { j.ProgressDeadline = time.Minute }),
			"ProgressDeadline")
	})
}

// That an index has stalled outlasts the process.
func TestStalledIndexesAreStored(t *testing.T) {
	eachEnd(t, func(t *testing.T, end func(t *testing.T, c *batch.Controller, store batch.Store) *batchtest.MemoryStore) {
		store := new(batchtest.MemoryStore)
		c := newController(t, batch.Options{Store: store})
		apply(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(0),
			History: new(0), ProgressDeadline: time.Minute, Executor: untilDone})
		_, err := c.Wait(t.Context(), "j")
		require.ErrorIs(t, err, batch.ErrNoProgress)
		c = newController(t, batch.Options{Store: end(t, c, store)})
		_, err = c.Wait(t.Context(), "j")
		require.ErrorIs(t, err, batch.ErrNoProgress)
	})
}
