//go:build unix

package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/effort"
)

var kills = flag.Int("kills", effort.Of(8, 20), "how many times to kill")

func TestMain(m *testing.M) {
	if folder := os.Getenv(childVariable); folder != "" {
		fmt.Fprintln(os.Stderr, runChild(folder))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// start starts a child. The error says what it had to say, if it ends by itself.
func start(t *testing.T, folder string) (kill func() error) {
	t.Helper()
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+folder)
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	return func() error {
		if err := cmd.Process.Kill(); err != nil {
			return err
		}
		_ = cmd.Wait() // it was killed
		if cmd.ProcessState.Exited() {
			return fmt.Errorf("the child has ended: %s", said.String())
		}
		return nil
	}
}

// TestKills kills around whole seconds, when all CronJobs are due. Each child gets
// its first second for its start.
func TestKills(t *testing.T) {
	folder := t.TempDir()
	for range *kills {
		kill := start(t, folder)
		second := time.Now().Add(500 * time.Millisecond).Truncate(time.Second).Add(time.Second)
		time.Sleep(time.Until(second) + time.Duration(rand.IntN(60)-10)*time.Millisecond)
		require.NoError(t, kill())
	}
	kill := start(t, folder)
	before, _, err := judge(filepath.Join(folder, "ledger"))
	require.NoError(t, err)
	deadline := time.Now().Add(2 * time.Minute)
	for { // what was told before the last kill has run once the last child has run everything again
		time.Sleep(100 * time.Millisecond)
		sum, faults, err := judge(filepath.Join(folder, "ledger"))
		require.NoError(t, err)
		if done := sum.ups > before.ups && sum.runs > before.runs+len(cronJobs()); done && len(faults) == 0 ||
			time.Now().After(deadline) {
			t.Logf("%d kills, %d runs, %d times told", *kills, sum.runs, sum.told)
			require.Empty(t, faults)
			require.True(t, done, "the last child runs nothing")
			break
		}
	}
	require.NoError(t, kill())
}

// TestJudge shows that the judge can tell.
func TestJudge(t *testing.T) {
	for name, test := range map[string]struct{ ledger, want string }{
		"twice":     {ledger: "run a 60 a-1 u\nrun a 60 a-1 v\n", want: "a 60 was started by jobs [u v]"},
		"lost":      {ledger: "told a 60\n", want: "a was told to have started 60, and no job a-1 has run"},
		"a retry":   {ledger: "told a 60\nrun a 60 a-1 u\nrun a 60 a-1 u\n"},
		"timeless":  {ledger: "fault a-1 has no time\n", want: "fault a-1 has no time"},
		"the start": {ledger: "up\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger")
			require.NoError(t, os.WriteFile(path, []byte(test.ledger), 0o644))
			_, faults, err := judge(path)
			require.NoError(t, err)
			require.Equal(t, test.want, strings.Join(faults, "; "))
		})
	}
}
