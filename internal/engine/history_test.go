package engine

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// keptAttempts are the attempts that have ended and are kept, in order.
func keptAttempts(j *Job) []int64 {
	var kept []int64
	for a := range j.All() {
		if a.HasEnded() {
			kept = append(kept, a.Seq)
		}
	}
	slices.Sort(kept)
	return kept
}

func TestHistory(t *testing.T) {
	for name, c := range map[string]struct {
		play
		want []int64
	}{
		"nothing is kept": {play: play{"P=4 C=4 history=0", "0s: create\n0s: fail 0; ok 1 2"}},
		"the newest": {
			play: play{"P=4 C=4 history=2", "0s: create\n0s: ok 2; ok 0; ok 1"}, want: []int64{0, 1},
		},
		"failed ones are preferred": {
			play: play{"P=4 C=4 history=2", "0s: create\n0s: fail 2; ok 0; ok 1"}, want: []int64{1, 2},
		},
		"and then the newest": {
			play: play{"P=4 C=4 history=2", "0s: create\n0s: fail 2; fail 0; fail 1; ok 3"}, want: []int64{0, 1},
		},
		"a retained one is kept apart": {
			play: play{"P=3 C=3 history=0 indexed perindex=2", "0s: create\n0s: fail 1; ok 0"}, want: []int64{1},
		},
		"a smaller limit acts at once": {
			play: play{"P=4 C=4 history=9", "0s: create\n0s: ok 0 1; fail 2\n1s: update history=1"}, want: []int64{2},
		},
		"a success that was stopped": {
			play: play{"P=4 C=4 history=1", "0s: create\n0s: ok 3; delete 0\n1s: ok 0"}, want: []int64{0},
		},
		"successes in order of their ends, not of their kind": {
			play: play{"P=4 C=4 history=2", "0s: create\n0s: delete 0\n1s: ok 0\n2s: ok 1\n3s: ok 2"}, want: []int64{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.play.run(t)
			require.Equal(t, c.want, keptAttempts(w.job))
		})
	}
}

func TestHistoryTellsAllOfAPlainSuccess(t *testing.T) {
	w := play{"indexed P=2 C=2 perindex=3 rule=Ignore:9", `
		0s: create
		1s: exit 1 0
		11s: exit 9 2
		41s: => start=3
		42s: ok 3`}.run(t)
	for a := range w.job.All() {
		if a.Seq != 3 {
			continue
		}
		require.Equal(t, Attempt{Seq: 3, Index: 0, Number: 2, Failures: 1, Ignored: 1, State: StateEnded, succeeded: true,
			CreatedAt: epoch + 31e9, StartedAt: epoch + 31e9, FinishedAt: epoch + 42e9, HasExit: true, account: counted}, *a)
		return
	}
	t.Error("attempt 3 is not kept")
}

// What is recorded together is recorded in the order of the indexes, so that
// the same are kept each time.
func TestOrderOfRetainedAttempts(t *testing.T) {
	for name, end := range map[string]string{
		"at the end":       "5s:",
		"by deletion":      "4s: remove",
		"by fewer indexes": "4s: update P=0 C=0",
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				w := play{"indexed P=8 C=8 perindex=3 deadline=5s history=3", "0s: create\n1s: fail 3 6 0 1 7 2 5 4\n" + end}.run(t)
				require.Equal(t, []int64{5, 6, 7}, keptAttempts(w.job))
			}
		})
	}
}

// A job that only succeeds needs no more records than it has places.
func TestRecordsAreUsedAgain(t *testing.T) {
	for _, history := range []string{"0", "3", "1000"} {
		w := newWorld(parseSpec(t, "P=3 C=100 history="+history), false)
		w.step(Event{Kind: Created})
		records := make(map[*Attempt]bool)
		for seq := range int64(100) {
			records[w.attempt(seq)] = true
			w.end(seq, Result{ErrorRule: None})
		}
		require.NoError(t, w.err)
		require.NotZero(t, w.job.FinishedAt)
		require.LessOrEqual(t, len(records), 4, "history=%s", history)
	}
}

func TestAllStops(t *testing.T) {
	w := play{"P=3 C=6 indexed perindex=1", "0s: create\n0s: ok 0; fail 1; kill 2\n1s: delete 3"}.run(t)
	total := 0
	for range w.job.All() {
		total++
	}
	for n := range total {
		seen := 0
		for range w.job.All() {
			if seen++; seen > n {
				break
			}
		}
		require.Equal(t, n+1, seen)
	}
}
