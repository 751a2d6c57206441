package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFindFindsWhatAllYields looks up every attempt of random jobs after each event,
// and attempts that are not there any more.
func TestFindFindsWhatAllYields(t *testing.T) {
	for seed := uint64(1); seed <= 30; seed++ {
		s := newSimulation(seed)
		s.after = func() {
			if s.events%(1+int(seed)%7) != 0 {
				return // the finder is kept up to date meanwhile
			}
			there := make(map[int64]bool)
			for a := range s.job.All() {
				there[a.Seq] = true
				for _, text := range []string{s.job.ID.Name(a.Seq, a.Index), s.job.ID.AttemptUID(a.Seq)} {
					got := s.job.Find(text)
					require.NotNil(t, got, "seed %d: attempt %d as %s", seed, a.Seq, text)
					require.Equal(t, a.Seq, got.Seq)
					require.Equal(t, a.Phase(), got.Phase())
				}
			}
			for seq := max(0, s.job.created-50); seq < s.job.created; seq++ {
				if !there[seq] {
					require.Nil(t, s.job.Find(s.job.ID.AttemptUID(seq)), "seed %d: attempt %d", seed, seq)
				}
			}
		}
		require.NoError(t, s.run(), "seed %d", seed)
	}
}

func TestFindWhatNeverWas(t *testing.T) {
	w := play{"P=3 C=3", "0s: create"}.run(t)
	id := w.job.ID
	other := Identity{Job: "other", UID: [16]byte{9: 3}}
	for _, text := range []string{"", "x", "job-", "job-bbbbb", id.Name(3, None), id.Name(0, 0), id.AttemptUID(3),
		other.Name(0, None), other.AttemptUID(0), "job-1bbbb", id.String(), id.AttemptUID(0)[1:] + "g"} {
		require.Nil(t, w.job.Find(text), "%q", text)
	}
}

// TestNamesAndUIDsCanBeUndone goes back from what an attempt is called to its place.
func TestNamesAndUIDsCanBeUndone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var id Identity
		id.Job = "job"
		for i := range id.UID {
			id.UID[i] = byte(r.Uint32())
		}
		seq := r.Int64N(1 << (1 + r.IntN(50)))
		got, ok := id.seqOfUID(id.AttemptUID(seq))
		require.True(t, ok)
		require.Equal(t, seq, got)
		got, ok = id.seqOfSuffix(id.Name(seq, r.IntN(9)-1))
		require.True(t, ok)
		require.Equal(t, seq%suffixes, got)
	}
}

// TestNamesThatRepeat finds the newest attempt of a name first.
func TestNamesThatRepeat(t *testing.T) {
	id := Identity{Job: "job"}
	var places []int64
	for seq := range id.candidates(id.Name(7, None), 3*suffixes) {
		places = append(places, seq)
	}
	require.Equal(t, []int64{7 + 2*suffixes, 7 + suffixes, 7}, places)
}

// TestALookUpDoesNotGrowWithTheJob counts what is allocated: a copy of a brief at most.
func TestALookUpDoesNotGrowWithTheJob(t *testing.T) {
	w := play{"P=2000 C=2000", "0s: create"}.run(t)
	name := w.job.ID.Name(1500, None)
	require.NotNil(t, w.job.Find(name))
	built := w.job.history.finder
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { w.job.Find(name) }), 6.0)
	w.end(3, Result{Code: 1, ErrorRule: None})
	require.NotNil(t, w.job.Find(name))
	require.Same(t, built, w.job.history.finder, "it was kept up to date")
}

// TestTheFinderIsDroppedWhenNobodyAsks lets steady jobs pay for it no longer.
func TestTheFinderIsDroppedWhenNobodyAsks(t *testing.T) {
	m := newTreadmill(t, "P=8")
	m.job.Find(m.job.ID.Name(m.running[0].Seq, None))
	require.NotNil(t, m.job.history.finder)
	for range 20000 {
		m.step()
	}
	require.Nil(t, m.job.history.finder)
}
