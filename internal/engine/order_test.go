package engine

import "testing"

var orderPlays = map[string]play{
	"R474 a job that awaits others has no attempts and no start time": {spec: "P=2 C=2 deadline=10s", script: `
			0s:  create awaiting => start= started=no is=running due=never
			50s: met => start=0,1 started=50s due=1m0s
			60s: => is=FailureTarget:DeadlineExceeded`},
	"R474 also one that needs no completions": {spec: "C=0", script: `
			0s: create awaiting => is=running
			1s: met => is=Complete:CompletionsReached started=1s`},
	"R474 and one that is suspended has that condition": {spec: "suspended", script: `
			0s: create awaiting => started=no is=Suspended:JobSuspended
			1s: update suspended=no => start= started=no is=running
			2s: met => start=0 started=2s
			3s: ok 0 => is=Complete:CompletionsReached`},
	"R474 suspended when the others are complete, it waits to be resumed": {spec: "suspended", script: `
			0s: create awaiting
			1s: met => start= started=no
			2s: update suspended=no => start=0 started=2s`},
	"R474 it can be changed meanwhile": {spec: "P=1 C=1", script: `
			0s: create awaiting
			1s: update P=2 C=2 indexed => start=
			2s: met => start=0,1`},
	"R474 and deleted": {spec: "P=1 C=1", script: `
			0s: create awaiting
			1s: remove linger => is=gone`},
	"R475 it fails at once with a job that it awaits": {spec: "P=2 C=2", script: `
			0s: create awaiting
			5s: doomed => start= started=5s is=Failed:DependencyFailed failed=0
			6s: met => start= is=Failed:DependencyFailed`},
	"R475 suspended, it fails when it is resumed": {spec: "suspended", script: `
			0s: create awaiting
			1s: doomed => is=FailureTarget:DependencyFailed started=no
			2s: update suspended=no => is=Failed:DependencyFailed started=2s`},
	"R475 another run waits for nobody": {spec: "P=1 C=1", script: `
			0s: create awaiting
			1s: doomed => is=Failed:DependencyFailed
			2s: again => start=0 started=2s`},
	"R475 nor does that of one that was cancelled": {spec: "P=1 C=1", script: `
			0s: create awaiting
			1s: cancel => is=Failed:Cancelled
			2s: again => start=0 started=2s`},
	"R475 one that has begun does not": {spec: "P=1 C=1", script: `
			0s: create awaiting
			1s: met
			2s: doomed => is=running
			3s: ok 0 => is=Complete:CompletionsReached`},
}

func TestOrder(t *testing.T) { runPlays(t, orderPlays) }
