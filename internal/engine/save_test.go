package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A disk has the records of a job as they were when it was last saved.
type disk map[string][]byte

func (d disk) save(j *Job) {
	j.Save(func(key string, value []byte) {
		if len(value) == 0 {
			delete(d, key)
		} else {
			d[key] = slices.Clone(value)
		}
	})
}

// load returns the job that was saved. The owner of an attempt is the text that
// describe gave it.
func (d disk) load(id Identity, spec Spec) (*Job, error) {
	return Load(id, &spec, maps.All(d), describe, func(a *Attempt, data []byte) {
		if want := string(describe(a)); string(data) != want {
			panic(fmt.Sprintf("attempt %d was saved with %q, want %q", a.Seq, data, want))
		}
	})
}

func describe(a *Attempt) []byte { return fmt.Appendf(nil, "attempt %d", a.Seq) }

// essence writes down what a loaded job must have in common with the saved one.
func essence(j *Job) string {
	var text strings.Builder
	put := func(name string, value any) { fmt.Fprintf(&text, "%s: %+v\n", name, value) }
	put("times", []Time{j.CreatedAt, j.StartTime, j.FinishedAt, j.DeletedAt, j.decideAt})
	put("conditions", j.Conditions)
	put("counters", []int{j.Pending, j.Active, j.Ready, j.Terminating, j.Abandoned, j.Succeeded, j.Failed, j.unrecorded,
		j.restarts, int(j.settling), int(j.created), j.wakes.Len(), j.retries.Len()})
	put("sets", []string{j.Completed.String(), j.GivenUp.String()})
	if j.target == nil { // indexes do not matter any more
		put("indexes", []any{
			j.indexes.returned.String(), j.indexes.next, j.indexes.returned.len(), j.indexes.highest,
		})
	}
	put("numbers", j.indexes.numbers())
	put("failures", j.indexes.failures)
	put("retry", []any{
		j.retry.n, j.retry.success, j.retry.last, j.retry.until, j.retry.asleep, j.retry.seen, j.snoozes, j.Run(),
		j.runStarts(), j.exits, j.outOfRange,
	})
	put("targets", string(asJSON([]*savedTarget{j.target.saved(), j.failJob.saved()})))
	put("last", j.LastFailure)
	put("events", j.Events())
	live := slices.SortedFunc(slices.Values(j.live), func(a, b *Attempt) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, a := range slices.Concat(live, j.history.succeeded.all(), j.history.failed.all()) {
		a := *a
		a.Owner, a.Pinned, a.Notify, a.Slack = nil, false, false, 0
		a.slot, a.wake, a.next, a.touched, a.saved = 0, min(a.wake, 1), nil, false, false
		a.wakeRetry = min(a.wakeRetry, 1)
		if a.past != nil {
			put("past", *a.past)
			a.past = nil
		}
		put("attempt", a)
	}
	for i := range j.history.plain.n {
		put("brief", *j.history.plain.at(i))
	}
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		put("retained", []any{i, j.retained[i].Seq, j.retained[i].retryAt})
	}
	return text.String()
}

// TestSavedJobIsTheSame saves random jobs now and then, and loads what was saved.
func TestSavedJobIsTheSame(t *testing.T) {
	for seed := uint64(1); seed <= 400; seed++ {
		s := newSimulation(seed)
		s.job.Track(describe)
		saved, every := disk{}, 1+int(seed)%7
		s.after = func() {
			if s.events%every != 0 || s.job.gone {
				return
			}
			saved.save(s.job)
			loaded, err := saved.load(s.job.ID, *s.job.Spec)
			require.NoError(t, err)
			loaded.pause(s.job.paused, s.job.now)
			want, got := strings.Split(essence(s.job), "\n"), strings.Split(essence(loaded), "\n")
			for i, line := range want {
				require.Equal(t, line, got[min(i, len(got)-1)], "seed %d, event %d: %s", seed, s.events, s.trace[len(s.trace)-1])
			}
			require.Len(t, got, len(want))
		}
		require.NoError(t, s.run(), "seed %d", seed)
	}
}

// crash lets the process end, and another one go on with what was saved.
func (s *simulation) crash(saved disk, spec Spec) error {
	if s.job.gone {
		return nil
	}
	newest := s.job.Spec
	loaded, err := saved.load(s.job.ID, spec)
	if err != nil {
		return err
	}
	s.job, s.checker = loaded, newChecker(loaded, false)
	s.checker.finished = loaded.FinishedAt != 0
	clear(s.executing)
	clear(s.line)
	s.asked, s.askedOf = nil, nil
	s.tell(func() { s.step(Event{Kind: Recovered, Await: s.awaits}) })
	s.tell(func() { s.step(Event{Kind: Paused}) })
	if s.job.FinishedAt == 0 && !s.job.gone { // what was not saved of it is declared again
		s.tell(func() { s.step(Event{Kind: Updated, Spec: newest}) })
	}
	return s.err
}

// A promise is what has been reported of a job, which must stay true.
type promise struct {
	run               int
	succeeded, failed int
	completed         string
	finished          []Condition
	spec              Spec
}

func promiseOf(j *Job) promise {
	t := promise{run: j.Run(), succeeded: j.Succeeded, failed: j.Failed, completed: j.Completed.String(), spec: *j.Spec}
	if j.FinishedAt != 0 {
		t.finished = slices.Clone(j.Conditions)
	}
	return t
}

// isTrueOf compares, unless completions have been taken back by a resize or the job was
// run again.
func (old promise) isTrueOf(j *Job) error {
	now := promiseOf(j)
	if j.Spec.Completions < old.spec.Completions || now.run > old.run {
		return nil
	}
	if now.succeeded < old.succeeded || now.failed < old.failed {
		return fmt.Errorf(
			"%d succeeded, %d failed: less than %d and %d", now.succeeded, now.failed, old.succeeded, old.failed,
		)
	}
	if old.finished != nil && !slices.Equal(now.finished, old.finished) {
		return fmt.Errorf("finished with %v, then %v", old.finished, now.finished)
	}
	return nil
}

// TestCrashes lets the process of random jobs end again and again, some after
// every event. The job goes on from what was saved last, keeps what was told
// until then, and comes to its end.
func TestCrashes(t *testing.T) {
	crashes := 0
	for seed := uint64(1); seed <= 600; seed++ {
		s := newSimulation(seed)
		s.checker.exact = false
		s.job.Track(describe)
		r := rand.New(rand.NewPCG(seed, 99))
		saved, spec, before := disk{}, s.job.Spec, promise{}
		most, crashing := 40, false
		s.after = func() {
			if crashing {
				return
			}
			if r.IntN(3) > 0 && !s.job.gone {
				saved.save(s.job)
				spec, before = s.job.Spec, promiseOf(s.job)
			}
			if most == 0 || len(saved) == 0 || s.job.gone || seed%3 == 0 && r.IntN(10) > 0 {
				return
			}
			most--
			crashes++
			crashing = true
			s.err = s.crash(saved, *spec)
			crashing = false
			require.NoError(t, s.err, "seed %d", seed)
			require.NoError(t, before.isTrueOf(s.job), "seed %d", seed)
		}
		require.NoError(t, s.run(), "seed %d", seed)
	}
	require.Greater(t, crashes, 5000)
}

// String is what the sets hold.
func (r *returned) String() string {
	if r == nil {
		return new(returned).String()
	}
	return r.all.String() + " ready " + r.ready.String()
}
