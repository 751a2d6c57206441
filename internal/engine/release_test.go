package engine

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// An owned is what a caller keeps with an attempt.
type owned struct{ _ [1 << 10]byte }

// owners gives each attempt of the world's job an owner, and returns a way to count
// those that are still reachable.
func owners(w *world) (reachable func() int) {
	var all []weak.Pointer[owned]
	for _, a := range w.job.live {
		if a.Owner == nil {
			o := new(owned)
			a.Owner = o
			all = append(all, weak.Make(o))
		}
	}
	return func() (n int) {
		runtime.GC()
		for _, o := range all {
			if o.Value() != nil {
				n++
			}
		}
		return n
	}
}

// letGo drops what the world itself refers to, except the job.
func (w *world) letGo() *Job {
	clear(w.executing)
	clear(w.line)
	j := w.job
	*w = world{}
	return j
}

// TestReleaseForEachWayAJobCanGo wants nothing to be reachable of a job but what can
// be asked about.
func TestReleaseForEachWayAJobCanGo(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		last string // the end of the script
		kept int    // owners of attempts in the history of a job that has finished
	}{
		"it succeeds":                 {spec: "P=9 C=9 history=0", last: "1s: ok 0 1 2 3 4 5 6 7 8", kept: 0},
		"it succeeds, with a history": {spec: "P=9 C=9", last: "1s: ok 0 1 2 3 4 5 6 7 8", kept: 0},
		"it fails":                    {spec: "P=9 C=9 L=0 history=0", last: "1s: fail 0 1 2 3 4 5 6 7 8", kept: 0},
		"it fails, with a history":    {spec: "P=9 C=9 L=0 history=4", last: "1s: fail 0 1 2 3 4 5 6 7 8", kept: 4},
		"its time is up":              {spec: "P=9 C=9 deadline=1s history=0", last: "1s: fail 0 1 2 3 4 5 6 7 8", kept: 0},
		"an index fails": {
			spec: "indexed perindex=0 P=9 C=9 history=0", last: "1s: ok 0 1 2 3 4 5 6 7; fail 8", kept: 0,
		},
		"it expires":                 {spec: "P=9 C=9 ttl=1s L=0", last: "1s: fail 0 1 2 3 4 5 6 7 8\n9s:", kept: 0},
		"it is removed":              {spec: "P=9 C=9", last: "1s: remove\n2s: fail 0 1 2 3 4 5 6 7 8", kept: 0},
		"it is removed as an orphan": {spec: "P=9 C=9", last: "1s: remove orphan\n2s: fail 0 1 2 3 4 5 6 7 8", kept: 0},
		"it is removed after its pods": {spec: "indexed perindex=9 P=9 C=9",
			last: "1s: fail 3\n1s: remove linger\n2s: ok 0 1 2 4 5 6 7 8",
			kept: 0},
		"it is removed while it waits": {spec: "queued P=9 C=9", last: "1s: remove", kept: 0},
		"it is removed while suspended": {
			spec: "P=9 C=9", last: "1s: update suspended; fail 0 1 2 3 4 5 6 7 8\n2s: remove", kept: 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := play{c.spec, "0s: create"}.run(t)
			require.NotNil(t, w.job.Find(w.job.ID.AttemptUID(0)))
			reachable := owners(w)
			require.Equal(t, 9, reachable())
			play{script: c.last}.goOn(t, w)
			require.True(t, w.job.FinishedAt != 0 || w.job.gone)
			if c.kept == 0 && w.job.gone || w.job.Spec.History == 0 {
				c.kept = 0
			}
			j := w.letGo()
			j.Release()
			require.Equal(t, c.kept, reachable())
			require.NoError(t, j.Check())
			runtime.KeepAlive(j)
		})
	}
}

// TestAStepLetsGoOfTheOneBefore wants actions not to keep attempts reachable.
func TestAStepLetsGoOfTheOneBefore(t *testing.T) {
	w := play{"P=1 C=9 L=0 history=0 ttl=1h", "0s: create"}.run(t)
	a := w.attempt(0)
	a.Notify = true
	w.job.Pin(a)
	reachable := owners(w)
	w.executing[0] = nil
	for _, act := range w.job.Ended(a, Result{Code: 1, ErrorRule: None}, w.now) {
		require.NotEqual(t, Start, act.Kind)
	}
	a = nil
	j := w.letGo()
	j.Step(Event{Kind: Tick, At: epoch + Time(time.Second)})
	require.Zero(t, reachable())
	runtime.KeepAlive(j)
}

// TestALargeStepIsNotRememberedForEver bounds what a job keeps for its next step.
func TestALargeStepIsNotRememberedForEver(t *testing.T) {
	w := play{"P=10000 C=10000", "0s: create\n1s: update P=1"}.run(t)
	w.step(Event{Kind: Tick})
	require.LessOrEqual(t, cap(w.job.out), largeBuffer)
}

func TestReleaseOfAJobThatRunsChangesNothing(t *testing.T) {
	w := play{"P=4 C=9 L=9", "0s: create\n0s: fail 2; ok 0"}.run(t)
	before := w.dump()
	w.job.Release()
	require.Equal(t, before, w.dump())
	require.NoError(t, w.job.Check())
}
