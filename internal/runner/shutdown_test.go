package runner

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/engine"
)

// Shutdown waits until nothing runs, and may look at any time. So what a step starts is
// counted before the lock of its job is released, and what gets a slot when it gets it.
func TestWhatStartsIsCountedAtOnce(t *testing.T) {
	for name, limit := range map[string]int{"without a limit": 0, "with slots": 20} {
		t.Run(name, func(t *testing.T) {
			r := New(Options{Parent: t.Context(), FinishedJobs: -1, Brief: true, MaxActive: limit})
			begun, release := make(chan Attempt, 10), make(chan struct{})
			def := definition(func(_ context.Context, x Attempt) error {
				begun <- x
				<-release // and not earlier: the count would change
				return nil
			})
			def.Spec.Parallelism, def.Spec.Completions, def.Spec.Delay, def.Spec.Suspend = 3, 9, 0, true
			j, err := r.Create(t.Context(), "j", def)
			require.NoError(t, err)
			require.Zero(t, r.running.Load())

			spec := *j.engine.Spec
			spec.Suspend = false
			require.EqualValues(t, 3, countedAfter(j, engine.Event{Kind: engine.Updated, Spec: new(spec)}), "resumed")
			for range 2 {
				<-begun
			}
			lost := (<-begun).run.attempt
			event := engine.Event{Kind: engine.Disrupted, Attempt: lost, Reason: engine.ByPodGC}
			require.EqualValues(t, 1, countedAfter(j, event), "in the place of one that is lost")
			<-begun
			spec.Parallelism = 5
			require.EqualValues(t, 2, countedAfter(j, engine.Event{Kind: engine.Updated, Spec: new(spec)}), "more at once")

			close(release)
			left, err := r.Shutdown(t.Context())
			require.NoError(t, err)
			require.True(t, left.IsZero())
			require.EqualValues(t, 0, countedAfter(j, engine.Event{Kind: engine.Updated, Spec: new(spec)}), "shut down")
		})
	}
}

// countedAfter is how many executions a step has counted before any has begun.
func countedAfter(j *Job, ev engine.Event) int64 {
	var e effects
	j.lock()
	before := j.r.running.Load()
	j.stepLocked(&e, ev)
	counted := j.r.running.Load() - before
	j.unlock()
	if counted == 0 { // they are in line
		before = j.r.running.Load()
		j.r.slots.handOut(&e)
		counted = j.r.running.Load() - before
	}
	j.r.perform(&e)
	return counted
}
