package batch_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	backofftest "github.com/runtocompletion/batch/internal/backofftest"
)

// TestExponentialBackoffWithoutLimit wants every delay to be one: neither negative
// nor less than half of what it is to be.
func TestExponentialBackoffWithoutLimit(t *testing.T) {
	tests := map[string]batch.Backoff{
		"no limit":         batch.ExponentialBackoff(time.Second, math.MaxInt64, 0.5),
		"the longest ones": batch.ExponentialBackoff(math.MaxInt64, math.MaxInt64, 1),
		"no number":        batch.ExponentialBackoff(time.Second, time.Minute, math.NaN()),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				delays := b.BackOff()
				for range 100 {
					require.GreaterOrEqual(t, delays.NextBackOff(), time.Duration(0))
				}
			}
		})
	}
	delays := batch.ExponentialBackoff(time.Second, time.Minute, math.NaN()).BackOff()
	require.Equal(t, time.Second, delays.NextBackOff())
	require.Equal(t, 2*time.Second, delays.NextBackOff())
}

var second = time.Second

var backoffTests = map[string]struct {
	backoff batch.Backoff
	waits   []time.Duration // before each further attempt
	reason  string
}{
	"Kubernetes' own": {
		waits: []time.Duration{10 * second, 20 * second, 40 * second, 80 * second}, reason: batch.ReasonBackoffLimitExceeded,
	},
	"constant": {
		backoff: batch.ConstantBackoff(5 * second), waits: []time.Duration{5 * second, 5 * second, 5 * second, 5 * second},
		reason: batch.ReasonBackoffLimitExceeded,
	},
	"none": {
		backoff: batch.ConstantBackoff(0), waits: []time.Duration{0, 0, 0, 0}, reason: batch.ReasonBackoffLimitExceeded,
	},
	"constant, negative": {
		backoff: batch.ConstantBackoff(-second), waits: []time.Duration{0, 0, 0, 0},
		reason: batch.ReasonBackoffLimitExceeded,
	},
	"exponential": {
		backoff: batch.ExponentialBackoff(second, 3*second, 0),
		waits:   []time.Duration{second, 2 * second, 3 * second, 3 * second}, reason: batch.ReasonBackoffLimitExceeded,
	},
	"stops at once": {
		backoff: batch.BackoffFunc(func() backoff.BackOff { return &backoff.StopBackOff{} }),
		reason:  batch.ReasonBackoffLimitExceeded,
	},
	"stops after two": {
		backoff: batch.BackoffFunc(func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(second), 2)
		}),
		waits: []time.Duration{second, second}, reason: batch.ReasonBackoffLimitExceeded,
	},
	"ten years, all of it": {
		backoff: batch.ConstantBackoff(10 * 365 * 24 * time.Hour),
		waits:   []time.Duration{87600 * time.Hour, 87600 * time.Hour, 87600 * time.Hour, 87600 * time.Hour},
		reason:  batch.ReasonBackoffLimitExceeded,
	},
}

func TestBackoff(t *testing.T) {

	for name, test := range backoffTests {
		for _, perIndex := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, per index: %v", name, perIndex), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var starts []time.Time
					job := batch.Job{Name: "j", Backoff: test.backoff, BackoffLimit: new(4),
						Executor: fn(func(context.Context) error { starts = append(starts, time.Now()); return errDisk })}
					if perIndex {
						job.CompletionMode, job.Completions = batch.Indexed, new(1)
						job.BackoffLimit, job.BackoffLimitPerIndex = nil, new(4)
						test.reason = batch.ReasonFailedIndexes
					}
					status, err := batch.Run(t.Context(), job)
					failed(t, err, test.reason)
					require.Equal(t, len(test.waits)+1, status.Failed)
					var waits []time.Duration
					for i := range starts[1:] {
						waits = append(waits, starts[i+1].Sub(starts[i]))
					}
					require.Equal(t, test.waits, waits)
				})
			})
		}
	}
}

// A success ends the sequence (R184); another index does not (R190).
func TestBackoffBeginsAnew(t *testing.T) {
	for _, perIndex := range []bool{false, true} {
		t.Run(fmt.Sprint("per index: ", perIndex), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start, made := time.Now(), 0
				var starts []string
				job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), BackoffLimit: new(10),
					Backoff: batch.BackoffFunc(func() backoff.BackOff {
						made++
						return batch.ExponentialBackoff(time.Second, time.Hour, 0).BackOff()
					}),
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						starts = append(starts, fmt.Sprintf("%d at %v", a.Index, time.Since(start)))
						time.Sleep(time.Second)
						if a.Number < 2 {
							return errDisk
						}
						return nil
					})}
				if perIndex {
					job.BackoffLimitPerIndex = new(5)
				}
				_, err := batch.Run(t.Context(), job)
				require.NoError(t, err)
				require.Equal(t, []string{"0 at 0s", "0 at 2s", "0 at 5s", "1 at 6s", "1 at 8s", "1 at 11s"}, starts)
				require.Equal(t, 2, made)
			})
		})
	}
}

// With a back-off of the job's own, a delay that falls due as another attempt
// succeeds is found all the same.
func TestDelayThatASuccessBringsUp(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			c := newController(t, batch.Options{})
			mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
				BackoffLimitPerIndex: new(5),
				Backoff:              batch.ConstantBackoff(time.Second),
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
					switch {
					case a.Index == 1:
						time.Sleep(time.Second + time.Millisecond) // when the deletion begins to count
					case a.Number == 0:
						time.Sleep(time.Minute)
						return errDisk
					}
					return nil
				})})
			time.Sleep(time.Second)
			require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := c.Wait(ctx, "j")
			require.NoError(t, err)
		})
	}
}

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

// TestRetryAfterForEver wants a delay that cannot be waited for to be shown all the same.
func TestRetryAfterForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Executor: fn(func(context.Context) error {
			return batch.RetryAfter(errDisk, math.MaxInt64)
		})})
		settle()
		require.Greater(t, time.Until(get(t, c, "j").NextRetry), 24*365*time.Hour)
		require.Contains(t, get(t, c, "j").Explain(), "next try at")
	})
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

// TestExponentialBackoffGrows wants no delay to be less than half of what it is to be, and
// none to be longer than can be waited.
func TestExponentialBackoffGrows(t *testing.T) {
	const longest = time.Duration(1<<63 - 1)
	for name, limit := range map[string]time.Duration{"an hour": time.Hour, "no limit": longest} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				delays := batch.ExponentialBackoff(time.Second, limit, 0.5).BackOff()
				want := time.Second
				for n := range 100 {
					got := delays.NextBackOff()
					require.GreaterOrEqual(t, got, min(want, limit, longest/4)/2, "delay %d", n)
					require.LessOrEqual(t, got/3, want/2, "delay %d", n)
					want = min(limit, 2*min(want, longest/2))
				}
			}
		})
	}
}
