package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRest lets finished jobs rest and wakes them: nothing of them has changed, and
// nothing is to be saved.
func TestRest(t *testing.T) {
	rested, isSaved := 0, false
	for seed := uint64(1); seed <= 300; seed++ {
		s, saved := newSimulation(seed), disk{}
		if isSaved = !isSaved; isSaved {
			s.job.Track(describe)
		}
		s.after = func() {
			if s.job.FinishedAt == 0 || s.job.gone || len(s.job.live) > 0 {
				return
			}
			rested++
			if isSaved {
				saved.save(s.job)
			}
			s.job.Release()
			want := essence(s.job)
			rest := s.job.Rest()
			require.Equal(t, s.job.head().Outcome, rest.Outcome(), "seed %d", seed)
			completed, givenUp := rest.Sets()
			require.Equal(t, s.job.Completed.String()+"/"+s.job.GivenUp.String(), completed.String()+"/"+givenUp.String())
			for range 2 {
				woken := rest.Wake(s.job.ID, s.job.Spec, map[bool]func(*Attempt) []byte{true: describe}[isSaved])
				require.Equal(t, want, essence(woken), "seed %d", seed)
				require.Equal(t, s.job.Due(), woken.Due())
				require.Equal(t, s.job.Latest(), woken.Latest())
				require.NoError(t, woken.Check(), "seed %d", seed)
				if isSaved {
					woken.Save(func(key string, _ []byte) { t.Errorf("seed %d: record %q", seed, key) })
				}
			}
		}
		require.NoError(t, s.run(), "seed %d", seed)
	}
	require.Greater(t, rested, 100)
}

// TestLoadRest wants what LoadRest returns to be what Load would have come to.
func TestLoadRest(t *testing.T) {
	rested := 0
	for seed := uint64(1); seed <= 300; seed++ {
		s, saved := newSimulation(seed), disk{}
		s.job.Track(describe)
		s.after = func() {
			if s.job.gone {
				return
			}
			saved.save(s.job)
			short := disk{keyHead: saved[keyHead], keyEvents: saved[keyEvents]} // as if no history was kept
			got, latest, ok := LoadRest(short)
			require.Equal(t, s.job.FinishedAt != 0, ok, "seed %d", seed)
			if !ok {
				return
			}
			rested++
			loaded, err := short.load(s.job.ID, *s.job.Spec)
			require.NoError(t, err, "seed %d", seed)
			o := got.Outcome()
			require.Equal(t, loaded.Due(), o.Due(s.job.Spec.TTL), "seed %d", seed)
			require.Equal(t, loaded.Latest(), latest, "seed %d", seed)
			require.Equal(t, loaded.RestAfterLoad(short), got, "seed %d", seed)
		}
		require.NoError(t, s.run(), "seed %d", seed)
	}
	require.NotZero(t, rested)
}
