package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRenewDoesWhatEndedDoes gives two jobs of the same spec the same events,
// of which one job takes the short way wherever it can.
func TestRenewDoesWhatEndedDoes(t *testing.T) {
	renewed, retried, inLanes := 0, 0, 0
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 1))
		spec := renewSpec(random)
		short, long := New(Identity{Job: "j"}, &spec), New(Identity{Job: "j"}, &spec)
		now := Time(1000)
		both := func(ev Event, a, b *Attempt) {
			ev.At = now
			ev.Attempt = a
			short.Step(ev)
			ev.Attempt = b
			long.Step(ev)
		}
		both(Event{Kind: Created}, nil, nil)
		for step := range 200 {
			now = now.Add(time.Duration(random.IntN(3)) * time.Second)
			a, b := sameAttempts(short, long, random)
			switch {
			case a == nil:
				both(Event{Kind: Tick}, nil, nil)
			case random.IntN(6) == 0:
				failed := Result{Code: 1, ErrorRule: None, Permanent: random.IntN(20) == 0}
				if retryOrEnd(short, a, failed, now) {
					retried++
				}
				long.Ended(b, failed, now)
			case random.IntN(30) == 0:
				both(Event{Kind: AttemptDeleted}, a, b)
			case random.IntN(60) == 0:
				both(Event{Kind: Disrupted, Reason: "EvictionByEvictionAPI"}, a, b)
			case random.IntN(30) == 0:
				updated := updatedSpec(*short.Spec, random)
				both(Event{Kind: Updated, Spec: &updated}, nil, nil)
			default:
				if renewOrEnd(short, a, now) {
					renewed++
				}
				long.Ended(b, Result{ErrorRule: None}, now)
				for range random.IntN(4) * random.IntN(200) {
					now++
					inLanes += succeedInLane(short, long, now, random)
					if random.IntN(10) == 0 {
						short.Look(func(bool) {})
						require.Equal(t, figures(long), figures(short), "seed %d, step %d", seed, step)
					}
				}
				short.Collect()
			}
			require.NoError(t, short.Check(), "seed %d, step %d", seed, step)
			require.Equal(t, told(long), told(short), "seed %d, step %d", seed, step)
		}
	}
	require.Greater(t, renewed, 1_000, "the short way was hardly taken")
	require.Greater(t, retried, 25, "nor was that of failures")
	require.Greater(t, inLanes, 5_000, "nor were the lanes")
}

// renewOrEnd lets an attempt succeed, and reports whether that was the short way.
func renewOrEnd(j *Job, a *Attempt, now Time) bool {
	if j.Renew(a, now) {
		return true
	}
	j.Ended(a, Result{ErrorRule: None}, now)
	return false
}

// retryOrEnd lets an attempt fail, and reports whether that was the short way.
func retryOrEnd(j *Job, a *Attempt, failed Result, now Time) bool {
	if j.Retry(a, failed, now) != nil {
		return true
	}
	j.Ended(a, failed, now)
	return false
}

// succeedInLane lets an attempt succeed in a lane of the one job, if it can, and
// in the other one.
func succeedInLane(short, long *Job, now Time, random *rand.Rand) int {
	if len(short.Live()) == 0 {
		return 0
	}
	a := short.Live()[random.IntN(len(short.Live()))]
	seq := a.Seq
	l := laneOf(short, a)
	if l == nil || !l.Renew(a, now) {
		l = short.Lane(a, now)
		if l == nil || !l.Renew(a, now) {
			return 0
		}
	}
	for _, b := range long.Live() {
		if b.Seq == seq {
			long.Ended(b, Result{ErrorRule: None}, now)
			return 1
		}
	}
	panic("no such attempt")
}

func laneOf(j *Job, a *Attempt) *Lane {
	if j.history.lanes == nil {
		return nil
	}
	for _, l := range j.history.lanes.all {
		if l.isOpen && l.a == a {
			return l
		}
	}
	return nil
}

func renewSpec(random *rand.Rand) Spec {
	spec := Spec{Indexed: random.IntN(2) == 0, Completions: 50 + random.IntN(2000), Parallelism: 1 + random.IntN(5),
		BackoffLimit: 1000, BackoffLimitPerIndex: None, MaxFailedIndexes: None, ActiveDeadline: None, AttemptTimeout: None,
		TTL: None, Grace: 30 * time.Second, History: []int{0, 3, 20}[random.IntN(3)]}
	if spec.Indexed && random.IntN(3) > 0 {
		spec.BackoffLimitPerIndex = random.IntN(5)
		spec.FixedDelay = random.IntN(4) > 0
	}
	if random.IntN(3) == 0 {
		spec.ActiveDeadline = time.Duration(random.IntN(200)) * time.Second
	}
	return spec
}

func updatedSpec(spec Spec, random *rand.Rand) Spec {
	switch {
	case spec.Suspend:
		spec.Suspend = false
	case random.IntN(4) == 0:
		spec.Suspend = true
	case spec.Indexed && random.IntN(4) == 0:
		spec.Completions += random.IntN(200) - 100
		spec.Completions = max(1, spec.Completions)
	default:
		spec.Parallelism = 1 + random.IntN(5)
	}
	return spec
}

// sameAttempts picks a live attempt of one job at random, and that of the same
// number of the other.
func sameAttempts(j, other *Job, random *rand.Rand) (a, b *Attempt) {
	if len(j.Live()) == 0 {
		return nil, nil
	}
	a = j.Live()[random.IntN(len(j.Live()))]
	for _, b := range other.Live() {
		if b.Seq == a.Seq {
			return a, b
		}
	}
	return a, nil
}

// figures is what can be asked without a look at the attempts.
func figures(j *Job) string {
	return fmt.Sprint(j.Pending, j.Active, j.Ready, j.Terminating, j.Succeeded, j.Failed, j.Completed, j.GivenUp,
		j.LastFailure,
		j.StartTime, j.FinishedAt, j.Conditions, j.NextRetry(), j.Due(), j.Events())
}

// told is everything a job can be asked.
func told(j *Job) string {
	attempts := make(map[int64]string)
	for a := range j.All() {
		attempts[a.Seq] = fmt.Sprint(a.Index, a.Number, a.State, a.succeeded, a.Ready, a.Failures, a.Ignored, a.CreatedAt,
			a.StartedAt,
			a.FinishedAt, a.DeletedAt, a.HasExit, a.ExitCode)
	}
	return fmt.Sprint(figures(j), attempts)
}

func TestTimeInALaneDoesNotRunBackwards(t *testing.T) {
	m := newTreadmill(t, "P=8")
	a := m.running[0]
	l := m.job.Lane(a, m.now)
	require.True(t, l.Renew(a, m.now+10))
	require.True(t, l.Renew(a, m.now+5))
	require.Equal(t, m.now+10, a.StartedAt)
}
