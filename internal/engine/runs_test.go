package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRuns: of an attempt that is restarted in place the latest runs are kept, each with
// its own end, also over a restart of the process.
func TestRuns(t *testing.T) {
	const second = Time(time.Second)
	j := New(Identity{}, &Spec{Completions: 1, Parallelism: 1, BackoffLimit: 99, BackoffLimitPerIndex: None,
		OnFailure: true, CustomRestartDelay: true, MaxFailedIndexes: None, AttemptTimeout: None, ActiveDeadline: None,
		TTL: None})
	j.Step(Event{Kind: Created, At: second})
	a := j.live[0]
	require.Empty(t, a.Runs())
	var want []Run
	for i := range Time(keptRuns + 5) {
		start := second + 10*i*second
		j.Step(Event{Kind: Ended, Attempt: a, Result: Result{Code: int(i) + 1}, At: start + second})
		want = append(want, Run{start, start + second, int(i) + 1, true})
		require.Equal(t, want[max(0, len(want)-keptRuns):], a.Runs())
		j.Step(Event{Kind: RestartDelayKnown, Attempt: a, Delay: 9 * time.Second, At: start + second})
		j.Step(Event{Kind: Tick, At: start + 10*second})
	}
	want = append(want, Run{StartedAt: want[len(want)-1].EndedAt + 9*second})
	require.Equal(t, want[len(want)-keptRuns:], a.Runs())
	saved := (&tracker{describe: func(*Attempt) []byte { return nil }}).saved(a)
	require.Equal(t, a.Runs(), saved.attempt().Runs())
	j.Step(Event{Kind: Ended, Attempt: a, At: 1000 * second})
	last := a.Runs()[keptRuns-1]
	require.Equal(t, Run{want[len(want)-1].StartedAt, 1000 * second, 0, true}, last)
}
