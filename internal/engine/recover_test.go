package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A life is a world whose process can exit.
type life struct {
	*world
	t     *testing.T
	saved disk
}

func newLife(t *testing.T, spec string) *life {
	l := &life{newWorld(parseSpec(t, spec), false), t, disk{}}
	l.job.Track(describe)
	l.step(Event{Kind: Created})
	return l
}

// exit ends the process, and begins another one a second later in which the job has
// the same spec, or this one.
func (l *life) exit(spec ...string) {
	l.saved.save(l.job)
	next := *l.job.Spec
	for _, text := range spec {
		next = parseSpec(l.t, text)
	}
	loaded, err := l.saved.load(l.job.ID, next)
	require.NoError(l.t, err)
	now := l.now + Time(time.Second)
	l.world = newWorld(next, false)
	l.job, l.checker, l.now = loaded, newChecker(loaded, false), now
	l.checker.finished = loaded.FinishedAt != 0
	l.step(Event{Kind: Recovered})
	l.step(Event{Kind: Paused})
	require.NoError(l.t, l.err)
}

// wait lets everything that is due within an hour happen, and all attempts begin.
func (l *life) wait() {
	l.runUntil(l.now + Time(time.Hour))
	require.NoError(l.t, l.err)
}

func (l *life) condition() string { return scriptLine{TB: l.t, world: l.world}.condition() }

// succeed lets every attempt that runs, and those after it, succeed.
func (l *life) succeed() {
	for len(l.executing) > 0 {
		for seq := range l.executing {
			l.end(seq, Result{ErrorRule: None})
		}
		l.wait()
	}
}

func TestOneExitOfTheProcessFailsNoJob(t *testing.T) {
	for name, spec := range map[string]string{
		"many attempts":              "P=9 C=9",
		"no failure allowed":         "P=9 C=9 L=0",
		"indexed":                    "indexed P=9 C=9 L=0",
		"per index":                  "indexed perindex=0 maxfailed=0 P=9 C=9",
		"a work queue":               "queue P=9 L=0",
		"restarts":                   "onfailure P=9 C=9 L=0",
		"ended attempts count":       "replace=failed P=9 C=9 L=0",
		"a rule that does not match": "rule=FailJob:!0 P=9 C=9 L=0",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, spec)
			l.exit()
			require.Equal(t, "running", l.condition())
			require.Zero(t, l.job.Failed)
			require.Empty(t, l.executing, "the next ones wait")
			l.wait()
			require.Len(t, l.executing, 9)
			l.succeed()
			require.Equal(t, "Complete:CompletionsReached", l.condition())
		})
	}
}

func TestAnExitIsNotTheLastStraw(t *testing.T) {
	l := newLife(t, "P=3 C=9 L=3")
	for seq := range int64(3) {
		l.end(seq, Result{Code: 1, ErrorRule: None})
	}
	l.wait()
	l.exit()
	l.wait()
	require.Equal(t, 3, l.job.Failed)
	require.Equal(t, "running", l.condition())
	l.succeed()
	require.Equal(t, "Complete:CompletionsReached", l.condition())
}

func TestAnExitDelaysOnce(t *testing.T) {
	for name, spec := range map[string]string{"one count": "P=9 C=9", "per index": "indexed perindex=3 P=9 C=9"} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, spec)
			l.exit()
			require.Equal(t, l.now+Time(10*time.Second), l.job.NextRetry())
			l.wait()
			l.exit()
			require.Equal(t, l.now+Time(20*time.Second), l.job.NextRetry())
		})
	}
}

// TestAJobThatTakesItsProcessAlongFails counts the exits. In some cases other attempts
// succeed all the while.
func TestAJobThatTakesItsProcessAlongFails(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		exits  int
		others bool // all attempts but the first succeed each time
	}{
		"by default":                  {exits: 7},
		"with many attempts":          {spec: "P=9 C=9", exits: 7},
		"no failure allowed":          {spec: "L=0", exits: 2},
		"a work queue":                {spec: "queue P=4 L=2", exits: 3},
		"indexed":                     {spec: "indexed P=3 C=9", exits: 7},
		"one index of many":           {spec: "indexed P=3 C=90", exits: 7, others: true},
		"per index":                   {spec: "indexed perindex=2 P=3 C=9", exits: 3},
		"per index, none allowed":     {spec: "indexed perindex=0 P=3 C=9", exits: 2},
		"per index, one index of all": {spec: "indexed perindex=2 P=3 C=90", exits: 3, others: true},
		"restarts":                    {spec: "onfailure L=3", exits: 4},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, c.spec)
			for n := 1; ; n++ {
				if c.others {
					for seq, a := range l.executing {
						if a.Index > 0 {
							l.end(seq, Result{ErrorRule: None})
						}
					}
				}
				l.exit()
				if n == c.exits {
					break
				}
				require.Equal(t, "running", l.condition(), "after exit %d", n)
				l.wait()
				require.NotEmpty(t, l.executing)
			}
			l.runUntil(l.now + Time(settleTime))
			require.Equal(t, "Failed:ProcessExitLimitExceeded", l.condition())
			require.Zero(t, l.job.Failed)
		})
	}
}

