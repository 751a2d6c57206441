package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var againPlays = map[string]play{
	"a complete job runs anew": {spec: "P=1 C=2 deadline=1h", script: `
			0s:  create => run=1
			1s:  ok 0
			2s:  ok 1   => is=Complete:CompletionsReached
			60s: again  => run=2 is=RunAgain:CompletionsReached started=1m0s succeeded=0 start=2 due=1h1m0s
			61s: ok 2
			62s: ok 3   => is=Complete:CompletionsReached succeeded=2 of0=1 of2=2 of3=2`},
	"a failed one has its budget of retries anew": {spec: "L=1", script: `
			0s:  create
			0s:  fail 0
			10s: fail 1 => is=Failed:BackoffLimitExceeded failed=2
			20s: again  => is=RunAgain:BackoffLimitExceeded failed=0 start=2
			20s: fail 2 => failed=1 retry=30s
			30s: ok 3   => is=Complete:CompletionsReached failed=1`},
	"only the indexes that are missing": {spec: "indexed P=4 C=4 perindex=0", script: `
			0s: create
			1s: ok 0 2; fail 1 3 => is=Failed:FailedIndexes completed=0,2 givenup=1,3
			9s: again keep       => is=RunAgain:FailedIndexes completed=0,2 givenup= start=4,5 index4=1 index5=3 number4=1
			10s: ok 4 5          => is=Complete:CompletionsReached completed=0-3`},
	"all indexes": {spec: "indexed P=2 C=2 perindex=0", script: `
			0s: create
			1s: ok 0; fail 1 => is=Failed:FailedIndexes
			9s: again        => completed= givenup= start=2,3 number2=1 number3=1
			10s: ok 2 3      => is=Complete:CompletionsReached completed=0,1`},
	"only the completions that are missing": {spec: "P=1 C=3 L=0", script: `
			0s: create
			1s: ok 0
			2s: fail 1     => is=Failed:BackoffLimitExceeded succeeded=1
			9s: again keep => succeeded=1
			10s: ok 2
			11s: ok 3      => is=Complete:CompletionsReached succeeded=3`},
	"a work queue runs as a whole": {spec: "queue P=1 L=0", script: `
			0s: create
			1s: ok 0       => is=Complete:CompletionsReached
			9s: again keep => succeeded=0 start=1
			10s: ok 1      => is=Complete:CompletionsReached succeeded=1`},
	"nothing is missing": {spec: "indexed P=1 C=1", script: `
			0s: create
			1s: ok 0
			9s: again keep => run=2 start= is=Complete:CompletionsReached completed=0`},
	"one that was cancelled": {spec: "P=1 C=1", script: `
			0s: create
			1s: cancel
			2s: ok 0   => is=Failed:Cancelled
			3s: again  => is=RunAgain:Cancelled start=1
			4s: ok 1   => is=Complete:CompletionsReached`},
	"one that is suspended waits": {spec: "suspended", script: `
			0s: create
			1s: cancel => is=Failed:Cancelled
			2s: again  => is=Suspended:JobSuspended start=
			3s: update suspended=no => start=0`},
	"its time to live begins anew": {spec: "ttl=10s", script: `
			0s:  create
			1s:  ok 0
			10s: again => due=never
			20s: ok 1  => due=30s
			30s:       => due=never`},
	"one that has not finished stays as it is": {spec: "P=1 C=2", script: `
			0s: create
			1s: ok 0
			2s: again => run=1 succeeded=1 start=`},
	"what was cut off meanwhile is not missing": {spec: "indexed P=3 C=3 perindex=0", script: `
			0s: create
			1s: ok 0 2; fail 1 => is=Failed:FailedIndexes
			2s: update C=2 P=2
			3s: again keep     => completed=0 succeeded=1 start=3 index3=1
			4s: ok 3           => is=Complete:CompletionsReached`},
}

func TestAgain(t *testing.T) { runPlays(t, againPlays) }

// A job that runs every night for years knows of no more runs than it has attempts of.
func TestRunsAreForgotten(t *testing.T) {
	var script strings.Builder
	script.WriteString("0s: create\n0s: ok 0\n")
	for n := 1; n <= 100; n++ {
		fmt.Fprintf(&script, "%ds: again; ok %d\n", n, n)
	}
	w := play{"history=5", script.String()}.run(t)
	require.Equal(t, 101, w.job.Run())
	require.LessOrEqual(t, len(w.job.runStarts()), 7)
	for a := range w.job.All() {
		require.Equal(t, int(a.Seq)+1, w.job.RunOf(a.Seq))
	}
}
