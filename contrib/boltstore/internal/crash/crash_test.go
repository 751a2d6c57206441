//go:build unix

package crash

import (
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/race"
)

var (
	kills = flag.Int("kills", 0, "how many times to kill; 0 for as many as fit into a test run")
	seed  = flag.Uint64("seed", 0, "of the jobs and the kills of the first store; 0 for any")
	keep  = flag.String("keep", "", "a folder in which the store and the ledger of a failure are left")
)

func TestMain(m *testing.M) {
	runIfChild()
	os.Exit(m.Run())
}

// killsInARound is how many kills a store sees at most.
const killsInARound = 25

func killsToMake() int {
	switch {
	case *kills > 0:
		return *kills
	case race.Enabled, testing.Short():
		return 60
	}
	return effort.Of(50, 300)
}

func TestKills(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1e9)
	}
	var sum summary
	start := time.Now()
	for next := first; sum.kills < killsToMake(); next++ {
		sum.add(runRound(t, round{seed: next, kills: min(killsInARound, killsToMake()-sum.kills), patience: 2 * time.Minute}))
	}
	t.Logf("%s (seed %d, %v)", &sum, first, time.Since(start).Round(time.Second))
}

func runRound(t *testing.T, r round) summary {
	t.Helper()
	r.folder = t.TempDir()
	if *keep != "" {
		folder, err := os.MkdirTemp(*keep, "crash-")
		require.NoError(t, err)
		r.folder = folder
	}
	sum, err := r.run()
	for i, f := range sum.findings {
		if i < 20 {
			t.Errorf("%s: %s", f.fault, f.text)
		}
	}
	require.NoError(t, err, "seed %d", r.seed)
	require.Empty(t, sum.findings, "seed %d, in %s", r.seed, r.folder)
	if *keep != "" {
		require.NoError(t, os.RemoveAll(r.folder))
	}
	return sum
}

// TestBrokenStoresAreFoundOut shows that the judge can tell: stores that break
// their promise do not get far.
func TestBrokenStoresAreFoundOut(t *testing.T) {
	tests := map[string][]fault{
		"forgetful":      {lost, duplicated},
		"hasty":          {lost, duplicated},
		"torn":           {lost, duplicated},
		"no checkpoints": {lost},
	}
	for name, faults := range tests {
		t.Run(name, func(t *testing.T) {
			missing := slices.Clone(faults)
			for next := uint64(1); len(missing) > 0; next++ {
				require.Less(t, next, uint64(20), "nobody has found %s", missing)
				r := round{folder: t.TempDir(), seed: next, kills: 10, patience: 5 * time.Second, breakage: name}
				sum, err := r.run() // it may not start again, or not end
				t.Logf("%v, %v", &sum, err)
				missing = slices.DeleteFunc(missing, func(f fault) bool { return sum.count(f) > 0 })
			}
		})
	}
}
