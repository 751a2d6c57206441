package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var duePlays = map[string]play{
	"a snooze does not count, and lengthens no delay": {spec: "L=0", script: `
			0s:  create
			1s:  snooze 5s 0 => is=running failed=0 retry=6s
			6s:  snooze 7s 1 => failed=0 retry=13s
			13s: fail 2      => is=Failed:BackoffLimitExceeded failed=1`},
	"the delay after it is that of the first failure": {spec: "L=3", script: `
			0s:  create
			1s:  snooze 5s 0
			6s:  fail 1 => retry=16s failed=1`},
	"of an index with a limit of its own": {spec: "indexed P=2 C=2 perindex=0", script: `
			0s: create
			1s: snooze 9s 0 => givenup= failed=0 retry=10s
			10s: ok 2       => completed=0`},
	"of an index without": {spec: "indexed P=1 C=2 L=0", script: `
			0s: create
			1s: snooze 9s 0 => retry=10s start=
			10s:            => start=1 index1=0 snoozes1=1
			11s: ok 1       => snoozes2=0`},
	"a restart after it does not count": {spec: "onfailure L=1", script: `
			0s: create
			1s: snooze 9s 0 => restart0=10s
			10s: snooze 5s 0 => is=running restarts0=1 restart0=15s
			15s: ok 0        => is=Complete:CompletionsReached`},
	"a rule goes before it": {spec: "L=9 rule=FailJob:1", script: `
			0s: create
			1s: snooze 9s 0 => is=Failed:PodFailurePolicy`},
	"an attempt without a sign of life is stopped, and has failed": {spec: "progress=10s L=1", script: `
			0s:  create => due=10s
			10s: => stop=0(stalled) reason0=ProgressDeadlineExceeded active=1
			11s: ok 0 => phase0=Failed failed=1 retry=21s
			21s: => start=1 due=31s`},
	"each sign gives it its time again": {spec: "progress=10s", script: `
			0s:  create
			4s:  sign 0
			9s:  sign 0 => due=10s
			10s: => stop= due=19s
			12s: sign 0
			19s: => stop= due=22s
			22s: => stop=0(stalled)`},
	"it is not looked for while the attempt waits": {spec: "progress=10s onfailure L=5", script: `
			0s:  create
			1s:  fail 0 => start=0 due=11s
			2s:  fail 0 => due=12s
			12s: => start=0 stop= due=22s`},
	"nor before it has started": {spec: "progress=10s pending", script: `
			0s: create => due=never
			5s: start 0 => due=15s`},
	"one that does not stop is given up": {spec: "progress=10s grace=5s L=0", script: `
			0s:  create
			15s: => abandon=0 terminating=1
			16s: ok 0 => is=Failed:BackoffLimitExceeded phase0=Failed`},
}

func TestDue(t *testing.T) { runPlays(t, duePlays) }

// An attempt cannot say for ever that it is too early.
func TestSnoozesAreBounded(t *testing.T) {
	for name, spec := range map[string]string{
		"a job":                          "L=0",
		"an index":                       "indexed L=0",
		"an index with a limit":          "indexed perindex=0",
		"an attempt that is restarted":   "onfailure L=1",
		"one index, while others are ok": "indexed P=2 C=9 L=0",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(parseSpec(t, spec), false)
			w.step(Event{Kind: Created})
			snoozes := 0
			for w.job.FinishedAt == 0 && snoozes < 1000 {
				for _, a := range w.job.Live() {
					if a.Index <= 0 {
						snoozes++
						w.end(a.Seq, Result{Code: 1, ErrorRule: None, RetryAfter: time.Second, Snooze: true})
					} else {
						w.end(a.Seq, Result{ErrorRule: None})
					}
					break
				}
				w.runUntil(w.now.Add(time.Second))
				require.NoError(t, w.err)
			}
			require.InDelta(t, mostSnoozes+1, snoozes, 2, strings.Join(w.trace, "\n"))
			require.True(t, w.job.has(JobFailed), fmt.Sprint(w.job.Conditions))
		})
	}
}
