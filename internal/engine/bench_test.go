package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// benchSpecs are jobs without end, of the kinds whose paths differ.
var benchSpecs = map[string]string{
	"NonIndexed": "P=8",
	"Indexed":    "P=8 indexed",
	"PerIndex":   "P=8 indexed perindex=2",
	"Queued":     "P=8 queued",
}

// A treadmill lets attempts succeed, oldest first, each of which makes room
// for another.
type treadmill struct {
	job     *Job
	now     Time
	running []*Attempt
	oldest  int
}

func newTreadmill(tb testing.TB, spec string) *treadmill {
	s := parseSpec(tb, spec)
	s.Completions = 1 << 40
	m := &treadmill{job: New(Identity{Job: "job"}, &s), now: epoch}
	for _, act := range m.job.Step(Event{Kind: Created, At: m.now}) {
		m.running = append(m.running, act.Attempt)
	}
	for range 5000 { // until records are used again
		m.step()
	}
	return m
}

func (m *treadmill) step() {
	m.now++
	a := m.running[m.oldest]
	a.Pinned = false
	actions := m.job.Ended(a, Result{ErrorRule: None}, m.now)
	if len(actions) != 1 || actions[0].Kind != Start {
		panic("a success starts one attempt")
	}
	next := actions[0].Attempt
	m.job.Pin(next)
	if m.job.Spec.QueuesStarts {
		m.job.Step(Event{Kind: Started, Attempt: next, At: m.now})
	}
	m.running[m.oldest] = next
	m.oldest++
	if m.oldest == len(m.running) {
		m.oldest = 0
	}
}

func BenchmarkStep(b *testing.B) {
	for name, spec := range benchSpecs {
		b.Run(name, func(b *testing.B) {
			m := newTreadmill(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				m.step()
			}
		})
	}
}

// BenchmarkStepAtSize shows that the cost does not grow with what is done.
func BenchmarkStepAtSize(b *testing.B) {
	for name, done := range map[string]int{"10k": 10_000, "10M": 10_000_000} {
		b.Run(name, func(b *testing.B) {
			m := newTreadmill(b, "P=8 indexed")
			for range done {
				m.step()
			}
			for b.Loop() {
				m.step()
			}
		})
	}
}

// A completion in steady state allocates nothing, except the index set, which
// grows by a few bytes for thousands of indexes.
func TestStepDoesNotAllocate(t *testing.T) {
	for name, spec := range benchSpecs {
		t.Run(name, func(t *testing.T) {
			m := newTreadmill(t, spec)
			require.Zero(t, testing.AllocsPerRun(20_000, m.step))
			require.NoError(t, m.job.Check())
		})
	}
}

// BenchmarkFailure is a failed attempt and the one that replaces it after a
// delay.
func BenchmarkFailure(b *testing.B) {
	for name, spec := range map[string]string{"NonIndexed": "L=1000000000", "PerIndex": "indexed perindex=1000000000"} {
		b.Run(name, func(b *testing.B) {
			j := New(Identity{Job: "job"}, new(parseSpec(b, spec)))
			actions := j.Step(Event{Kind: Created, At: epoch})
			b.ReportAllocs()
			for b.Loop() {
				a := actions[0].Attempt
				j.Ended(a, Result{Code: 1, ErrorRule: None}, j.now+1)
				actions = j.Step(Event{Kind: Tick, At: j.Due()})
			}
		})
	}
}

func (m *treadmill) renew() {
	m.now++
	if !m.job.Renew(m.running[m.oldest], m.now) {
		panic("a plain success is not plain")
	}
	m.oldest = (m.oldest + 1) % len(m.running)
}

func BenchmarkRenew(b *testing.B) {
	for _, name := range []string{"NonIndexed", "Indexed", "PerIndex"} {
		b.Run(name, func(b *testing.B) {
			m := newTreadmill(b, benchSpecs[name])
			b.ReportAllocs()
			for b.Loop() {
				m.renew()
			}
		})
	}
}

func TestRenewDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"NonIndexed", "Indexed", "PerIndex"} {
		m := newTreadmill(t, benchSpecs[name])
		require.Zero(t, testing.AllocsPerRun(20_000, m.renew), name)
		require.NoError(t, m.job.Check())
	}
}
