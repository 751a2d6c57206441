package engine

import "github.com/runtocompletion/batch/internal/indexset"

// A returned holds the pending indexes that came back from an attempt. Most jobs never
// have one: nil is empty, and has no room for any.
type returned struct {
	all, ready indexset.Set // those whose retry delay has not passed are not ready
	n          int          // of all; asked for far more often than it changes
	// numbers counts the attempts of these indexes so far.
	numbers map[int]int
}

// len returns how many there are.
func (r *returned) len() int {
	if r == nil {
		return 0
	}
	return r.n
}

// has reports whether index i is there.
func (r *returned) has(i int) bool { return r != nil && r.all.Contains(i) }

// isReady reports whether index i is there and may start now.
func (r *returned) isReady(i int) bool { return r != nil && r.ready.Contains(i) }

// setReady lets index i start from now on, or not yet, if it is there.
func (r *returned) setReady(i int, ready bool) {
	switch {
	case !r.has(i):
	case ready:
		r.ready.Add(i)
	default:
		r.ready.Remove(i)
	}
}

// addRange puts in the indexes from first to last, which may start now.
func (r *returned) addRange(first, last int) {
	r.all.AddRange(first, last)
	r.ready.AddRange(first, last)
	r.n = r.all.Len()
}

// add puts in index i, which may start now or not yet.
func (r *returned) add(i int, ready bool) {
	r.all.Add(i)
	r.n = r.all.Len()
	r.setReady(i, ready)
}

// remove takes out index i, and reports whether it was there.
func (r *returned) remove(i int) bool {
	if r == nil || !r.all.Remove(i) {
		return false
	}
	r.ready.Remove(i)
	r.n = r.all.Len()
	return true
}

// truncate takes out the indexes from n on.
func (r *returned) truncate(n int) {
	if r == nil {
		return
	}
	r.all.Truncate(n)
	r.ready.Truncate(n)
	r.n = r.all.Len()
}
