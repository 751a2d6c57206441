package conformance

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// An agenda has what pods and users are yet to do. One thing of it is done at a
// time, when the controller has nothing more to do: so it was in the recordings.
type agenda struct {
	changed func() // called when there is something new

	mu      sync.Mutex
	errands []*errand // sorted
	added   int
}

// An errand is something to be done at a time. What is due at the same time is
// done by rank (see tieOrder), so that a replay is always the same.
type errand struct {
	at    time.Time
	rank  int
	added int
	do    func()
}

func compareErrands(a, b *errand) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.rank, b.rank), cmp.Compare(a.added, b.added))
}

func (a *agenda) add(at time.Time, rank int, do func()) *errand {
	defer a.changed()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added++
	e := &errand{at, rank, a.added, do}
	i, _ := slices.BinarySearchFunc(a.errands, e, compareErrands)
	a.errands = slices.Insert(a.errands, i, e)
	return e
}

func (a *agenda) drop(e *errand) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errands = slices.DeleteFunc(a.errands, func(other *errand) bool { return other == e })
}

// next returns the time of the next errand, but at most limit.
func (a *agenda) next(limit time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errands) == 0 || a.errands[0].at.After(limit) {
		return limit
	}
	return a.errands[0].at
}

// take removes the next errand that is due and returns what is to be done, or
// nil.
func (a *agenda) take() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errands) == 0 || a.errands[0].at.After(time.Now()) {
		return nil
	}
	e := a.errands[0]
	a.errands = a.errands[1:]
	return e.do
}
