// Package indexset provides sets of completion indexes: which indexes of a job
// have succeeded, failed or wait.
//
// The package is made for jobs whose indexes finish roughly in order, of which
// there may be many millions, and whose status is read far more often than it
// changes. A set takes memory for its fragments rather than its elements,
// writes near recent writes cost a few nanoseconds and allocate nothing, and a
// [Set.Snapshot] is a copy of 80 bytes.
package indexset

import (
	"iter"
	"math"
)

// MaxIndex is the largest index that a [Set] can hold. It leaves room for the
// size of a set, and for the index after its last, to be an int.
const MaxIndex = math.MaxInt - 1

// A Set is a set of indexes from 0 to [MaxIndex]. The zero value is an empty
// set, ready to use.
//
// A Set may not be copied by assignment, because the copies would write to the
// same memory: use [Set.Snapshot]. A snapshot may be copied by assignment until
// it is first modified, so that values which embed one can be passed around.
//
// Several goroutines may call the methods that do not modify a Set at once, as
// with a map. Snapshots are sets of their own: one goroutine may read a
// snapshot, or modify it, while another modifies the original.
//
// Compare sets with [Set.Equal]: the same indexes can be represented in more
// than one way, which == and [reflect.DeepEqual] would see.
type Set struct {
	// The window has the words near the last writes; the tree, which is dearer
	// to write to, has all others and zeros in the place of the window's.
	window window
	tree   tree
	missed uint // the word last written to outside the window
}

// Add adds i and reports whether it was new. It returns false and does nothing
// if i is negative or above [MaxIndex].
//
// Adding near one of the last writes, that is within 64 indexes of it, costs a
// few nanoseconds, and allocates nothing. Adding elsewhere costs a
// walk down the tree, which is copied on the way where a snapshot shares it.
func (s *Set) Add(i int) bool {
	if !valid(i) {
		return false
	}
	word, bit := locate(i)
	if p := s.window.at(word); p != nil { // nearly always, and without a call
		isNew := *p&bit == 0
		*p |= bit
		return isNew
	}
	bits := s.tree.load(word)
	if bits&bit != 0 {
		return false
	}
	s.miss(word, bits|bit)
	return true
}

// Remove removes i and reports whether it was there. It costs what [Set.Add]
// costs.
func (s *Set) Remove(i int) bool {
	if !valid(i) {
		return false
	}
	word, bit := locate(i)
	if p := s.window.at(word); p != nil {
		had := *p&bit != 0
		*p &^= bit
		return had
	}
	bits := s.tree.load(word)
	if bits&bit == 0 {
		return false
	}
	s.miss(word, bits&^bit)
	return true
}

// AddRange adds the indexes from first to last, both included, except those
// that are negative or above [MaxIndex]. It does nothing if first > last. The
// cost does not depend on the length of the range.
func (s *Set) AddRange(first, last int) {
	first, last = max(first, 0), min(last, MaxIndex)
	if first > last {
		return
	}
	from, bit := locate(first)
	head := -bit // the bits of first and above
	to, bit := locate(last)
	tail := bit | (bit - 1) // the bits of last and below
	if from == to {
		s.store(from, s.load(from)|head&tail)
		return
	}
	s.store(from, s.load(from)|head)
	s.fill(from+1, to-1, allOnes)
	s.store(to, s.load(to)|tail)
}

// Truncate removes all indexes >= n. The cost does not depend on how many there
// are.
func (s *Set) Truncate(n int) {
	if n <= 0 {
		s.Clear()
		return
	}
	if n > MaxIndex {
		return
	}
	word, bit := locate(n)
	if bits := s.load(word); bits&-bit != 0 {
		s.store(word, bits&(bit-1))
	}
	s.fill(word+1, MaxIndex/wordBits, 0)
}

// Clear removes all indexes. Snapshots keep theirs.
func (s *Set) Clear() { *s = Set{} }

// Snapshot returns a copy of s that shares its memory. Later changes of either
// do not show in the other: what they share is copied when written to. Snapshot
// costs a few nanoseconds and allocates nothing; the first write outside the
// window after it costs a copy of one path in the tree (1 to 2 KiB for millions
// of indexes).
//
// Snapshot counts as a modification of s, unless s is itself an unmodified
// snapshot.
func (s *Set) Snapshot() Set {
	s.tree.share()
	return *s
}

// Contains reports whether i is in s. It is false for negative i.
func (s Set) Contains(i int) bool {
	if !valid(i) {
		return false
	}
	word, bit := locate(i)
	return s.load(word)&bit != 0
}

// Len returns the number of indexes in s, at a cost that does not depend on it.
func (s Set) Len() int { return int(s.tree.len() + s.window.len()) }

// Min returns the smallest index, or false if s is empty.
func (s Set) Min() (int, bool) { return s.Next(0) }

// Max returns the largest index, or false if s is empty.
func (s Set) Max() (int, bool) {
	i, ok := s.window.max()
	j, inTree := s.tree.max()
	return int(max(i, j)), ok || inTree
}

// Next returns the smallest index >= i, or false if there is none.
func (s Set) Next(i int) (int, bool) {
	next, ok := s.find(uint(max(i, 0)), true)
	return int(next), ok
}

// CountBelow returns the number of indexes smaller than n.
func (s Set) CountBelow(n int) int {
	limit := uint(max(n, 0))
	return int(s.tree.rank(limit) + s.window.rank(limit))
}

// All returns an iterator over the indexes in increasing order. The set must
// not be modified meanwhile; iterate over a snapshot to do that.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for first, last := range s.Intervals() {
			for i := first; i <= last; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// Intervals returns an iterator over the longest runs of consecutive indexes,
// each as its first and last index, in increasing order. The set must not be
// modified meanwhile; iterate over a snapshot to do that.
func (s Set) Intervals() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		first, ok := s.find(0, true)
		for ok {
			end, _ := s.find(first, false) // exists: MaxIndex+1 is in no set
			if !yield(int(first), int(end-1)) {
				return
			}
			first, ok = s.find(end, true)
		}
	}
}

// Equal reports whether s and t have the same indexes. It is quick for sets of
// different size and for a set that has not changed since t became its
// snapshot; otherwise it iterates over the intervals of both.
func (s Set) Equal(t Set) bool {
	if s.window == t.window && s.tree.root == t.tree.root && s.tree.level == t.tree.level {
		return true
	}
	if s.Len() != t.Len() {
		return false
	}
	for first, last := range s.Intervals() {
		// Sizes being equal, it is enough that s is a subset of t.
		if !t.Contains(first) {
			return false
		}
		if end, _ := t.find(uint(first), false); int(end) <= last {
			return false
		}
	}
	return true
}

// find returns the smallest index >= i that is in s, if want is true, or that
// is not in s, if want is false. For the latter MaxIndex+1 counts as an index.
func (s *Set) find(i uint, want bool) (uint, bool) {
	start, end := s.window.bounds()
	if i < start {
		if found, ok := s.tree.find(i, want); ok && found < start {
			return found, true
		}
		i = start
	}
	if i < end {
		if found, ok := s.window.find(i, want); ok {
			return found, true
		}
		i = end
	}
	return s.tree.find(i, want)
}

// valid reports whether i may be in a set.
func valid(i int) bool { return uint(i) <= MaxIndex }

// locate returns the number of the word that holds the valid index i, and the
// bit of i in that word.
func locate(i int) (word uint, bit uint64) {
	return uint(i) / wordBits, 1 << (uint(i) % wordBits)
}
