package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var attemptPlays = map[string]play{
	"R191 restart delays": {spec: "onfailure L=99", script: `
			0s:   create
			1s:   fail 0 => start=0 restarts0=1
			2s:   fail 0 => start= restart0=12s ready=0 active=1
			12s:         => start=0 restarts0=2
			13s:  fail 0 => restart0=33s
			33s:  fail 0 => restart0=1m13s
			73s:  fail 0 => restart0=2m33s
			153s: fail 0 => restart0=5m13s
			313s: fail 0 => restart0=10m13s
			613s: fail 0 => restart0=15m13s restarts0=7
			913s: ok 0   => is=Complete:CompletionsReached failed=0 restarts0=8`},
	"R192 a long run": {spec: "onfailure L=99", script: `
			0s:   create
			1s:   fail 0
			2s:   fail 0 => restart0=12s
			12s:
			613s: fail 0 => start=0 restarts0=3
			614s: fail 0 => restart0=10m24s`},
	"R173 the first restart with limit 0": {spec: "onfailure L=0", script: `
			0s: create
			1s: fail 0 => start=0
			2s:        => is=FailureTarget:BackoffLimitExceeded`},
	"restart delays of the job's own": {spec: "onfailure customrestart", script: `
			0s: create
			1s: fail 0     => ask-restart=0/1 start= restart0=never due=never retry=no
			2s: answer 4s  => restart0=5s retry=5s
			5s:            => start=0 restarts0=1 retry=no
			6s: fail 0     => ask-restart=0/2
			9s: answer 1s  => start=0 restarts0=2
			9.5s: ok 0     => is=Complete:CompletionsReached`},
	"a negative restart delay ends the attempt": {spec: "onfailure customrestart P=2 C=2", script: `
			0s: create
			1s: fail 0     => ask-restart=0/1
			2s: answer -1s => phase0=Failed exit0=1 failed=1 retry=12s`},
	"an answer for an attempt that has ended": {spec: "onfailure customrestart P=2 C=2", script: `
			0s: create
			1s: fail 0
			2s: delete 0   => phase0=Failed stop=
			3s: answer 5s  => phase0=Failed
			12s:           => start=2`},
	"one that waits for its restart cannot start": {spec: "onfailure L=99", script: `
			0s:  create
			1s:  fail 0
			2s:  fail 0  => restart0=12s
			3s:  start 0 => restarts0=1 restart0=12s
			12s:         => start=0 restarts0=2`},
	"queued restarts": {spec: "onfailure queued", script: `
			0s: create
			0s: begin 0
			1s: fail 0  => start=0 restarts0=0 ready=0
			5s: begin 0 => restarts0=1 ready=1`},
	"one that waits for its restart is stopped at once": {spec: "onfailure P=2 C=2", script: `
			0s: create
			1s: fail 0
			2s: fail 0
			3s: update suspended => stop=1(suspended) phase0=Failed exit0=1 terminating=1 failed=0`},
	"R231 the timeout of an attempt": {spec: "timeout=10s", script: `
			0s:  create
			10s:           => stop=0(timeout) active=1 terminating=0
			11s: exit 143 0 => phase0=Failed reason0=DeadlineExceeded exit0=143 failed=1 retry=21s`},
	"the timeout counts from the start": {spec: "timeout=10s pending", script: `
			0s:  create
			5s:  start 0 => due=15s
			15s:         => stop=0(timeout)`},
	"one that succeeds after its timeout has failed": {spec: "timeout=10s", script: `
			0s:  create
			11s: ok 0 => phase0=Failed exit0=0 reason0=DeadlineExceeded`},
	"one that does not stop after its timeout is abandoned": {spec: "timeout=10s grace=5s", script: `
			0s:  create
			14s:        => active=1 abandoned=0
			15s:        => abandon=0 active=0 terminating=1 abandoned=1
			16s:        => failed=1
			25s:        => start=1 active=1 terminating=1
			26s: fail 0 => abandoned=0 terminating=0 failed=1
			27s: ok 1   => is=Complete:CompletionsReached succeeded=1`},
	"one that waits for its restart times out": {spec: "timeout=10s onfailure L=99", script: `
			0s:  create
			1s:  fail 0
			2s:  fail 0 => restart0=12s
			10s:        => phase0=Failed reason0=DeadlineExceeded failed=1`},
	"R258 the end waits for the abandoned": {spec: "P=2 C=2 L=0 grace=5s", script: `
			0s:   create
			1s:   fail 0
			6.1s: => abandon=1 terminating=1 is=FailureTarget:BackoffLimitExceeded
			99s:  ok 1 => is=Failed:BackoffLimitExceeded failed=2`},
	"no grace": {spec: "grace=0s", script: `
			0s: create
			1s: delete 0 => stop=0(deleted) abandon=0 abandoned=1`},
	"asked twice to stop": {script: `
			0s:  create
			1s:  delete 0
			5s:  delete 0 => stop=
			31s:          => abandon=0`},
	"R177 an eviction takes its time": {spec: "replace=failed", script: `
			0s: create
			1s: evict 0     => stop=0(disrupted) terminating=1 phase0=Running
			2s: exit 143 0  => phase0=Failed exit0=143 failed=1`},
	"R178 a kubelet kills": {script: `
			0s: create
			1s: kill 0 => stop=0(disrupted) phase0=Failed exit0=137 failed=1 retry=11s
			2s: ok 0   => phase0=Failed succeeded=0`},
	"R244 a lost attempt has no exit code": {script: `
			0s: create
			1s: lose 0 => phase0=Failed exit0=none failed=1 retry=11s`},
	"R133 readiness": {spec: "P=2 C=2", script: `
			0s: create    => ready=2
			1s: unready 0 => ready=1
			2s: unready 0 => ready=1
			3s: ready 0   => ready=2
			4s: delete 0  => ready=1
			5s: unready 0 => ready=1`},
}

