package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mixesPlays are the mixes of features that recorded answers showed to be easy to get
// wrong, each in a variation of its own.
var mixesPlays = map[string]play{
	"R147 the last attempt of a work queue is judged by how it ends, if it ends at once": {
		spec: "queue P=2 replace=failed", script: `
			0s:      create
			1s:      ok 0
			2s:      delete 1 => is=running active=0
			2.0004s: fail 1   => is=Complete:CompletionsReached failed=1 succeeded=1`,
	},
	"R147 its success counts too": {spec: "queue P=2 replace=failed", script: `
			0s:      create
			1s:      ok 0
			2s:      evict 1 => is=running
			2.0004s: ok 1    => is=Complete:CompletionsReached failed=0 succeeded=2`},
	"R147 a job that does not wait for it is complete when it may be": {spec: "queue P=2 replace=failed", script: `
			0s:      create
			1s:      ok 0
			2s:      delete 1 => is=running
			2.001s:           => is=SuccessCriteriaMet:CompletionsReached
			9s:      fail 1   => is=Complete:CompletionsReached failed=0 succeeded=1`},
	"R147 its failure may be one too many": {spec: "queue P=2 L=0 replace=failed", script: `
			0s:      create
			1s:      ok 0
			2s:      evict 1 => is=running
			2.0004s: exit 143 1 => is=Failed:BackoffLimitExceeded failed=1 succeeded=1`},
	"R208 a rule of the failure policy judges it": {spec: "queue P=3 rule=FailJob:!7", script: `
			0s:      create
			1s:      ok 0
			2s:      delete 1 2 => is=running
			2.0004s: exit 7 1; exit 3 2 => is=Failed:PodFailurePolicy failed=2 succeeded=1`},
	"R181 an attempt that is lost after a restart is replaced after a delay": {spec: "onfailure L=9", script: `
			0s:  create
			3s:  fail 0 => restarts0=1
			20s: lose 0 => start= retry=30s`},
	"R181 also if it had waited for a restart before": {spec: "onfailure L=9", script: `
			0s:  create
			3s:  fail 0
			6s:  fail 0 => restart0=16s
			16s: => start=0
			30s: lose 0 => start= retry=40s`},
	"R137 one that waits for its restart is replaced after a delay from its last run": {spec: "onfailure L=9", script: `
			0s: create
			3s: fail 0
			6s: fail 0 => restart0=16s
			9s: lose 0 => start= retry=16s`},
	"R137 one that is not ready, from when that began": {spec: "L=9", script: `
			0s: create
			3s: unready 0
			6s: lose 0 => start= retry=13s`},
	"R188 the delay of an index counts from the last run of one that waits": {
		spec: "onfailure indexed perindex=9 P=3 C=3", script: `
			0s: create
			2s: fail 0 1 2
			4s: fail 0 1 2 => restart0=14s
			7s: delete 0; evict 1; lose 2 => start= retry=14s
			14s: => start=3,4,5 failed=3`,
	},
	"R188 one that is lost while it stops keeps its delay": {spec: "indexed perindex=9", script: `
			0s: create
			2s: delete 0
			5s: => retry=12s
			7s: lose 0 => retry=12s`},
	"R184 a failure from before the last success delays if it is seen after it": {spec: "onfailure P=2 C=2 L=9", script: `
			0s:  create
			3s:  fail 0
			6s:  fail 0 => restart0=16s
			9s:  ok 1
			12s: delete 0 => start= retry=16s`},
	"R184 not if both are seen in one look": {spec: "onfailure P=2 C=2 L=9", script: `
			0s:       create
			3s:       fail 0
			6s:       fail 0 => restart0=16s
			12s:      ok 1
			12.0005s: delete 0 => start=2 failed=1`},
	"R179 the delay counts from the failure that was seen last, though it is older": {
		spec: "onfailure P=2 C=2 L=9", script: `
			0s:  create
			3s:  fail 0
			6s:  fail 0 => restart0=16s
			9s:  kill 1
			11s: lose 0 => start= retry=26s`,
	},
	"R179 of those seen in one look, from the latest": {spec: "onfailure P=2 C=2 L=9", script: `
			0s:       create
			3s:       fail 0
			6s:       fail 0 => restart0=16s
			11s:      kill 1
			11.0005s: lose 0 => start= retry=31s`},
	"R152 a job that fails is cut": {spec: "indexed P=3 C=3 L=0", script: `
			0s:  create
			1s:  ok 2
			2s:  fail 0
			3s:  update P=1 C=1 => succeeded=0 completed=
			4s:  update P=3 C=3 => succeeded=0 completed=
			5s:  exit 143 1     => is=Failed:BackoffLimitExceeded failed=2 start=`},
	"R152 given up indexes go as well": {spec: "indexed P=3 C=3 perindex=0 maxfailed=0", script: `
			0s:  create
			1s:  fail 2
			2s:  update P=1 C=1 => givenup= is=FailureTarget:MaxFailedIndexesExceeded
			3s:  exit 143 0 1   => is=Failed:MaxFailedIndexesExceeded failed=3`},
	"R152 a job that succeeds is cut": {spec: "indexed P=3 C=3 success=all/1", script: `
			0s:   create
			1s:   ok 2
			1.1s:                => is=SuccessCriteriaMet:SuccessPolicy completed=2
			2s:   update P=1 C=1 => succeeded=0 completed=
			3s:   exit 143 0 1   => is=Complete:SuccessPolicy succeeded=0 failed=0`},
	"R282 a suspended job that has failed finishes when it is resumed": {spec: "L=3", script: `
			0s:  create
			3s:  fail 0
			8s:  update suspended
			15s: update L=0          => is=FailureTarget:BackoffLimitExceeded due=never
			20s: update L=6          => is=FailureTarget:BackoffLimitExceeded
			30s: update suspended=no => is=Failed:BackoffLimitExceeded failed=1`},
	"R282 a suspended job that has succeeded finishes when it is resumed": {spec: "indexed P=3 C=3", script: `
			0s: create
			1s: ok 0
			2s: update suspended; exit 143 1 2 => is=Suspended:JobSuspended started=no
			3s: update P=1 C=1    => is=SuccessCriteriaMet:CompletionsReached due=never
			9s: update suspended=no => is=Complete:CompletionsReached started=9s`},
	"R282 one without anything to do need not be": {spec: "indexed P=3 C=3", script: `
			0s: create
			2s: update suspended; exit 143 0 1 2
			3s: update P=0 C=0    => is=Complete:CompletionsReached started=no`},
	"R213 removal at once leaves no time to count": {spec: "indexed perindex=2 P=2 C=2", script: `
			0s: create
			1s: fail 0
			2s: remove => failed=0 is=gone`},
	"R213 removal after the attempts does": {spec: "indexed perindex=2 P=2 C=2", script: `
			0s: create
			1s: fail 0
			2s: remove linger => failed=1
			3s: exit 143 1 => is=gone`},
	"R162 an attempt that was restarted at once has been ready all along": {
		spec: "onfailure P=2 C=2 L=9 pending", script: `
			0s: create
			1s: start 0
			3s: start 1
			5s: fail 0 => restarts0=1
			9s: update P=1 => stop=1(scaled-down)`,
	},
	"R162 one that waited has not": {spec: "onfailure P=2 C=2 L=9 pending", script: `
			0s:  create
			1s:  start 0
			3s:  start 1
			5s:  fail 0
			6s:  fail 0 => restart0=16s
			20s: update P=1 => stop=0(scaled-down)`},
	"R242 what is not replaced yet has not failed once only ended attempts have": {spec: "indexed perindex=3", script: `
			0s:  create
			6s:  delete 0
			7s:  => failed=0 retry=16s
			10s: update replace=failed => retry=no
			14s: update L=0 => is=running failed=0
			31s: fail 0 => is=Failed:BackoffLimitExceeded failed=1`},
	"R134 what was counted for good stays counted": {spec: "P=2 C=2", script: `
			0s: create
			1s: delete 0
			2s: => failed=1 start=
			3s: update replace=failed => failed=1
			4s: ok 0 => failed=1 succeeded=0`},
}