func TestASuccessBeginsTheCountOfExitsAnew(t *testing.T) {
	l := newLife(t, "C=9 L=1")
	for n := range int64(4) {
		l.exit()
		require.Equal(t, "running", l.condition())
		l.wait()
		l.end(2*n+1, Result{ErrorRule: None})
		require.Len(t, l.executing, 1)
	}
}

func TestARuleSaysWhatAnExitMeans(t *testing.T) {
	for name, c := range map[string]struct{ spec, is string }{
		"each counts":     {spec: "rule=Count:DisruptionTarget P=3 C=3 L=2", is: "Failed:BackoffLimitExceeded"},
		"each is ignored": {spec: "rule=Ignore:DisruptionTarget P=3 C=3 L=0", is: "running"},
		"ignored, index":  {spec: "indexed perindex=0 rule=Ignore:DisruptionTarget P=3 C=3", is: "running"},
		"fails the job":   {spec: "rule=FailJob:DisruptionTarget P=3 C=3", is: "Failed:PodFailurePolicy"},
		"fails the index": {spec: "indexed perindex=9 rule=FailIndex:DisruptionTarget P=3 C=3", is: "Failed:FailedIndexes"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, c.spec)
			for range 20 {
				l.exit()
				l.wait()
				require.Equal(t, c.is, l.condition())
			}
		})
	}
}

// TestAttemptsThatAShutdownLeftBehind do not return although they are told to.
func TestAttemptsThatAShutdownLeftBehind(t *testing.T) {
	for name, c := range map[string]struct {
		spec  string
		exits int
	}{
		"one count":            {spec: "P=3 C=3 L=1", exits: 2},
		"ended attempts count": {spec: "replace=failed P=3 C=3 L=1", exits: 2},
		"indexed":              {spec: "indexed P=3 C=3 L=2", exits: 3},
		"per index":            {spec: "indexed perindex=2 P=3 C=3", exits: 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, c.spec)
			for n := 1; n < c.exits; n++ {
				l.step(Event{Kind: Interrupted, Keep: true})
				l.exit()
				require.Equal(t, "running", l.condition(), "after exit %d", n)
				l.wait()
				require.Len(t, l.executing, 3)
			}
			l.step(Event{Kind: Interrupted, Keep: true})
			l.exit()
			require.Equal(t, "Failed:ProcessExitLimitExceeded", l.condition())
			require.Zero(t, l.job.Failed)
		})
	}
}

// TestALineThatIsGone loads a job without a limit on what runs at once after one with
// it: what waited in line starts as if it were new.
func TestALineThatIsGone(t *testing.T) {
	l := newLife(t, "queued P=2 C=2 timeout=5s")
	require.Len(t, l.line, 2)
	l.exit("P=2 C=2 timeout=5s")
	require.Len(t, l.executing, 2)
	for _, a := range l.job.Live() {
		require.Equal(t, Running, a.Phase())
		require.Equal(t, l.now, a.StartedAt)
		require.True(t, a.Ready)
	}
	require.Zero(t, l.job.Pending)
	require.Equal(t, l.now+Time(5*time.Second), l.job.Due())
	l.runUntil(l.now + Time(5*time.Second))
	require.Contains(t, l.did, "stop:0(timeout)")
	require.Contains(t, l.did, "stop:1(timeout)")
}

func TestARestartInALineThatIsGone(t *testing.T) {
	l := newLife(t, "queued onfailure")
	l.begin(0)
	l.end(0, Result{Code: 1, ErrorRule: None})
	require.Len(t, l.line, 1)
	l.exit("onfailure")
	require.Len(t, l.executing, 1)
	a := l.attempt(0)
	require.Equal(t, 1, a.Restarts)
	require.True(t, a.Ready && a.active())
	require.Equal(t, StateRunning, a.State)
	spec := *l.job.Spec
	spec.Suspend = true
	l.step(Event{Kind: Updated, Spec: new(spec)})
	require.Contains(t, l.did, "stop:0(suspended)")
	require.NoError(t, l.err)
}
