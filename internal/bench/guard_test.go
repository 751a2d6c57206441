package main

import (
	"os"
	"slices"
	"testing"

	"github.com/runtocompletion/batch/internal/race"
)

func TestMain(m *testing.M) {
	if runIfChild(os.Stdout) {
		return
	}
	os.Exit(m.Run())
}

// A guard fails when something takes more room than it may. What things cost in time
// is a matter of the command, which compares: a test cannot tell a regression from a
// machine that is busy.
type guard struct {
	name    string
	limit   float64
	format  func(float64) string
	measure func() (float64, error)
}

func TestBudgets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	if race.Enabled {
		t.Skip("the race detector changes what things cost")
	}
	for _, g := range slices.Concat(memoryGuards(), allocGuards()) {
		t.Run(g.name, func(t *testing.T) {
			got, err := g.measure()
			if err != nil {
				t.Fatal(err)
			}
			if got > g.limit {
				t.Errorf("%s, want at most %s", g.format(got), g.format(g.limit))
			}
			t.Logf("measured %s, the limit is %s", g.format(got), g.format(g.limit))
		})
	}
}

// ofChildren measures how much more memory one child takes for each of n things
// than another.
func ofChildren(n int, this, other string) func() (float64, error) {
	return func() (float64, error) {
		a, err := askChild(this, n)
		if err != nil {
			return 0, err
		}
		b, err := askChild(other, n)
		return a["inuse"] / b["inuse"], err
	}
}

func ofChild(name string, n int, figure string) func() (float64, error) {
	return func() (float64, error) {
		f, err := askChild(name, n)
		return f[figure], err
	}
}

func memoryGuards() []guard {
	return []guard{
		{
			name: "memory of blocked attempts", limit: 1.6, format: times,
			measure: ofChildren(50_000, "blocked/batch", "blocked/errgroup"),
		},
		{
			name: "memory of attempts blocked on their contexts", limit: 1.8, format: times,
			measure: ofChildren(50_000, "blocked/batch-context", "blocked/errgroup-context"),
		},
		{
			name: "memory of a suspended job", limit: 4 << 10, format: bytesText,
			measure: ofChild("jobs/suspended", 5_000, "inuse"),
		},
		{
			name: "memory of a job that waits for a retry", limit: 4 << 10, format: bytesText,
			measure: ofChild("jobs/waiting", 20_000, "inuse"),
		},
		{
			name: "memory of a million completions", limit: 32 << 20, format: bytesText,
			measure: ofChild("completions", 1_000_000, "peak"),
		},
	}
}

func allocGuards() []guard {
	var guards []guard
	for _, job := range steady {
		if job.fails == 0 {
			guards = append(guards, guard{"allocations per completion, " + job.name, allocLimit, fraction,
				func() (float64, error) {
					return allocsPerCompletion(job.library, 100_000, 2, 0)
				}})
		}
	}
	return guards
}
