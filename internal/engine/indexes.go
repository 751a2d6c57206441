package engine

import (
	"maps"
	"slices"
)

// Which index comes next has to be known without looking at all of them: there may be
// ten million. Those never tried are a single number, where they begin; the few that
// came back from an attempt are sets, and so are those that are over (Job.Completed,
// Job.GivenUp). Each index is in one place only, which Check makes sure of.

// indexes are the completion indexes that may be started: those that have
// neither succeeded, nor been given up, nor an attempt that holds them. Fresh
// ones begin at next; the others came back from an attempt.
type indexes struct {
	next int // every index from here on is pending and was never held
	// returned are pending indexes below next; nil until there is one.
	returned *returned
	// again is the first index that was ever cut off by a resize; it and those
	// after it go on counting their attempts from againFrom if that is not
	// zero, so that no two attempts are ever alike.
	again, againFrom int
	highest          int // number of any attempt so far
	// failures are those of indexes whose attempt a shutdown has interrupted, or the
	// exit of a process has ended: the next one takes them over.
	failures map[int]failures
	// touched are the pages of numbers that have changed; nil if the job is not
	// saved.
	touched map[int]struct{}
}

// failures are how often an index has failed, counted and ignored, and how many exits
// of the process in a row it has had.
type failures struct {
	Counted, Ignored int
	Exits, Snoozes   int
}

// back is returned, to be added to.
func (x *indexes) back() *returned {
	if x.returned == nil {
		x.returned = new(returned)
	}
	return x.returned
}

// numbers counts the attempts of returned indexes so far, as far as it is not zero.
func (x *indexes) numbers() map[int]int {
	if x.returned == nil {
		return nil
	}
	return x.returned.numbers
}

// keepFailures remembers what an attempt knows of the failures of its index.
func (x *indexes) keepFailures(a *Attempt) {
	// The zero value is what is assumed of every index that is not there.
	if a.Failures+a.Ignored+a.Snoozes == 0 {
		return
	}
	if x.failures == nil {
		x.failures = make(map[int]failures)
	}
	x.failures[a.Index] = failures{a.Failures, a.Ignored, a.Exits, a.Snoozes}
}

// dropNumbers forgets the numbers of all indexes, and has their records removed.
func (x *indexes) dropNumbers() {
	for i := range x.numbers() {
		x.touch(i)
	}
	if x.returned != nil {
		x.returned.numbers = nil
	}
}

// giveBack makes index i pending again. If it is delayed, the end of its delay makes it
// ready.
func (x *indexes) giveBack(i int, delayed bool) { x.back().add(i, !delayed) }

// giveBackRange makes the indexes from first to last pending again.
func (x *indexes) giveBackRange(first, last int) {
	if first <= last {
		x.back().addRange(first, last)
	}
}

// count makes number the least that the next attempt of index i has.
func (x *indexes) count(i, number int) {
	back := x.back()
	if back.numbers == nil {
		back.numbers = make(map[int]int)
	}
	back.numbers[i] = max(back.numbers[i], number)
	x.touch(i)
}

// take removes index i and returns the number of its next attempt.
func (x *indexes) take(i int) int {
	// Indexes are first given out in order, so that those never tried need no set.
	if i >= x.next {
		x.next = i + 1
	} else {
		x.returned.remove(i)
	}
	n := 0
	// It may have had attempts before it was cut off, of which nothing is known any more.
	if x.againFrom > 0 && i >= x.again {
		n = x.againFrom
	}
	if numbers := x.numbers(); len(numbers) > 0 {
		n = max(n, numbers[i])
		delete(numbers, i)
		x.touch(i)
	}
	x.highest = max(x.highest, n)
	return n
}

// candidate returns the lowest index that may start now, if it is among the
// first n pending ones, of which some were started before; indexes that wait
// for their delay take up places too.
func (x *indexes) candidate(n, started, completions int) (int, bool) {
	if x.returned.len() == 0 {
		return x.next, x.next < completions
	}
	if i, ok := x.returned.ready.Min(); ok {
		// So the reference does it: it picks the first n indexes that are missing, and then
		// skips those whose delay runs.
		return i, x.returned.all.CountBelow(i)+started < n
	}
	return x.next, x.next < completions && x.returned.len()+started < n
}

// freeIndex lets another attempt have the index of one that has ended, or that
// may be replaced while it stops.
func (j *Job) freeIndex(a *Attempt) {
	// With the replacement policy Failed the index stays with the attempt until its end,
	// so that no two attempts of it ever run at once.
	replaceable := a.HasEnded() || a.account != open && !j.Spec.ReplaceFailed
	if !a.holding || !replaceable {
		return
	}
	j.touch(a)
	a.holding = false
	// An index that is over, or was cut off, is in no set of those to be tried.
	if j.inRange(a) && !j.Completed.Contains(a.Index) && !j.GivenUp.Contains(a.Index) {
		j.indexes.giveBack(a.Index, a.retained && j.delays(a))
		if !a.retained { // of one that is, its successor takes these over
			j.indexes.count(a.Index, a.Number+1)
			j.indexes.keepSeries(a)
		}
	}
}

// resize follows a change of the number of completions.
func (j *Job) resize(from, to int) {
	if to < from {
		j.shrink(to)
	} else {
		j.grow(from, to)
	}
}

// shrink cuts off the indexes from that one on, and all that is known of them. Attempts
// that hold one go on until they are stopped, and count for nothing.
func (j *Job) shrink(to int) {
	x := &j.indexes
	if x.next > to {
		// Of several cuts the deepest counts: all above it have lost their numbers.
		if x.againFrom == 0 || to < x.again {
			x.again = to
		}
		// A number above all others, rather than one per index: nothing is kept of what was
		// cut off.
		x.againFrom = x.highest + 1
	}
	j.Completed.Truncate(to)
	j.GivenUp.Truncate(to)
	j.Succeeded = j.Completed.Len()
	x.returned.truncate(to)
	maps.DeleteFunc(x.failures, func(i int, _ failures) bool { return i >= to })
	for _, i := range slices.Sorted(maps.Keys(j.retained)) {
		if a := j.retained[i]; i >= to {
			j.forget(a)
			j.keep(a)
		}
	}
}

// grow makes indexes that had been cut off pending again, except those that
// an old attempt still holds.
func (j *Job) grow(from, to int) {
	x := &j.indexes
	x.giveBackRange(from, min(x.next, to)-1)
	for _, a := range j.live {
		if a.holding {
			x.returned.remove(a.Index)
		}
	}
}

// holdAgain follows a change of the replacement policy to Failed: an attempt that is
// stopping keeps its index unless it has been replaced. One that was retained has not
// failed any more: it is judged by how it ends.
func (j *Job) holdAgain() {
	x := &j.indexes
	for _, a := range j.live {
		j.touch(a)
		if a.retained {
			j.forget(a)
			a.account, a.countedAt = open, 0
		}
		if a.State == StateStopping && !a.holding && a.Index >= 0 && x.returned.remove(a.Index) {
			a.holding = true
		}
	}
}
