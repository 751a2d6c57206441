package engine

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var decidePlays = map[string]play{
	"R142 failure comes before success": {spec: "P=2 C=1 L=0 indexed success=all/1 perindex=0", script: `
			0s: create
			1s: fail 0 => is=Failed:FailedIndexes`},
	"R149 no completions": {spec: "C=0", script: `
			0s: create => start= is=Complete:CompletionsReached started=0s`},
	"R150 no parallelism is a pause": {spec: "P=0 deadline=10s", script: `
			0s:  create => start= is=running due=10s
			10s: => is=Failed:DeadlineExceeded`},
	"R154 lowering to no completions": {spec: "indexed P=2 C=2", script: `
			0s: create
			1s: update P=0 C=0 => stop=0(scaled-down),1(scaled-down) is=SuccessCriteriaMet:CompletionsReached
			2s: ok 0 1         => is=Complete:CompletionsReached succeeded=0`},
	"R158 failed indexes do not lower what is wanted": {spec: "indexed P=2 C=3 perindex=0", script: `
			0s: create
			1s: fail 0 => running=1,2`},
	"R208 FailJob wins against the limit": {spec: "L=0 rule=FailJob:9", script: `
			0s: create
			1s: exit 9 0 => is=Failed:PodFailurePolicy failed=1`},
	"R209 what is ignored is not counted at the end": {spec: "P=2 C=2 L=0 rule=Ignore:DisruptionTarget", script: `
			0s: create
			1s: evict 1; fail 0
			2s:         => failed=1
			3s: fail 1  => failed=1 is=Failed:BackoffLimitExceeded`},
	"R218 FailJob does not give up the index": {spec: "indexed P=1 C=2 perindex=1 rule=FailJob:9", script: `
			0s: create
			1s: exit 9 0 => givenup= failed=1 is=Failed:PodFailurePolicy`},
	"R222 a count within a set": {spec: "indexed P=4 C=4 success=1-3/2", script: `
			0s: create
			1s: ok 0 1 => is=running
			2s: ok 3
			3s: ok 2   => is=Complete:SuccessPolicy succeeded=3`},
	"R223 a count of none is met by the first success": {spec: "indexed P=2 C=4 success=all/0", script: `
			0s: create => is=running
			1s: ok 0
			2s: ok 1 2 => is=Complete:SuccessPolicy`},
	"R223 a set without members in range is never met": {spec: "indexed P=1 C=2 success=5", script: `
			0s: create
			1s: ok 0
			2s: ok 1 => is=Complete:CompletionsReached`},
	"R224 successes that come too late do not count": {spec: "indexed P=2 C=2 success=0", script: `
			0s: create
			1s: ok 0
			2s: ok 1 => succeeded=1 is=Complete:SuccessPolicy`},
	"within the settling time they do": {spec: "indexed P=2 C=2 success=0", script: `
			0s: create
			1s: ok 0; ok 1 => succeeded=2 is=Complete:SuccessPolicy`},
	"what an update starts that takes a decision back is not timed out in the same step": {
		spec: "indexed perindex=0 timeout=0s grace=0s", script: `
			0s:    create
			1ms:                  => stop=0(timeout)
			1.5ms: update C=3 P=3 => start=1,2 stop=
			2ms:                  => stop=1(timeout),2(timeout)`},
	"a restart that a decision had held back is made when the decision is taken back": {
		spec: "onfailure customrestart L=1", script: `
			0s: create
			1s: fail 0; answer 0s => start=0
			1s: fail 0; answer 0s => start=
			1s: update L=5        => start=0`},
	"R228 a deadline of zero": {spec: "deadline=0s", script: `
			0s: create => start= is=Failed:DeadlineExceeded`},
	"R229 a changed deadline": {spec: "deadline=10s", script: `
			0s: create
			5s: update deadline=3s => stop=0(finished) is=FailureTarget:DeadlineExceeded`},
	"R230 the deadline counts what runs": {spec: "P=2 C=2 deadline=10s", script: `
			0s:  create
			10s: => failed=2 stop=0(finished),1(finished)
			11s: ok 0 1 => failed=2 succeeded=0 is=Failed:DeadlineExceeded`},
	"R232 created suspended": {spec: "suspended deadline=10s", script: `
			0s:  create => start= started=no is=Suspended:JobSuspended due=never
			50s: update suspended=no => start=0 started=50s due=1m0s is=running`},
	"R237 a suspended job can fail": {spec: "suspended=no replace=failed L=0", script: `
			0s: create
			1s: delete 0
			2s: update suspended => is=Suspended:JobSuspended
			3s: fail 0 => is=FailureTarget:BackoffLimitExceeded failed=1 started=no
			9s: update suspended=no => is=Failed:BackoffLimitExceeded failed=1 started=9s`},
	"R238 suspending a work queue with a success completes it": {spec: "queue P=3", script: `
			0s: create
			1s: ok 0
			2s: update suspended => is=SuccessCriteriaMet:CompletionsReached
			3s: ok 1 2           => is=Complete:CompletionsReached succeeded=1`},
	"R239 suspending comes too late": {spec: "P=2 C=2 L=0", script: `
			0s: create
			1s: fail 0
			2s: update suspended => is=FailureTarget:BackoffLimitExceeded
			3s: fail 1           => is=Failed:BackoffLimitExceeded started=0s`},
	"R243 stopping attempts hold back others": {spec: "P=3 C=9 replace=failed", script: `
			0s: create
			0s: unready 1 2
			1s: update P=1 => stop=1(scaled-down),2(scaled-down)
			2s: update P=3 => start=
			3s: fail 1     => start=3`},
	"R262 nothing but the time to live acts on a finished job": {spec: "ttl=1h", script: `
			0s:  create
			1s:  ok 0          => is=Complete:CompletionsReached due=1h0m1s
			2s:  update P=3 C=3 suspended L=0 ttl=10s => start= due=11s is=Complete:CompletionsReached
			11s:               => due=never`},
	"R290 a job that is deleted starts nothing": {spec: "P=2 C=4", script: `
			0s: create
			1s: remove linger => stop=0(deleted),1(deleted) is=running
			2s: fail 0        => start= failed=0
			3s: ok 1          => start= succeeded=0 is=gone`},
	"R289 orphans run on": {spec: "P=2 C=4", script: `
			0s: create
			1s: remove orphan => stop= is=gone active=2
			2s: ok 0 1        => start= succeeded=0 active=0`},
	"R291 no time to live": {spec: "ttl=0s", script: `
			0s: create
			1s: ok 0 => due=never`},
	"R134 the end of a work queue waits for who was just asked to stop": {spec: "queue P=2", script: `
			0s: create
			1s: ok 0
			2s: delete 1 => is=running failed=0
			2.001s:      => is=SuccessCriteriaMet:CompletionsReached failed=1
			3s: ok 1     => is=Complete:CompletionsReached succeeded=1 failed=1`},
	"a deadline is over while the job is suspended and deleted": {spec: "deadline=10s", script: `
			0s:  create
			1s:  remove linger
			2s:  update suspended
			20s: => is=running
			21s: fail 0 => is=gone`},
	"a retry is due while a decision settles": {spec: "P=3 C=3 L=1", script: `
			0s:      create
			0s:      fail 0       => retry=10s
			9.9995s: fail 1
			10.5s:                => is=FailureTarget:BackoffLimitExceeded
			11s:     ok 2         => failed=3`},
	"a limit is raised while the decision settles": {spec: "P=2 C=2 L=0", script: `
			0s:      create
			1s:      fail 0
			1.0005s: update L=3 => is=running retry=11s
			11s:                => start=2`},
	"suspending takes effect while halted": {spec: "P=2 C=2", script: `
			0s: create
			1s: halt
			2s: update suspended => stop=0(suspended),1(suspended) active=0 is=Suspended:JobSuspended`},
}

