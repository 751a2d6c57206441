package prometheus

import (
	"maps"
	"slices"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// limits are the limits that jobs share. Those that have been seen keep their series.
type limits struct {
	names           names
	slots, attempts *client.Desc
}

func newLimits() *limits {
	return &limits{
		slots: client.NewDesc("batch_limit_slots", "The most that may have a limit at once.", []string{"limit"}, nil),
		attempts: client.NewDesc("batch_limit_attempts",
			"Attempts that need a limit, by phase: pending ones are in line, the others have it.",
			[]string{"limit", "phase"}, nil),
	}
}

func (l *limits) describe(ch chan<- *client.Desc) {
	ch <- l.slots
	ch <- l.attempts
}

// count counts the attempts of a job for each limit that it needs.
func (l *limits) count(phases map[string]map[string]int, s *batch.Status, needed []string) {
	for _, name := range needed {
		name = l.names.label(name)
		if phases[name] == nil {
			phases[name] = noPhases()
		}
		addPhases(phases[name], s)
	}
}

// collect gives what was counted, and zeros for the other limits that are known.
func (l *limits) collect(ch chan<- client.Metric, options map[string]batch.Limit, phases map[string]map[string]int) {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if most := options[name].Active; most != nil && l.names.label(name) != otherName {
			ch <- gauge(l.slots, float64(*most), name)
		}
	}
	for _, name := range l.names.all() {
		counted := phases[name]
		if counted == nil {
			counted = noPhases()
		}
		for phase, n := range counted {
			ch <- gauge(l.attempts, float64(n), name, phase)
		}
	}
}
