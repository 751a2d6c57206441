package world

import (
	"math/bits"
	"strings"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
)

// Defects is a set of those of the real controller that the library does not have by
// decision. Each is put back into the world by itself.
type Defects uint8

const (
	// HourSteps: the search for times steps by whole hours (C47, C48, C49).
	HourSteps Defects = 1 << iota
	// Estimate: the latest time is looked for from an estimate on (C62).
	Estimate
	// LateInterval: "@every" counts from the starting deadline on (C65).
	LateInterval
	// Overflow: a starting deadline of centuries wraps around (C70).
	Overflow
	// Deafness: a change of the schedule is not looked at (C53, C54).
	Deafness
	// Silence: a finish that the history deletes at once is not reported (C90).
	Silence
	// Patience: a clock that was put forward, as after a sleep, is noticed at the next
	// look only (C102).
	Patience

	allDefects = 1<<iota - 1
)

// searching are the defects of the search for times.
const searching = HourSteps | Estimate | LateInterval | Overflow

// decisions name, for each defect, the items of the specification by which it is
// mended.
var decisions = []string{"C47-C49", "C62", "C65", "C70", "C53-C54", "C90", "C102"}

// String names the decisions.
func (d Defects) String() string {
	var names []string
	for i, name := range decisions {
		if d>>i&1 == 1 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// Excuse finds the smallest set of defects with which a case is answered as
// recorded, and is not without. It reports false if there is none.
func Excuse(c *corpus.Case) (Defects, bool) {
	if len(corpus.Compare(c, Replay(c, 0))) == 0 {
		return 0, false
	}
	for n := 1; n <= len(decisions); n++ {
		for d := range Defects(allDefects + 1) {
			if bits.OnesCount8(uint8(d)) == n && len(corpus.Compare(c, defectively(c, d))) == 0 {
				return d, true
			}
		}
	}
	return 0, false
}

// defectively replays a case with defects.
func defectively(c *corpus.Case, d Defects) *corpus.Outcome {
	got := Replay(c, d)
	if d&Silence != 0 {
		got.Events = corpus.WithoutHiddenEnds(got)
	}
	return got
}
