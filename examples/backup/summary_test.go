package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		157_286_400: "157.3 MB", 1 << 62: "4.6 EB",
	} {
		require.Equal(t, want, humanBytes(n))
	}
}

func TestPerSecond(t *testing.T) {
	require.Equal(t, int64(200), perSecond(100, time.Second/2))
	require.Zero(t, perSecond(100, 0))
}
