package main

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/race"
)

func TestMain(m *testing.M) {
	if runIfChild(os.Stdout) {
		return
	}
	os.Exit(m.Run())
}

// A guard fails when something has become much dearer than it is meant to be.
// Its limits are ratios of times measured in one run, far enough from what they
// are on a quiet machine that a busy one does not cross them, and near enough to
// show that a short way is not taken any more; sizes and allocations are exact.
type guard struct {
	name    string
	limit   float64
	format  func(float64) string
	measure func() (float64, error)
}

// tries is how often a guard measures before it fails: a machine that is busy
// with something else is not a regression.
const tries = 5

func TestBudgets(t *testing.T) {
	if testing.Short() {
		t.Skip("measures times")
	}
	if race.Enabled {
		t.Skip("the race detector changes what things cost")
	}
	for _, g := range slices.Concat(timeGuards(), growthGuards(), memoryGuards(), allocGuards()) {
		t.Run(g.name, func(t *testing.T) {
			least := 0.0
			for i := range tries {
				got, err := g.measure()
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("measured %s, the limit is %s", g.format(got), g.format(g.limit))
				if got <= g.limit {
					return
				}
				if i == 0 || got < least {
					least = got
				}
			}
			t.Errorf("%s: at least %s in %d tries, want at most %s", g.name, g.format(least), tries, g.format(g.limit))
		})
	}
}

// against measures how much longer one contender takes than another.
func against(w work, this, other contender) func() (float64, error) {
	return func() (float64, error) {
		c := &comparison{work: &w, contenders: []contender{this, other}, rounds: 5, results: make(map[string]series)}
		if err := c.measure(); err != nil {
			return 0, err
		}
		return c.ratio(this.name, other.name).median, nil
	}
}

func timeGuards() []guard {
	plain := contender{nameBatch, library{}.run}
	indexed := contender{"batch, Indexed", library{indexed: true, perIndex: true}.run}
	raw, channel, group := contender{nameRaw, runRaw}, contender{
		nameChannel, runChannel(100),
	}, contender{nameErrgroup, runErrgroup}
	looked := contender{"looked on", library{watched: true, polled: true}.run}
	noop2, noop64 := work{n: 100_000, p: 2, do: nothing}, work{n: 100_000, p: 64, do: nothing}
	return []guard{
		{name: "no-op p=2 against errgroup", limit: 0.3, format: times, measure: against(noop2, plain, group)},
		{name: "no-op p=64 against errgroup", limit: 0.4, format: times, measure: against(noop64, plain, group)},
		{
			name: "no-op p=2 Indexed with a limit per index against errgroup", limit: 0.6, format: times,
			measure: against(noop2, indexed, group),
		},
		{name: "no-op p=2 against a channel-fed pool", limit: 2.5, format: times, measure: against(noop2, plain, channel)},
		{name: "no-op p=64 against a channel-fed pool", limit: 2.5, format: times, measure: against(noop64, plain, channel)},
		{
			name: "10 µs of CPU against goroutines", limit: 1.15, format: times,
			measure: against(work{n: 5_000, p: 2, do: burn(10 * time.Microsecond)}, plain, raw),
		},
		{name: "failing twice against errgroup and backoff", limit: 0.6, format: times,
			measure: against(work{n: 20_000, p: 2, do: nothing, fails: 2},
				contender{nameBatch, library{indexed: true, perIndex: true}.run}, contender{nameBackoff, runBackoff})},
		{name: "watched and polled against alone", limit: 5, format: times, measure: against(noop2, looked, plain)},
	}
}

// steeper measures how much more a unit of work costs at the large size than at
// the small one. The small one is done so often that a sample has enough units.
func steeper(small, large, enough int, do func(int) error) func() (float64, error) {
	return func() (float64, error) {
		c, err := grow(3, []int{small, large}, enough, itself, do)
		if err != nil {
			return 0, err
		}
		return c.ratio(1, 0).median, nil
	}
}

func growthGuards() []guard {
	return []guard{
		{
			name: "growth of an Indexed job", limit: 1.6, format: times,
			measure: steeper(10_000, 500_000, 100_000, func(n int) error {
				return library{indexed: true}.run(&work{n: n, p: 2, do: nothing})
			}),
		},
		{
			name: "growth with scattered failures", limit: 1.6, format: times,
			measure: steeper(10_000, 200_000, 100_000, scattered),
		},
		{name: "growth by fragments", limit: 1.8, format: times, measure: steeper(10_000, 200_000, 100_000, alternating)},
		{name: "growth by jobs", limit: 3, format: times, measure: steeper(100, 10_000, 10_000, manyJobs)},
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
