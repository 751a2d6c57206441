package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPi(t *testing.T) {
	const known = "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"
	for _, n := range []int{1, 2, 10, 50, 81} {
		got, err := pi(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, known[:n+1], got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pi(ctx, 10)
	require.ErrorIs(t, err, context.Canceled)
}
