package batch_test

import (
	"math"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// slowBackoff is one whose delays are found when release is closed.
func slowBackoff(release <-chan struct{}) batch.Backoff {
	return batch.BackoffFunc(func() backoff.BackOff {
		<-release
		return &backoff.ZeroBackOff{}
	})
}

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

// TestChangedBackoffRaisesTheGeneration wants an update of a back-off that is a value
// to be a change of the spec, and one of a function not to be.
func TestChangedBackoffRaisesTheGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
		steps := []struct {
			b    batch.Backoff
			want int64
		}{
			{batch.ConstantBackoff(time.Second), 2},
			{batch.ConstantBackoff(time.Second), 2},
			{batch.ConstantBackoff(time.Minute), 3},
			{batch.ExponentialBackoff(time.Second, time.Minute, 0), 4},
			{batch.ExponentialBackoff(time.Second, time.Minute, 0), 4},
			{batch.ExponentialBackoff(time.Second, time.Hour, 0), 5},
			{nil, 6},
		}
		for _, step := range steps {
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Backoff = step.b }))
			require.Equal(t, step.want, get(t, c, "j").Generation)
		}
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.RestartBackoff = batch.ConstantBackoff(1) }))
		require.Equal(t, int64(7), get(t, c, "j").Generation)
	})
}
