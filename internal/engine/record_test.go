package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// finishedJob is a job that has been saved and is over.
func finishedJob(t *testing.T) (*Job, disk) {
	t.Helper()
	for seed := uint64(1); ; seed++ {
		s := newSimulation(seed)
		s.job.Track(describe)
		saved, last := disk{}, disk(nil)
		s.after = func() {
			if saved.save(s.job); !s.job.gone {
				last = maps.Clone(saved)
			}
		}
		require.NoError(t, s.run())
		job, err := last.load(s.job.ID, *s.job.Spec)
		if err == nil && job.FinishedAt != 0 && job.LastFailure.At != 0 && job.history.size() > 1 {
			return job, last
		}
	}
}

// A record that lacks its end, or has more behind it, is not taken for another one.
func TestCutRecordsAreRefused(t *testing.T) {
	job, saved := finishedJob(t)
	for _, key := range []string{keyHead, keyEvents} {
		whole := saved[key]
		for n := range whole {
			saved[key] = whole[:n]
			_, err := saved.load(job.ID, *job.Spec)
			require.ErrorContains(t, err, `record "`+key+`": `, "%d of %d bytes", n, len(whole))
		}
		saved[key] = append(slices.Clone(whole), 0)
		_, err := saved.load(job.ID, *job.Spec)
		require.ErrorContains(t, err, `record "`+key+`": damaged`)
		saved[key] = whole
	}
}

// A record that says what cannot be is refused.
func TestImpossibleHeadsAreRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*Job)
		want   string
	}{
		"finished without a condition": {
			change: func(j *Job) { j.Conditions = nil },
			want:   "finished without a condition",
		},
		"finished with live attempts": {
			change: func(j *Job) { j.live = []*Attempt{{Index: None}} },
			want:   "finished, and attempts have not",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			job, saved := finishedJob(t)
			tc.change(job)
			saved[keyHead] = job.encodeHead()
			for _, a := range job.live {
				saved[numbered(keyAttempt, a.Seq)] = asJSON(job.tracker.saved(a))
			}
			_, err := saved.load(job.ID, *job.Spec)
			require.EqualError(t, err, `record "head": `+tc.want)
		})
	}
}

// A job to which nothing happens has nothing to be saved, however often it is held back
// and let go on. What it saves with a change says how late it is.
func TestTimeIsNoChange(t *testing.T) {
	job := New(Identity{Job: "j"}, &Spec{Completions: 1, Parallelism: 1, Suspend: true, BackoffLimitPerIndex: None,
		ActiveDeadline: None, AttemptTimeout: None, TTL: None, MaxFailedIndexes: None})
	job.Track(describe)
	saved := disk{}
	job.Step(Event{Kind: Created, At: 1})
	saved.save(job)
	events := []Event{
		{Kind: Paused, Pause: true}, {Kind: Paused}, {Kind: Tick}, {Kind: Halted}, {Kind: Interrupted, Keep: true},
	}
	for _, ev := range events {
		ev.At = job.now + 1000
		job.Step(ev)
		job.Save(func(key string, value []byte) { t.Errorf("event %d: record %q", ev.Kind, key) })
	}
	spec := *job.Spec
	spec.Suspend = false
	job.halted = false
	job.Step(Event{Kind: Updated, Spec: new(spec), At: 1_000_000})
	saved.save(job)
	loaded, err := saved.load(job.ID, spec)
	require.NoError(t, err)
	require.Equal(t, Time(1_000_000), loaded.Latest())
}
