package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// vectorPlays are the test vectors of the specification.
var vectorPlays = map[string]play{
	"R416 a fresh job": {spec: "P=2 C=4 queued", script: `
			0s: create => start=0,1 active=2 ready=0 terminating=0 succeeded=0 failed=0 started=0s is=running`},
	"R417 seven attempts, 630 s of waiting": {spec: "P=1 C=1 L=6", script: `
			0s:      create
			0s:      fail 0 => failed=1 start= retry=10s active=0
			10s:     fail 1 => start=1 retry=30s
			30s:     fail 2 => start=2 retry=1m10s
			70s:     fail 3 => start=3 retry=2m30s
			150s:    fail 4 => start=4 retry=5m10s
			310s:    fail 5 => start=5 retry=10m30s
			629.99s:        => start= failed=6
			630s:    fail 6 => start=6 failed=7 is=Failed:BackoffLimitExceeded due=never`},
	"R418 limit 1": {spec: "L=1", script: `
			0s:  create
			1s:  fail 0
			11s: fail 1 => failed=2 is=Failed:BackoffLimitExceeded phase0=Failed phase1=Failed`},
	"R419 limit 0": {spec: "L=0", script: `
			0s: create
			1s: fail 0 => failed=1 start= is=Failed:BackoffLimitExceeded`},
	"R420 three failures together": {spec: "P=3 C=3", script: `
			0s:     create
			5s:     fail 0 1 2 => start=
			44.99s:            => start=
			45s:               => start=3,4,5 failed=3`},
	"R421 an attempt that still runs counts as failed": {spec: "P=2 C=2 L=0", script: `
			0s:     create
			1s:     fail 0
			1.001s: => stop=1(finished) failed=2 active=0 terminating=1 is=FailureTarget:BackoffLimitExceeded
			2s:     ok 1 => failed=2 succeeded=0 terminating=0 is=Failed:BackoffLimitExceeded`},
	"R422 a work queue": {spec: "queue P=5", script: `
			0s:  create     => start=0,1,2,3,4
			1s:  fail 0 1   => start=
			31s:            => start=5,6
			32s: ok 2
			33s: fail 3 4   => start=
			90s: ok 5 6     => start= succeeded=3 failed=4 is=Complete:CompletionsReached`},
	"R423 a work queue shrinks and grows": {spec: "queue P=5 L=2", script: `
			0s: create
			0s: unready 1 2 4
			1s: update P=2  => stop=1(scaled-down),2(scaled-down),4(scaled-down) failed=0
			2s: exit 143 1 2 4 => failed=0 active=2
			3s: update P=4  => start=5,6 failed=0`},
	"R424 one restart with limit 1": {spec: "onfailure L=1", script: `
			0s:     create
			1s:     fail 0 => start=0 restarts0=1
			1.001s:        => stop=0(finished) failed=1
			2s:     exit 143 0 => is=Failed:BackoffLimitExceeded failed=1`},
	"R425 two restarts with limit 3": {spec: "onfailure P=2 C=5 L=3", script: `
			0s: create
			1s: fail 0 1 => start=0,1
			60s: => is=running failed=0 active=2`},
	"R425 two restarts with limit 2": {spec: "onfailure P=2 C=5 L=2", script: `
			0s: create
			1s: fail 0 1
			2s: exit 143 0 1 => is=Failed:BackoffLimitExceeded failed=2`},
	"R426 restarts of what has ended are forgotten": {spec: "onfailure P=4 C=4 L=6", script: `
			0s:  create
			1s:  fail 0 1 2 => start=0,1,2
			2s:  fail 2     => restart2=12s
			3s:  ok 0 1
			12s: ok 2 3     => failed=0 succeeded=4 is=Complete:CompletionsReached restarts0=1 restarts1=1 restarts2=2`},
	"R427 the deadline": {spec: "P=2 C=2 deadline=15s", script: `
			0s:  create
			1s:  ok 0 => due=15s
			15s: => stop=1(finished) failed=1 succeeded=1 is=FailureTarget:DeadlineExceeded
			16s: exit 143 1 => failed=1 is=Failed:DeadlineExceeded`},
	"R428 the limit wins against the deadline": {spec: "P=2 C=2 L=0 deadline=10s", script: `
			0s:      create
			9.9995s: fail 0
			10s:     => is=running
			10.0005s: => is=FailureTarget:BackoffLimitExceeded
			11s:     fail 1 => is=Failed:BackoffLimitExceeded failed=2`},
	"R429 the next index": {spec: "indexed P=3 C=4", script: `
			0s: create => running=0-2
			1s: ok 1   => running=0,2,3 completed=1`},
	"R430 gaps are filled, lowest first": {spec: "indexed P=4 C=20", script: `
			0s: create      => running=0-3
			1s: ok 2        => running=0,1,3,4
			2s: ok 4; ok 5  => running=0,1,3,6
			3s: unready 1
			3s: update P=2  => stop=1(scaled-down),6(scaled-down) running=0,3
			4s: update P=8  => running=0,1,3,6-10`},
	"R431 indexes out of range": {spec: "indexed P=8 C=8", script: `
			0s: create
			1s: ok 0 1 2 3
			2s: update P=5 C=5 => stop=5(scaled-down),6(scaled-down),7(scaled-down) running=4 failed=0
			3s: ok 5 6 7 => completed=0-3 failed=0`},
	"R433 an index that was cut off runs again": {spec: "indexed P=3 C=3", script: `
			0s: create
			1s: ok 2
			2s: update P=2 C=2 => completed= succeeded=0
			3s: update P=3 C=3 => start=3 index3=2 number3=1`},
	"R434 odd indexes fail": {spec: "indexed P=2 C=4 perindex=1", script: `
			0s:  create
			1s:  ok 0; fail 1 => start=2 running=2
			2s:  ok 2         => start=3 running=3
			11s:              => start=4 running=1,3 counts4=1/0
			12s: fail 3; fail 4 => givenup=1 retry=22s
			22s: fail 5       => start=5 givenup=1,3 completed=0,2 failed=4 succeeded=2 is=Failed:FailedIndexes`},
	"R435 no index may fail": {spec: "indexed P=1 C=4 perindex=0 maxfailed=0", script: `
			0s: create
			1s: fail 0 => givenup=0 failed=1 start= is=Failed:MaxFailedIndexesExceeded`},
	"R436 what runs is counted, and not given up": {spec: "indexed P=3 C=3 perindex=0 maxfailed=1", script: `
			0s:     create
			1s:     fail 0; fail 1
			1.001s: exit 143 2 => givenup=0,1 failed=3 is=Failed:MaxFailedIndexesExceeded`},
	"R437 the limit of the job applies too": {spec: "indexed P=3 C=3 perindex=1 L=2", script: `
			0s:  create
			1s:  fail 0 1
			11s: => start=3,4 failed=2
			12s: fail 2
			13s: exit 143 3 4 => failed=5 givenup= is=Failed:BackoffLimitExceeded`},
	"R438 FailIndex": {spec: "indexed P=2 C=2 perindex=1 rule=FailIndex:13", script: `
			0s:  create
			1s:  exit 13 0 => givenup=0 failed=1 is=running
			60s:           => start= running=1
			61s: ok 1      => is=Failed:FailedIndexes`},
	"R439 the counts of the attempts of an index": {spec: "indexed P=2 C=2 perindex=1", script: `
			0s:  create    => counts0=0/0
			1s:  fail 0
			11s:           => start=2 counts2=1/0 number2=1
			12s: fail 2    => givenup=0 is=running`},
	"R440 failure wins against the success policy": {spec: "indexed P=2 C=2 perindex=0 success=all/1", script: `
			0s: create
			1s: fail 0
			1s: ok 1 => is=Failed:FailedIndexes`},
	"R441 the success policy": {spec: "indexed P=2 C=5 success=0", script: `
			0s:     create
			1s:     ok 0
			1.001s: => stop=1(finished) is=SuccessCriteriaMet:SuccessPolicy
			2s:     ok 1 => completed=0 succeeded=1 failed=0 is=Complete:SuccessPolicy`},
	"R442 an eviction that is ignored": {spec: "L=0 rule=Ignore:DisruptionTarget", script: `
			0s:  create
			5s:  evict 0 => terminating=1 active=0 start= failed=0
			6s:  exit 143 0 => start= retry=16s failed=0
			16s: => start=1
			17s: ok 1 => is=Complete:CompletionsReached failed=0`},
	"R443 NotIn does not match what is listed": {spec: "L=9 rule=FailJob:!42", script: `
			0s:  create
			1s:  exit 42 0 => is=running
			11s: exit 7 1  => is=Failed:PodFailurePolicy`},
	"R444 replacement when failed": {spec: "replace=failed", script: `
			0s:  create
			1s:  delete 0    => stop=0(deleted) active=0 failed=0 terminating=1
			6s:  exit 143 0  => failed=1 start= retry=16s
			16s:             => start=1`},
	"R445 replacement when terminating": {spec: "P=2 C=2", script: `
			0s: create
			1s: delete 0 1
			2s:  => failed=2 terminating=2 active=0
			31s: => start=2,3 active=2 terminating=2 abandon=0,1
			32s: exit 143 0 1 => failed=2 terminating=0`},
	"R446 suspend and resume": {
		spec: "P=2 C=4",
		script: `
			0s: create
			1s: update suspended    => stop=0(suspended),1(suspended) active=0 terminating=2 failed=0 started=no
			1s:                     => is=Suspended:JobSuspended
			2s: exit 143 0 1        => failed=0 start=
			5s: update suspended=no => start=2,3 started=5s is=running`,
	},
	"R447 suspended without completions": {spec: "C=0 suspended", script: `
			0s: create => is=Complete:CompletionsReached started=no`},
}