func TestDecide(t *testing.T) { runPlays(t, decidePlays) }

func TestFailJobMessage(t *testing.T) {
	for name, c := range map[string]struct{ spec, event, want string }{
		"R204 by exit code": {spec: "rule=Count:5 rule=FailJob:7", event: "exit 7 0",
			want: "Container main for pod default/POD failed with exit code 7 matching FailJob rule at index 1"},
		"R205 by condition": {spec: "rule=FailJob:DisruptionTarget", event: "evict 0; exit 1 0",
			want: "Pod default/POD has condition DisruptionTarget matching FailJob rule at index 0"},
		"by error": {spec: "rule=FailJob:error", event: "error 0 0",
			want: "Pod default/POD failed with an error matching FailJob rule at index 0"},
		"by a permanent error": {event: "fatal 0", want: "Pod default/POD failed with a permanent error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := play{c.spec, "0s: create\n1s: " + c.event}.run(t)
			require.Len(t, w.job.Conditions, 2)
			want := strings.ReplaceAll(c.want, "POD", w.job.ID.Name(0, None))
			require.Equal(t, want, w.job.Conditions[1].Message)
		})
	}
}

func TestRemovalOrder(t *testing.T) {
	// R162: each of these goes before the next.
	order := []*Attempt{
		{CreatedAt: 9},
		{CreatedAt: 1},
		{State: StateBackoff, StartedAt: 1, Restarts: 3, readyAt: 2},
		{State: StateBackoff, StartedAt: 1, Restarts: 0, readyAt: 5},
		{State: StateRunning, StartedAt: 1, Ready: true, readyAt: 8},
		{State: StateRunning, StartedAt: 1, Ready: true, readyAt: 7, Restarts: 2},
		{State: StateRunning, StartedAt: 1, Ready: true, readyAt: 7, Restarts: 1, CreatedAt: 6},
		{State: StateRunning, StartedAt: 1, Ready: true, readyAt: 7, Restarts: 1, CreatedAt: 5},
	}
	for i, a := range order {
		for k, b := range order {
			got, want := compareForRemoval(a, b), cmp.Compare(i, k)
			if got != want {
				t.Errorf("compareForRemoval(%d, %d) = %d, want %d", i, k, got, want)
			}
		}
	}
	mixed := slices.Clone(order)
	slices.Reverse(mixed)
	slices.SortFunc(mixed, compareForRemoval)
	require.Equal(t, order, mixed)
}
