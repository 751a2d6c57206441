package engine

import "testing"

var indexPlays = map[string]play{
	"R165 waiting indexes take up places": {spec: "indexed P=2 C=9 perindex=5", script: `
			0s:   create
			0s:   fail 0 1 => start=
			5s:            => start=
			10s:           => start=2,3 index2=0 index3=1`},
	"R165 only the first candidates are looked at": {spec: "indexed P=3 C=9 perindex=5", script: `
			0s:  create
			0s:  fail 0   => start=
			1s:  fail 1   => start=
			2s:  ok 2     => start=3 index3=3
			10s:          => start=4 index4=0
			11s:          => start=5 index5=1`},
	"R165 an index that waits further up does not matter": {spec: "indexed P=2 C=9 perindex=5", script: `
			0s: create
			1s: fail 1 => start=
			2s: ok 0   => start=2 index2=2`},
	"R164 the lowest first": {spec: "indexed P=4 C=9", script: `
			0s: create
			1s: ok 1 3          => running=0,2,4,5
			2s: update P=0      => running=
			3s: update P=3      => running=0,2,4`},
	"R164 with the failed policy a stopping attempt keeps its index": {spec: "indexed P=3 C=9 replace=failed", script: `
			0s: create
			0s: unready 0
			1s: update P=2 => stop=0(scaled-down)
			2s: ok 1       => start= running=2
			3s: fail 0     => start=3 index3=0 number3=1`},
	"R241 with the other policy it does not": {spec: "indexed P=3 C=9", script: `
			0s: create
			0s: unready 0
			1s: update P=2 => stop=0(scaled-down)
			2s: ok 1       => start=3 index3=0 number3=1
			3s: fail 0     => failed=0 active=2`},
	"R152 lowering cuts off": {spec: "indexed P=5 C=5 perindex=0", script: `
			0s: create
			1s: ok 1 4; fail 0 3      => completed=1,4 givenup=0,3 failed=2
			2s: update P=3 C=3        => completed=1 givenup=0 succeeded=1 failed=2 running=2
			3s: ok 2                  => is=Failed:FailedIndexes`},
	"R152 what is left is complete": {spec: "indexed P=3 C=3", script: `
			0s: create
			1s: ok 0
			2s: update P=1 C=1 => stop=1(scaled-down),2(scaled-down) is=SuccessCriteriaMet:CompletionsReached
			3s: fail 1 2       => is=Complete:CompletionsReached failed=0`},
	"R152 a waiting index is cut off with its failure": {spec: "indexed P=2 C=2 perindex=3", script: `
			0s: create
			1s: fail 1         => retry=11s failed=0
			2s: update P=1 C=1 => retry=no failed=0
			3s: ok 0           => is=Complete:CompletionsReached failed=0`},
	"R153 numbers are never used twice": {spec: "indexed P=3 C=3", script: `
			0s: create
			1s: fail 1
			11s:                => start=3 index3=1 number3=1
			12s: ok 2
			13s: update P=1 C=1 => running=0
			14s: update P=3 C=3 => start=4,5 index4=1 number4=2 index5=2 number5=2
			15s: exit 1 3
			16s: update P=2 C=2 => running=0,1
			17s: update P=3 C=3 => start=6 index6=2 number6=3`},
	"R153 new indexes begin at nought": {spec: "indexed P=2 C=2", script: `
			0s: create
			1s: update P=4 C=4 => start=2,3 index2=2 number2=0 index3=3 number3=0`},
	"an index that was cut off while it was held": {spec: "indexed P=3 C=3 replace=failed", script: `
			0s: create
			1s: update P=2 C=2 => stop=2(scaled-down)
			2s: update P=3 C=3 => start=
			3s: ok 2           => start=3 index3=2 number3=1 succeeded=0`},
	"a change to the failed policy waits for what is stopping": {spec: "indexed P=2 C=9", script: `
			0s: create
			0s: unready 0
			1s: update P=1                => stop=0(scaled-down)
			2s: update P=2 replace=failed => start=
			3s: ok 0                      => start=2 index2=0`},
	"a change from the failed policy replaces what is stopping": {spec: "indexed P=1 C=9 replace=failed", script: `
			0s:  create
			1s:  delete 0
			2s:                         => failed=0
			3s:  update replace=sooner  => failed=1 retry=11s
			11s:                        => start=1 index1=0`},
	"R153 also not if a change of policy gives the index to an older attempt": {spec: "indexed P=1 C=1", script: `
			0s:  create
			1s:  delete 0
			11s:                       => start=1 number1=1
			12s: fail 1
			13s: update replace=failed
			14s: update replace=sooner
			99s:                       => start=2 number2=2`},
	"work in order of the indexes": {spec: "indexed P=2 C=5", script: `
			0s: create
			1s: ok 0   => running=1,2
			2s: ok 1 2 => running=3,4
			3s: ok 4   => running=3 completed=0-2,4
			4s: ok 3   => completed=0-4 is=Complete:CompletionsReached`},
}

func TestIndexes(t *testing.T) { runPlays(t, indexPlays) }
