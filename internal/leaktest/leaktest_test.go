package leaktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestLeft(t *testing.T) {
	require.Empty(t, Left(patience), "before")
	stop := make(chan struct{})
	go func() { <-stop }()
	left := Left(0)
	require.Len(t, left, 1)
	require.Contains(t, left[0], "TestLeft")
	close(stop)
	require.Empty(t, Left(patience), "after")
}

func TestLeftWaitsForThoseOnTheirWayOut(t *testing.T) {
	stop := time.After(10 * time.Millisecond)
	go func() { <-stop }()
	require.Empty(t, Left(patience))
}