func TestAttempt(t *testing.T) { runPlays(t, attemptPlays) }

// A lost attempt's executor may still run: its record must not be that of
// another one.
func TestRecordOfALostAttemptIsNotUsedAgain(t *testing.T) {
	w := play{"P=1 C=9 L=9 history=0", "0s: create"}.run(t)
	lost := w.attempt(0)
	w.step(Event{Kind: Disrupted, Attempt: lost, Reason: ByKubelet})
	w.runUntil(w.now.Add(RetryDelay(1)))
	require.NoError(t, w.err)
	require.Len(t, w.job.Live(), 1)
	require.NotSame(t, lost, w.job.Live()[0])
	w.end(0, Result{ErrorRule: None}) // of the lost one
	require.Equal(t, 0, w.job.Succeeded)
	require.Equal(t, int64(0), lost.Seq)
}

func TestNotifyClose(t *testing.T) {
	w := play{"P=2 C=2", "0s: create"}.run(t)
	w.attempt(1).Notify = true
	w.did = nil
	w.end(0, Result{ErrorRule: None})
	w.end(1, Result{ErrorRule: None})
	require.Equal(t, []string{"close:1", "finished"}, w.did)
}

func TestTimeAdd(t *testing.T) {
	require.Equal(t, Never, Never.Add(-1))
	require.Equal(t, Never, (Never - 1).Add(2))
	require.Equal(t, Time(3), Time(1).Add(2))
}

// The caller that tells of an attempt may be late.
func TestNothingMovesAnAttemptThatHasEnded(t *testing.T) {
	w := play{"P=2 C=9", "0s: create\n1s: fail 0"}.run(t)
	var ended *Attempt
	for a := range w.job.All() {
		if a.Seq == 0 {
			ended = a
		}
	}
	was := *ended
	for _, ev := range []Event{
		{Kind: Started},
		{Kind: Ended, Result: Result{ErrorRule: None}},
		{Kind: ReadyChanged, Ready: true},
		{Kind: AttemptDeleted},
		{Kind: Disrupted, Reason: ByPodGC},
		{Kind: RestartDelayKnown},
	} {
		ev.Attempt = ended
		w.step(ev)
		require.NoError(t, w.err)
		require.Equal(t, was, *ended, "after %s", kindNames[ev.Kind])
	}
}

// A run ends once, however often its end is reported.
func TestARunEndsOnce(t *testing.T) {
	w := play{"onfailure customrestart", "0s: create\n1s: fail 0\n1s: answer 10s"}.run(t)
	a := w.attempt(0)
	was := *a
	w.step(Event{Kind: Ended, Attempt: a, Result: Result{Code: 7, ErrorRule: None}})
	require.NoError(t, w.err)
	require.Equal(t, was, *a)
}

func TestGraceEnd(t *testing.T) {
	const grace = 30 * time.Second
	w := play{"P=3 C=3 timeout=1h", "0s: create"}.run(t)
	first, second, third := w.attempt(0), w.attempt(1), w.attempt(2)
	second.Slack = time.Second

	require.Less(t, first.GraceEnd(grace), w.now, "not asked to stop")
	w.runUntil(epoch.Add(time.Minute))
	w.step(Event{Kind: AttemptDeleted, Attempt: first})
	w.step(Event{Kind: AttemptDeleted, Attempt: second})
	w.step(Event{Kind: Disrupted, Attempt: third, Reason: ByKubelet})
	require.Equal(t, w.now.Add(grace), first.GraceEnd(grace))
	require.Equal(t, w.now.Add(grace+time.Second), second.GraceEnd(grace), "it needs longer")
	require.Equal(t, w.now.Add(grace), third.GraceEnd(grace), "lost")
	require.NoError(t, w.err)
}

func TestLongestGrace(t *testing.T) {
	w := play{"grace=2562047h47m16.854775807s", "0s: create"}.run(t)
	w.attempt(0).Slack = time.Second
	w.step(Event{Kind: AttemptDeleted, Attempt: w.attempt(0)})
	require.Zero(t, w.job.Abandoned)
}