func TestMixes(t *testing.T) { runPlays(t, mixesPlays) }

// restartPlays are about restarts while a job is about to end, and about what is due
// when an attempt ends.
var restartPlays = map[string]play{
	"R173 nothing is restarted while a failure settles": {spec: "onfailure L=0 customrestart", script: `
			0s:      create
			1s:      fail 0
			1s:      answer 0s => start=0 restarts0=1 is=running
			1.0001s: fail 0
			1.0001s: answer 0s => start=
			1.0005s: => start= restarts0=1
			1.001s:  => is=Failed:BackoffLimitExceeded failed=1 restarts0=1`},
	"R173 with a higher limit": {spec: "onfailure L=3 P=2 C=2 customrestart", script: `
			0s:      create
			1s:      fail 0
			1s:      answer 0s => start=0
			1s:      fail 0
			1s:      answer 0s => start=0 restarts0=2
			1s:      fail 1
			1s:      answer 0s => start=1 restarts1=1 is=running
			1.0002s: fail 0 1
			1.0002s: answer 0s; answer 0s => start=
			1.001s:  => is=Failed:BackoffLimitExceeded failed=2`},
	"R173 an attempt that fails just then is restarted once, as the kubelet does": {
		spec: "onfailure L=1 P=2 C=2", script: `
			0s:      create
			1s:      fail 0 => start=0
			1.0001s: fail 1 => start=1 restarts1=1
			1.0002s: fail 0 1 => start=
			1.001s:  => is=Failed:BackoffLimitExceeded failed=2`,
	},
	"restarts go on when the failure is off": {spec: "onfailure L=2 P=2 C=2 customrestart", script: `
			0s:      create
			1s:      fail 0 1
			1s:      answer 0s; answer 0s => start=0,1 is=running
			1.0001s: fail 1
			1.0001s: answer 0s => start=
			1.0002s: ok 0 => start=1 is=running succeeded=1`},
	"restarts go on when the limit is raised": {spec: "onfailure L=1 customrestart", script: `
			0s:      create
			1s:      fail 0
			1s:      answer 0s => start=0 is=running
			1.0001s: fail 0
			1.0001s: answer 0s => start=
			1.0002s: update L=9 => start=0 is=running`},
}

