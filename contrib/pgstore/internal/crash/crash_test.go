//go:build unix

package crash

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/disktest"
	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/pgtest"
)

var (
	faults = flag.Int("faults", effort.Of(50, 300), "how many faults")
	atOnce = flag.Int("rounds", 4, "how many rounds are run at once")
	lease  = flag.Duration("lease", 400*time.Millisecond, "the lease: short, so that many faults fit into a minute")
	only   = flag.String("only", "", "the one kind of fault to be made, such as SIGKILL; any if empty")
	keep   = flag.String("keep", "", "a folder in which ledgers are left")
	seed   = flag.Uint64("seed", 0, "of the jobs and faults of the first round; 0 for any")

	takeOvers     = flag.Int("takeovers", effort.Of(1, 3), "how many take-overs of each kind are measured")
	takeOverLease = flag.Duration("takeoverlease", 5*time.Second, "the lease while they are")
)

var here host

func TestMain(m *testing.M) {
	runIfChild()
	code, err := runOnDisk(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runOnDisk runs the tests with a server whose disk can be full.
func runOnDisk(m *testing.M) (code int, err error) {
	folder := "" // that of the system
	here.disk, err = disktest.New(512 << 20)
	switch {
	case err == nil:
		folder = here.disk.Folder
		defer func() { err = errors.Join(err, here.disk.Close()) }()
	case effort.IsCI():
		return 0, err
	default:
		here.disk = nil
		fmt.Printf("no fault %q is made: %v\n", fullDisk, err)
	}
	// With small files of its log, the server needs a new one often.
	return pgtest.MainIn(folder, func(s *pgtest.Server) int {
		here.server = s
		return m.Run()
	}, "--wal-segsize=1")
}

const faultsInARound = 25

// TestFaults runs rounds until there were as many faults as wanted.
func TestFaults(t *testing.T) {
	sum := &summary{wanted: *faults, counts: make(map[string]int), next: cmp.Or(*seed, rand.Uint64N(1e9))}
	first, start := sum.next, time.Now()
	var rounds sync.WaitGroup
	for range *atOnce {
		rounds.Go(func() {
			for r := sum.nextRound(t); r != nil; r = sum.nextRound(t) {
				j, err := r.run()
				sum.add(r, j, err)
			}
		})
	}
	rounds.Wait()
	require.NoError(t, errors.Join(sum.errs...))
	t.Logf("%v (seed %d, %v)", sum, first, time.Since(start).Round(time.Second))
	require.Positive(t, sum.started, "of CronJobs")
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
				r := &round{host: &here, folder: t.TempDir(), seed: next, faults: 10, lease: *lease, only: *only,
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
	wanted int

	mu                                    sync.Mutex // guards the fields below
	next                                  uint64     // seed
	planned                               int        // faults of rounds that have begun
	errs                                  []error
	rounds, faults, terms, begun, started int
	counts                                map[string]int
}

// nextRound returns nil when enough faults were made, or something was found.
func (s *summary) nextRound(t *testing.T) *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.planned >= s.wanted || len(s.errs) > 0 {
		return nil
	}
	r := &round{host: &here, folder: t.TempDir(), seed: s.next, faults: min(faultsInARound, s.wanted-s.planned),
		lease: *lease, only: *only, patience: 2 * time.Minute}
	if *keep != "" {
		r.folder = filepath.Join(*keep, fmt.Sprint(r.seed))
		if err := os.Mkdir(r.folder, 0o700); err != nil {
			s.errs = append(s.errs, err)
			return nil
		}
	}
	s.next++
	s.planned += r.faults
	return r
}

func (s *summary) add(r *round, j *judge, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, finding := range j.findings {
		err = errors.Join(err, errors.New(finding))
	}
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("seed %d: %w", r.seed, err))
	}
	s.rounds++
	s.terms += j.terms
	s.begun += j.begun
	for _, c := range j.cronJobs {
		s.started += len(c.jobs)
	}
	done := 0
	for name, n := range r.counts {
		s.counts[name] += n
		done += n
	}
	s.faults += done
	s.planned += done - r.faults // its jobs may have ended before
}

func (s *summary) String() string {
	return fmt.Sprintf("%d faults in %d rounds: %v; %d executions and %d times of CronJobs under %d claims",
		s.faults, s.rounds, s.counts, s.begun, s.started, s.terms)
}
