package engine

import (
	"testing"
	"time"
)

func TestRetryDelay(t *testing.T) {
	want := []time.Duration{0, 10, 20, 40, 80, 160, 320, 600, 600} // R180
	for n, seconds := range want {
		if got := RetryDelay(n); got != seconds*time.Second {
			t.Errorf("RetryDelay(%d) = %v, want %v", n, got, seconds*time.Second)
		}
	}
	for _, n := range []int{11, 100, 1 << 40} {
		if got := RetryDelay(n); got != 600*time.Second {
			t.Errorf("RetryDelay(%d) = %v, want 10m", n, got)
		}
	}
	if got := RetryDelay(-1); got != 0 {
		t.Errorf("RetryDelay(-1) = %v, want 0", got)
	}
}

var accountPlays = map[string]play{
	"R136 who is counted as failed stays failed": {spec: "P=2 C=2", script: `
			0s:  create
			1s:  delete 0
			2s:  ok 0 => failed=1 succeeded=0 phase0=Succeeded
			11s: => start=2`},
	"R134 who stops right away is judged by how it ended": {spec: "P=2 C=2", script: `
			0s:      create
			1s:      delete 0   => failed=0 start=
			1.0005s: ok 0       => failed=0 succeeded=1`},
	"R163 who was stopped for less parallelism never counts": {spec: "P=2 C=4 L=0", script: `
			0s: create
			0s: unready 1
			1s: update P=1 => stop=1(scaled-down)
			2s: ok 1       => succeeded=0
			3s: ok 0       => succeeded=1`},
	"R170 what runs when the job fails is counted": {spec: "P=3 C=3 L=0", script: `
			0s: create
			1s: delete 2
			1.0001s: fail 0
			1.0005s: ok 1 => succeeded=1
			1.1s: => failed=2 is=FailureTarget:BackoffLimitExceeded
			2s: ok 2 => failed=2 succeeded=1 is=Failed:BackoffLimitExceeded`},
	"R183 an ignored failure lengthens the delay": {spec: "L=0 rule=Ignore:3", script: `
			0s:  create
			0s:  exit 3 0 => retry=10s failed=0
			10s: exit 3 1 => retry=30s failed=0`},
	"R184 a success resets the delay": {spec: "P=2 C=3", script: `
			0s: create
			1s: fail 0 => start= retry=11s
			2s: ok 1   => start=2,3 retry=no
			3s: fail 2 => retry=13s`},
	"R184 a failure that is no later than a success has no delay": {spec: "P=2 C=3", script: `
			0s: create
			1s: ok 0; fail 1 => start=2,3 failed=1 retry=no
			1s: fail 2       => start=4 failed=2
			2s: fail 3       => start= retry=12s`},
	"R185 the delay blocks growth too": {spec: "P=2 C=9", script: `
			0s:  create
			1s:  fail 0
			2s:  update P=5 => start= active=1 retry=11s
			11s:            => start=2,3,4,5`},
	"R186 suspension does not reset the delay": {spec: "P=1 C=1", script: `
			0s:  create
			1s:  fail 0
			2s:  update suspended    => retry=no
			3s:  update suspended=no => start= retry=11s
			11s:                     => start=1`},
	"R137 the delay of a deleted attempt counts from its end if that was seen in time": {spec: "replace=failed", script: `
			0s: create
			1s: delete 0
			7s: fail 0 => retry=17s`},
	"R137 the delay of a deleted attempt counts from the request": {script: `
			0s:  create
			1s:  delete 0
			5s:           => retry=11s`},
	"R147 failures after a success count": {spec: "queue P=3 L=1", script: `
			0s: create
			1s: ok 0
			2s: fail 1 => start= is=running
			3s: fail 2 => is=Failed:BackoffLimitExceeded failed=2 succeeded=1`},
	"an exhausted back-off ends the job": {spec: "customdelay P=2 C=2", script: `
			0s:     create
			1s:     fail 0     => ask=-1/1 start= retry=no
			2s:     answer -1s => start=
			2.001s:            => stop=1(finished) failed=2 is=FailureTarget:BackoffLimitExceeded`},
	"a delay of the job's own": {spec: "customdelay P=2 C=2", script: `
			0s: create
			1s: fail 0     => ask=-1/1
			2s: answer 5s  => retry=6s
			6s:            => start=2
			7s: fail 1 2   => ask=-1/2,-1/3
			8s: answer 1s  => start=
			8s: answer 0s  => start=3,4`},
	"a delay that comes too late": {spec: "customdelay P=2 C=4", script: `
			0s: create
			1s: fail 0
			2s: ok 1       => start=2,3
			3s: answer -1s => is=running active=2`},
	"an exhausted back-off gives the index up": {spec: "customdelay indexed P=2 C=2 perindex=9", script: `
			0s: create
			1s: fail 0     => ask=0/1
			2s: answer -1s => givenup=0 failed=1 is=running
			3s: ok 1       => is=Failed:FailedIndexes`},
	"a delay of an index's own": {spec: "customdelay indexed P=2 C=2 perindex=9", script: `
			0s: create
			1s: fail 0     => ask=0/1 start=
			2s: answer 7s  => retry=8s
			8s:            => start=2 counts2=1/0 failed=1`},
	"a permanent error fails the job": {spec: "L=6 P=2 C=2", script: `
			0s: create
			1s: fatal 0
			2s: => stop=1(finished) failed=2 is=FailureTarget:PodFailurePolicy`},
	"a permanent error gives the index up": {spec: "indexed perindex=3 P=2 C=2", script: `
			0s: create
			1s: fatal 0 => givenup=0 failed=1
			2s: ok 1    => is=Failed:FailedIndexes`},
	"a permanent error is not restarted": {spec: "onfailure", script: `
			0s: create
			1s: fatal 0 => start= is=Failed:PodFailurePolicy`},
	"a rule comes before permanence": {spec: "rule=Ignore:1", script: `
			0s: create
			1s: fatal 0 => failed=0 retry=11s is=running`},
	"R213 a failure is recorded when its index is started again": {spec: "indexed P=1 C=1 perindex=1", script: `
			0s:  create
			1s:  fail 0 => failed=0
			11s:        => start=1 failed=1`},
	"R213 it counts towards the limit at once": {spec: "indexed P=1 C=1 perindex=1 L=0", script: `
			0s: create
			1s: fail 0 => failed=1 is=Failed:BackoffLimitExceeded`},
	"R211 counted and ignored failures": {spec: "indexed P=1 C=1 perindex=1 rule=Ignore:3", script: `
			0s:  create
			0s:  exit 3 0 => retry=10s
			10s: exit 3 1 => counts1=0/1 retry=30s
			30s: exit 1 2 => counts2=0/2 retry=1m10s failed=0
			70s:          => start=3 counts3=1/2 failed=1
			71s: exit 1 3 => givenup=0 failed=2 is=Failed:FailedIndexes`},
	"R212 the counts are lost with a stopped attempt": {spec: "indexed P=1 C=1 perindex=1", script: `
			0s:  create
			1s:  fail 0
			11s: => counts1=1/0
			12s: update suspended
			13s: exit 143 1
			14s: update suspended=no => start=2 counts2=0/0 number2=2`},
	"a retained attempt succeeds after all": {spec: "indexed P=1 C=2 perindex=1", script: `
			0s: create
			1s: delete 0
			2s: => failed=0 retry=11s
			5s: ok 0 => completed=0 failed=0 retry=no start=1 index1=1`},
	"R137 the delay of an index counts from the end once that is known": {spec: "indexed P=1 C=1 perindex=2", script: `
			0s:  create
			1s:  delete 0
			2s:  update P=0 => retry=11s
			12s:
			20s: fail 0
			21s: update P=1 => start= retry=30s
			30s:            => start=1`},
	"an attempt out of range does not count": {spec: "indexed P=2 C=2 perindex=0", script: `
			0s:      create
			1s:      delete 1
			1.0005s: update P=1 C=1
			2s:      => givenup= failed=0
			3s:      fail 1 => failed=0`},
	"the failed policy waits for an attempt that was just asked to stop": {spec: "P=2 C=2", script: `
			0s:      create
			1s:      delete 1
			1.0002s: update replace=failed
			2s:      => failed=0 terminating=1
			3s:      fail 1 => failed=1`},
	"a change of policy there and back counts once": {spec: "P=2 C=2", script: `
			0s:      create
			1s:      delete 1
			1.0002s: update replace=failed
			1.0004s: update replace=terminating => failed=1
			2s:      => failed=1`},
}

func TestAccount(t *testing.T) { runPlays(t, accountPlays) }