func TestRestarts(t *testing.T) { runPlays(t, restartPlays) }

// TestDueGoesFirst ends attempts at the very instant of a deadline, before any caller
// has given the job a Tick.
func TestDueGoesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		reason string // of the job
		told   string // of the attempt
	}{
		"the attempt's, with an error": {spec: "timeout=5s L=0", reason: "BackoffLimitExceeded", told: "DeadlineExceeded"},
		"the job's, with an error":     {spec: "deadline=5s L=0", reason: "DeadlineExceeded"},
		"both": {
			spec: "deadline=5s timeout=5s L=0", reason: "DeadlineExceeded", told: "DeadlineExceeded",
		},
	} {
		for _, code := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, exit code %d", name, code), func(t *testing.T) {
				w := newWorld(parseSpec(t, c.spec), false)
				w.step(Event{Kind: Created})
				a := w.attempt(0)
				w.now += Time(5 * time.Second)
				w.end(0, Result{Code: code, ErrorRule: None})
				require.NoError(t, w.err)
				require.Equal(t, c.told, a.Reason)
				require.NotContains(t, w.did, "stop:0(timeout)")
				require.NotContains(t, w.did, "stop:0(finished)")
				require.Equal(t, "Failed:"+c.reason, scriptLine{TB: t, world: w}.condition())
				require.Equal(t, 1, w.job.Failed)
			})
		}
	}
}

// TestALateEndChangesNothing lets the executor of a lost attempt return when the job
// has finished.
func TestALateEndChangesNothing(t *testing.T) {
	w := newWorld(parseSpec(t, "L=0"), false)
	w.step(Event{Kind: Created})
	a := w.attempt(0)
	w.step(Event{Kind: Disrupted, Attempt: a, Reason: ByKubelet})
	w.runUntil(w.now + Time(time.Second))
	require.NotZero(t, w.job.FinishedAt)

	a.Pinned = false // as the caller does when the executor has returned
	before := w.dump()
	w.now += Time(time.Second)
	w.end(0, Result{Code: 3, ErrorRule: 0, Permanent: true})
	require.NoError(t, w.err)
	require.Equal(t, before, w.dump())
}
