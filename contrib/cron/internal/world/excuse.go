package world

import (
	"math/bits"
	"strings"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
)

// Defects are those of the real controller that the library does not have.
type Defects struct {
	Search   bool // the real search for times: C47 to C49, C62, C65 and C70
	Deafness bool // a change of the schedule is not looked at: C53 and C54
	Silence  bool // a finish that history deletes at once is not reported: C90
	Patience bool // a clock that was put forward is noticed at the next look only: C102
}

// String names them.
func (d Defects) String() string {
	var names []string
	if d.Search {
		names = append(names, "search")
	}
	if d.Deafness {
		names = append(names, "deafness")
	}
	if d.Silence {
		names = append(names, "silence")
	}
	if d.Patience {
		names = append(names, "patience")
	}
	return strings.Join(names, "+")
}

// Excuse finds the smallest set of defects with which a case is answered as
// recorded, and is not without. It reports false if there is none.
func Excuse(c *corpus.Case) (Defects, bool) {
	if len(corpus.Compare(c, Replay(c, Defects{}))) == 0 {
		return Defects{}, false
	}
	for n := 1; n <= 4; n++ {
		for set := range uint(16) {
			d := Defects{set&1 != 0, set&2 != 0, set&4 != 0, set&8 != 0}
			if bits.OnesCount(set) == n && len(corpus.Compare(c, Defectively(c, d))) == 0 {
				return d, true
			}
		}
	}
	return Defects{}, false
}

// Defectively replays a case with defects.
func Defectively(c *corpus.Case, d Defects) *corpus.Outcome {
	got := Replay(c, d)
	if d.Silence {
		got.Events = corpus.WithoutHiddenEnds(got)
	}
	return got
}
