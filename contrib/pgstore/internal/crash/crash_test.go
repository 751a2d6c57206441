//go:build unix

package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/pgtest"
)

var (
	faults = flag.Int("faults", 0, "how many faults; 0 for as many as fit into a test run")
	lease  = flag.Duration("lease", 400*time.Millisecond, "the lease: short, so that many faults fit into a minute")
	only   = flag.String("only", "", "the one kind of fault to be made, such as SIGKILL; any if empty")
	keep   = flag.String("keep", "", "a folder in which the ledger of a failure is left")
	seed   = flag.Uint64("seed", 0, "of the jobs and faults of the first round; 0 for any")
)

var server *pgtest.Server

func TestMain(m *testing.M) {
	runIfChild()
	code, err := pgtest.Main(func(s *pgtest.Server) int {
		server = s
		return m.Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	usualFaults    = 300
	faultsInARound = 25
)

// TestFaults makes as many faults as it is told to, or, without being told, as many as
// fit into a few minutes, but no more than usualFaults.
func TestFaults(t *testing.T) {
	const longest = 150 * time.Second
	first, wanted := *seed, *faults
	if first == 0 {
		first = rand.Uint64N(1e9)
	}
	if wanted == 0 {
		wanted = usualFaults
	}
	sum := summary{counts: make(map[string]int), takeOvers: make(map[string][]time.Duration)}
	start := time.Now()
	for next := first; sum.faults < wanted && (*faults > 0 || time.Since(start) < longest); next++ {
		r := &round{server: server, folder: t.TempDir(), seed: next, faults: min(faultsInARound, wanted-sum.faults),
			lease: *lease, only: *only, patience: 2 * time.Minute}
		if *keep != "" {
			r.folder = filepath.Join(*keep, fmt.Sprint(next))
			require.NoError(t, os.Mkdir(r.folder, 0o700))
		}
		j, err := r.run()
		require.NoError(t, err, "seed %d", next)
		require.Empty(t, j.findings, "seed %d", next)
		sum.add(r, j)
		if *faults > 0 {
			t.Logf("%v", &sum)
		}
	}
	t.Logf("%v (seed %d, %v)", &sum, first, time.Since(start).Round(time.Second))
	require.Positive(t, sum.faults)
}

// TestBrokenStoresAreFoundOut shows that the judge can tell.
func TestBrokenStoresAreFoundOut(t *testing.T) {
	for name := range breakages {
		if name == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for next := uint64(1); ; next++ {
				require.Less(t, next, uint64(10), "nobody has found it")
				r := &round{server: server, folder: t.TempDir(), seed: next, faults: 10, lease: *lease, only: *only,
					patience: 10 * time.Second, breakage: name}
				j, err := r.run() // which may not end
				if t.Logf("%d findings, %v", len(j.findings), err); len(j.findings) > 0 {
					return
				}
			}
		})
	}
}

// A summary is what came of some rounds.
type summary struct {
	rounds, faults, terms, begun int
	counts                       map[string]int
	takeOvers                    map[string][]time.Duration
}

func (s *summary) add(r *round, j *judge) {
	s.rounds++
	s.terms += len(j.terms)
	s.begun += j.begun
	for name, n := range r.counts {
		s.counts[name] += n
		s.faults += n
	}
	for _, h := range r.hits {
		if took, ok := j.takeOver(h.pid, h.at, r.lease); ok {
			s.takeOvers[h.kind] = append(s.takeOvers[h.kind], took)
		}
	}
}

func (s *summary) String() string {
	text := fmt.Sprintf("%d faults in %d rounds: %v; %d executions under %d claims; taken over after",
		s.faults, s.rounds, s.counts, s.begun, s.terms)
	for kind, list := range s.takeOvers {
		text += fmt.Sprintf(" %s: %v (p50) %v (p99) of %d;", kind, quantile(list, 0.5), quantile(list, 0.99), len(list))
	}
	return text
}
