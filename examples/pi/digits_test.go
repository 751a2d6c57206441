package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/effort"
)

func TestPi(t *testing.T) {
	for n, want := range map[int]string{
		1:  "3",
		2:  "3.1",
		4:  "3.142", // rounded
		50: "3.1415926535897932384626433832795028841971693993751",
	} {
		got, err := pi(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, want, got, "pi(%d)", n)
	}
}

// TestPiAgreesWithPerl compares the Go function with the classic command.
func TestPiAgreesWithPerl(t *testing.T) {
	requirePerl(t)
	for _, n := range []int{10, 99, 762, 768} { // the last two: before and after six nines
		out, err := exec.CommandContext(
			t.Context(), "perl", "-Mbignum=bpi", "-wle", "print bpi("+strconv.Itoa(n)+")",
		).Output()
		require.NoError(t, err)
		got, err := pi(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(out)), got, "pi(%d)", n)
	}
}

func TestPiStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pi(ctx, 1000)
	require.ErrorIs(t, err, context.Canceled)
}

func requirePerl(t *testing.T) {
	t.Helper()
	effort.Need(t, checkPerl(t.Context(), 30))
}
