package proc_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/proc"
)

func TestIsAlive(t *testing.T) {
	own := proc.Started(os.Getpid())
	require.Equal(t, runtime.GOOS == "linux", own != "")
	require.True(t, proc.IsAlive(os.Getpid(), own))
	require.True(t, proc.IsAlive(os.Getpid(), ""))
	if own != "" {
		require.False(t, proc.IsAlive(os.Getpid(), "another time"), "the number is used again")
	}

	other := exec.Command(os.Args[0], "-test.run=^$")
	require.NoError(t, other.Run())
	require.False(t, proc.IsAlive(other.Process.Pid, ""))
}
