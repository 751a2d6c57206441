package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// start is when the jobs of these tests start.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// after is that many milliseconds after the start.
func after(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// attempt is one of the given index that ran from one millisecond to another;
// it still runs if the latter is 0.
func attempt(index, number, from, to int, phase string) batch.AttemptStatus {
	a := batch.AttemptStatus{Index: index, Number: number, Phase: phase, CreatedAt: after(from), StartedAt: after(from)}
	if to > 0 {
		a.FinishedAt = after(to)
	}
	return a
}

func TestDrawLanes(t *testing.T) {
	const succeeded, failed, running = batch.AttemptSucceeded, batch.AttemptFailed, batch.AttemptRunning
	status := batch.Status{
		Name: "lanes", StartTime: start, Parallelism: 3, Completions: new(6), Succeeded: 4, Failed: 1, Active: 2,
	}
	attempts := []batch.AttemptStatus{
		attempt(0, 0, 0, 800, succeeded),
		attempt(1, 0, 0, 500, succeeded),
		attempt(2, 0, 0, 400, failed),
		attempt(2, 1, 700, 1800, succeeded),
		attempt(3, 0, 700, 0, running),
		attempt(4, 0, 800, 1500, succeeded),
		attempt(5, 0, 1500, 0, running),
	}
	require.Equal(t, `━━ 2. Parallelism 3, completions 6 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━

          0.00s           0.50s           1.00s           1.50s           2.00s
          ┴───────────────┴───────────────┴───────────────┴───────────────┴
          ┌───────────────────────┐┌─────────────────────┐┌╌╌╌╌╌╌╌╌╌╌┐
  slot 1  │           0           ││          4          ││    5     ╎
          └───────────────────────┘└─────────────────────┘└╌╌╌╌╌╌╌╌╌╌┘
          ┌──────────────┐      ┌─────────────────────────────────┐
  slot 2  │      1       │      │            2 retry 1            │
          └──────────────┘      └─────────────────────────────────┘
          ┌──────────┐          ┌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┐
  slot 3  │   2 ✗    │          │                 3                  ╎
          └──────────┘          └╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┘

  Running: 4/6 succeeded, 1 failed, 2 active
`, drawLanes(status, attempts, after(1900), 2*time.Second))
}

func TestTheAxisGrowsWithTheJob(t *testing.T) {
	status := batch.Status{StartTime: start, Parallelism: 1, Completions: new(1)}
	picture := drawLanes(
		status, []batch.AttemptStatus{attempt(0, 0, 0, 7300, batch.AttemptSucceeded)}, after(9000), time.Second,
	)
	require.Contains(t, picture, "0.00s            2.00s             4.00s            6.00s\n")
}

func TestAnAttemptTooShortForItsLabel(t *testing.T) {
	status := batch.Status{StartTime: start, Parallelism: 1, Completions: new(1)}
	picture := drawLanes(status, []batch.AttemptStatus{attempt(0, 0, 0, 1, batch.AttemptSucceeded)}, after(1), time.Second)
	require.Contains(t, picture, "  slot 1  ││\n")
}

func TestNobodyHasStartedYet(t *testing.T) {
	status := batch.Status{StartTime: start, Parallelism: 1, Completions: new(1)}
	require.NotContains(t, drawLanes(status, nil, after(0), time.Second), "slot")
}

func TestRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		1:                       1,
		3:                       5,
		400 * time.Millisecond:  500 * time.Millisecond,
		time.Second:             time.Second,
		1001 * time.Millisecond: 2 * time.Second,
		6 * time.Second:         10 * time.Second,
	} {
		require.Equal(t, want, roundUp(d))
	}
}