func TestVectors(t *testing.T) { runPlays(t, vectorPlays) }

var eventPlays = map[string]play{
	"an attempt that is pending until it says so": {spec: "pending", script: `
			0s: create  => start=0 pending=1 ready=0
			1s: start 0 => pending=0 ready=1 phase0=Running
			2s: start 0 => phase0=Running
			3s: ok 0    => is=Complete:CompletionsReached`},
	"an attempt that never said that it started": {spec: "pending", script: `
			0s: create
			3s: ok 0 => is=Complete:CompletionsReached`},
	"a queued start": {spec: "queued", script: `
			0s: create  => start=0 pending=1 phase0=Pending
			1s: begin 0 => pending=0 phase0=Running`},
	"a queued start that is stopped in time": {spec: "queued L=0", script: `
			0s: create
			1s: delete 0 => stop= exit0=137 phase0=Failed is=Failed:BackoffLimitExceeded`},
	"what has ended does not change": {spec: "P=2 C=2 L=0", script: `
			0s: create
			1s: lose 0       => phase0=Failed exit0=none failed=1
			1.0005s: ok 0    => phase0=Failed exit0=none failed=1
			3s: ok 1 => is=Failed:BackoffLimitExceeded failed=2`},
	"halted: nothing starts, what runs goes on": {spec: "P=2 C=3", script: `
			0s: create
			1s: halt
			2s: ok 0 => start= active=1
			3s: ok 1 => start= active=0 due=never`},
	"interrupted: what runs is stopped, uncounted": {spec: "P=2 C=3 L=0", script: `
			0s: create
			1s: interrupt => stop=0(shutdown),1(shutdown)
			2s: fail 0; ok 1 => failed=0 succeeded=0 due=never`},
	"halted while an attempt waits for its restart": {spec: "onfailure L=6", script: `
			0s:  create
			1s:  fail 0 => start=0
			2s:  fail 0 => restart0=12s
			3s:  halt
			20s:        => start= due=never active=1`},
	"halted while a restart delay is asked for": {spec: "onfailure customrestart", script: `
			0s:  create
			1s:  fail 0 => ask-restart=0/1
			2s:  halt
			3s:  answer 5s
			10s: => start= due=never`},
	"R294 another controller's job": {spec: "unmanaged", script: `
			0s: create => start= started=no is=running due=never
			1s: update P=3 => start= is=running
			2s: remove => is=gone`},
}

func TestEvents(t *testing.T) { runPlays(t, eventPlays) }

func TestTimeDoesNotRunBackwards(t *testing.T) {
	w := newWorld(parseSpec(t, "L=0"), false)
	w.step(Event{Kind: Created})
	w.now -= 1e9
	w.end(0, Result{Code: 1, ErrorRule: None})
	if w.err != nil || w.job.FinishedAt != epoch {
		t.Errorf("finished at %v: %v", w.since(w.job.FinishedAt), w.err)
	}
}

func TestIsHalted(t *testing.T) {
	w := play{"P=1 C=1", "0s: create"}.run(t)
	require.False(t, w.job.IsHalted())
	w.step(Event{Kind: Halted})
	require.True(t, w.job.IsHalted())
	w.end(0, Result{ErrorRule: None})
	require.False(t, w.job.IsHalted(), "it has finished all the same")
}
