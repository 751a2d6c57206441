package delay

import (
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
)

// counting is a back-off whose n-th delay is n seconds.
type counting struct{ n int }

func (c *counting) NextBackOff() time.Duration {
	c.n++
	return time.Duration(c.n) * time.Second
}

func (c *counting) Reset() { c.n = 0 }

func TestAfter(t *testing.T) {
	made := 0
	fresh := func() backoff.BackOff { made++; return new(counting) }
	tests := []struct {
		name string
		n    int
		want time.Duration
		made int
	}{
		{name: "the first failure asks a new back-off", n: 1, want: time.Second, made: 1},
		{name: "the next one asks the same", n: 2, want: 2 * time.Second, made: 1},
		{name: "two at once ask twice", n: 4, want: 4 * time.Second, made: 1},
		{name: "a first failure after a success begins anew", n: 1, want: time.Second, made: 2},
		{name: "so does the same number again", n: 1, want: time.Second, made: 3},
	}
	var s Sequence
	for _, test := range tests {
		got, err := s.After(test.n, fresh)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, got, test.name)
		require.Equal(t, test.made, made, test.name)
	}
}

func TestAfterOfBadBackOffs(t *testing.T) {
	var s Sequence
	_, err := s.After(1, func() backoff.BackOff { return nil })
	require.EqualError(t, err, "no back-off was returned")
	_, err = s.After(1, func() backoff.BackOff { panic("boom") })
	require.EqualError(t, err, "back-off panicked: boom")
	got, err := s.After(1, func() backoff.BackOff { return new(counting) })
	require.NoError(t, err, "a later good one")
	require.Equal(t, time.Second, got)
}

func TestSequencesAreSeparate(t *testing.T) {
	fresh := func() backoff.BackOff { return new(counting) }
	var s Sequences
	for want := 1; want <= 3; want++ {
		for _, key := range []int{-1, 7} {
			got, err := s.After(key, want, fresh)
			require.NoError(t, err)
			require.Equal(t, time.Duration(want)*time.Second, got)
		}
	}
	s.Drop(7)
	got, err := s.After(7, 1, fresh)
	require.NoError(t, err)
	require.Equal(t, time.Second, got)
}
