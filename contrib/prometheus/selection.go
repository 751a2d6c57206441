package prometheus

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// A selection keeps, of many jobs, those that are to have series of their own. It
// is the same at each scrape as long as the jobs are, so that series do not come
// and go.
type selection struct {
	most int
	jobs []batch.Status
}

func (s *selection) add(j batch.Status) {
	s.jobs = append(s.jobs, j)
	if len(s.jobs) >= 2*s.most {
		s.cut()
	}
}

// cut drops all that are too many.
func (s *selection) cut() {
	slices.SortFunc(s.jobs, byRank)
	if len(s.jobs) > s.most {
		clear(s.jobs[s.most:])
		s.jobs = s.jobs[:s.most]
	}
}

// byRank orders jobs: those that have not finished, the oldest first; those that
// have failed, the latest first; those that are complete, the latest first.
func byRank(a, b batch.Status) int {
	if order := cmp.Compare(rank(a), rank(b)); order != 0 {
		return order
	}
	order := a.CreatedAt.Compare(b.CreatedAt)
	if a.Finished() {
		order = endOf(b).Compare(endOf(a))
	}
	return cmp.Or(order, strings.Compare(a.Name, b.Name))
}

func rank(j batch.Status) int {
	switch {
	case j.Is(batch.ConditionComplete):
		return 2
	case j.Is(batch.ConditionFailed):
		return 1
	}
	return 0
}

// endOf is when a finished job has finished.
func endOf(j batch.Status) time.Time {
	c, ok := j.Condition(batch.ConditionFailed)
	if !ok {
		c, _ = j.Condition(batch.ConditionComplete)
	}
	return c.LastTransitionTime
}
