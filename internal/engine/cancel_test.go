package engine

import "testing"

var cancelPlays = map[string]play{
	"a cancelled job fails at once, and its attempts are stopped": {spec: "P=2 C=3", script: `
			0s: create
			1s: ok 0
			2s: cancel => is=FailureTarget:Cancelled stop=1(cancelled),2(cancelled) succeeded=1 failed=2 terminating=2
			3s: ok 1   => is=FailureTarget:Cancelled succeeded=1
			4s: fail 2 => is=Failed:Cancelled succeeded=1 failed=2`},
	"one with nothing that runs has failed in the same step": {spec: "P=1 C=1 L=3", script: `
			0s: create
			1s: fail 0
			2s: cancel => is=Failed:Cancelled failed=1 retry=no`},
	"one that is suspended ends, too": {spec: "suspended", script: `
			0s: create => is=Suspended:JobSuspended
			1s: cancel => is=Failed:Cancelled failed=0`},
	"one that was decided cannot be cancelled": {spec: "P=2 C=2 rule=FailJob:9", script: `
			0s: create
			1s: exit 9 0
			2s: cancel => is=FailureTarget:PodFailurePolicy
			3s: ok 1   => is=Failed:PodFailurePolicy`},
	"a cancel comes before a decision that is settling": {spec: "P=2 C=2 rule=FailJob:9", script: `
			0s: create
			1s: exit 9 0; cancel => is=FailureTarget:Cancelled`},
	"one that has finished stays as it is": {script: `
			0s: create
			1s: ok 0
			2s: cancel => is=Complete:CompletionsReached`},
	"an index that runs is stopped, and does not count when it ends": {spec: "indexed P=2 C=3 perindex=2", script: `
			0s: create
			1s: cancel 0 => givenup=0 stop=0(cancelled) start=2 active=2 terminating=1 is=running
			2s: ok 0     => completed= givenup=0 failed=0
			3s: ok 1 2   => completed=1,2 is=Failed:FailedIndexes`},
	"one that backs off is not tried again": {spec: "indexed P=1 C=2 perindex=2", script: `
			0s: create
			1s: fail 0   => start= retry=11s
			2s: cancel 0 => givenup=0 failed=1 retry=no start=1
			20s: ok 1    => start= is=Failed:FailedIndexes failed=1`},
	"one that was not tried yet is left out": {spec: "indexed P=1 C=4", script: `
			0s: create
			1s: cancel 2 => givenup=2 start=
			2s: ok 0     => index1=1
			3s: ok 1     => index2=3
			4s: ok 2     => completed=0,1,3 is=Failed:FailedIndexes`},
	"the limit of the job is not about them": {spec: "indexed P=2 C=2 L=0", script: `
			0s: create
			1s: cancel 0; fail 0 => failed=0 is=running
			2s: ok 1 => is=Failed:FailedIndexes failed=0`},
	"the limit of failed indexes is": {spec: "indexed P=1 C=4 perindex=1 maxfailed=1", script: `
			0s: create
			1s: cancel 2 3
			2s: ok 0 => is=Failed:MaxFailedIndexesExceeded`},
	"one that is over stays as it is": {spec: "indexed P=1 C=2 perindex=1", script: `
			0s: create
			1s: ok 0
			2s: cancel 0 => givenup= completed=0`},
	"one that is stopping keeps nobody from its place": {spec: "indexed P=1 C=2 replace=failed", script: `
			0s: create
			1s: delete 0; cancel 0 => givenup=0 start=
			2s: ok 0               => completed= start=1 index1=1
			3s: ok 1               => is=Failed:FailedIndexes failed=0`},
}

func TestCancel(t *testing.T) { runPlays(t, cancelPlays) }
