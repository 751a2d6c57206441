package batch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
)

func TestErrorMatchers(t *testing.T) {
	err := fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist})
	require.True(t, ErrorIs(fs.ErrNotExist)(err))
	require.False(t, ErrorIs(fs.ErrExist)(err))
	require.True(t, ErrorAs[*fs.PathError]()(err))
	require.False(t, ErrorAs[*os.LinkError]()(err))
}

func TestPermanent(t *testing.T) {
	require.NoError(t, Permanent(nil))
	err := Permanent(fs.ErrNotExist)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, marked := errors.AsType[*backoff.PermanentError](fmt.Errorf("wrapped: %w", err))
	require.True(t, marked)
}

func TestBackoffs(t *testing.T) {
	delays := func(b Backoff, n int) []time.Duration {
		sequence := b.BackOff()
		var d []time.Duration
		for range n {
			d = append(d, sequence.NextBackOff())
		}
		return d
	}
	const s = time.Second
	tests := map[string]struct {
		backoff Backoff
		want    []time.Duration
	}{
		"constant":           {backoff: ConstantBackoff(3 * s), want: []time.Duration{3 * s, 3 * s, 3 * s}},
		"constant, negative": {backoff: ConstantBackoff(-s), want: []time.Duration{0, 0}},
		"exponential, Kubernetes' (R180)": {
			backoff: ExponentialBackoff(10*s, 10*time.Minute, 0),
			want:    []time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 600 * s, 600 * s},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, delays(test.backoff, len(test.want)))
			require.Equal(t, test.want, delays(test.backoff, len(test.want)), "every sequence begins anew")
		})
	}
	for _, d := range delays(ExponentialBackoff(10*s, 10*s, 0.5), 100) {
		require.GreaterOrEqual(t, d, 5*s)
		require.LessOrEqual(t, d, 15*s)
	}
}

func TestExponentialBackoff(t *testing.T) {
	tests := map[string]struct {
		initial, limit time.Duration
		want           []time.Duration
	}{
		"doubles up to the limit": {initial: 10 * time.Second, limit: time.Minute,
			want: []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}},
		"begins with the limit if that is less": {
			initial: time.Minute, limit: time.Second, want: []time.Duration{time.Second, time.Second},
		},
		"negative counts as zero": {initial: -1, limit: -1, want: []time.Duration{0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := ExponentialBackoff(test.initial, test.limit, 0).BackOff()
			for i, want := range test.want {
				require.Equal(t, want, b.NextBackOff(), "delay %d", i)
			}
		})
	}
}

func TestJobErrorKeepsTheLastFailure(t *testing.T) {
	broken := errors.New("broken")
	for _, history := range []int{0, 1} {
		_, err := Run(t.Context(), Job{Name: "j", BackoffLimit: new(1), Backoff: ConstantBackoff(0), History: &history,
			Executor: ExecutorFunc(func(_ context.Context, a Attempt) error {
				fmt.Fprintln(a.Stderr(), "cannot open the archive")
				return broken
			})})
		require.ErrorIs(t, err, broken, "history %d", history)
		failed, ok := errors.AsType[*JobError](err)
		require.True(t, ok)
		require.Len(t, failed.Attempts, 1, "history %d", history)
		if history > 0 {
			require.Equal(t, "cannot open the archive", failed.Attempts[0].Log[0].Text)
		}
	}
}
