package engine

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Names and UIDs are not kept. They follow from the job and from the place of the attempt
// in the order of creation, and what makes them is one to one: so it is undone to find
// the place.

// A finder finds the attempts that are live or kept by their place in the order of
// creation. It exists only while attempts are looked up: to keep it costs more
// than a short attempt takes, so that it is dropped when it has been kept up to date
// for long without a question.
type finder struct {
	attempts map[int64]*Attempt // live, retained, and those of the history's lists
	plain    map[int64]int64    // places among the briefs that were put in
	changes  int                // since the last question
}

// changed counts a change, and reports whether the finder is worth keeping.
func (f *finder) changed() bool {
	f.changes++
	return f.changes <= 1000+4*(len(f.attempts)+len(f.plain))
}

// Find returns the attempt with that name or UID if it is live or kept, or nil. Of an
// attempt that has ended it may be a copy without its owner. The time that it takes
// does not depend on how many attempts there are, except the first of many calls.
func (j *Job) Find(nameOrUID string) *Attempt {
	for seq := range j.ID.candidates(nameOrUID, j.created) {
		a := j.bySeq(seq)
		if a != nil && (j.ID.Name(seq, a.Index) == nameOrUID || j.ID.AttemptUID(seq) == nameOrUID) {
			return a
		}
	}
	return nil
}

// bySeq finds an attempt by its place. The first call after a pause looks at all attempts.
func (j *Job) bySeq(seq int64) *Attempt {
	h := &j.history
	// Places in the queue are known only when all that has ended is in it.
	h.settle()
	if h.finder == nil {
		h.finder = j.newFinder()
	}
	h.finder.changes = 0
	if a := h.finder.attempts[seq]; a != nil {
		return a
	}
	if place, ok := h.finder.plain[seq]; ok {
		return h.plain.at(int(place - (h.plain.pushed - int64(h.plain.n)))).attempt()
	}
	return nil
}

// newFinder looks at all attempts there are.
func (j *Job) newFinder() *finder {
	h := &j.history
	f := &finder{attempts: make(map[int64]*Attempt, len(j.live)), plain: make(map[int64]int64, h.plain.n)}
	for _, a := range j.live {
		f.attempts[a.Seq] = a
	}
	for _, a := range j.retained {
		f.attempts[a.Seq] = a
	}
	for _, l := range [...]list{h.succeeded, h.failed} {
		for a := l.first; a != nil; a = a.next {
			f.attempts[a.Seq] = a
		}
	}
	for i := range h.plain.n {
		f.plain[h.plain.at(i).seq] = h.plain.pushed - int64(h.plain.n-i)
	}
	return f
}

// found notes that an attempt is there.
func (h *history) found(a *Attempt) {
	if h.finder == nil {
		return
	}
	// To build it anew at the next question costs less than to keep it up to date now.
	if !h.finder.changed() {
		h.finder = nil
		return
	}
	h.finder.attempts[a.Seq] = a
}

// lost notes that the record of an attempt is no longer its own.
func (h *history) lost(seq int64) {
	if h.finder != nil {
		delete(h.finder.attempts, seq)
	}
}

// candidates returns the places of the attempts that may have that name or UID: one
// for a UID, and for a name one in 14 million, the newest first.
func (id Identity) candidates(nameOrUID string, created int64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		if seq, ok := id.seqOfUID(nameOrUID); ok {
			if seq < created {
				yield(seq)
			}
			return
		}
		first, ok := id.seqOfSuffix(nameOrUID)
		if !ok || first >= created {
			return
		}
		// Who looks for a name that is there twice means the newer one.
		for seq := first + (created-1-first)/suffixes*suffixes; seq >= 0; seq -= suffixes {
			if !yield(seq) {
				return
			}
		}
	}
}

// seqOfSuffix is the first place whose name ends as the text does: it undoes suffix.
func (id Identity) seqOfSuffix(name string) (int64, bool) {
	if len(name) < suffixLength {
		return 0, false
	}
	n := uint64(0)
	for i := len(name) - 1; i >= len(name)-suffixLength; i-- {
		digit := strings.IndexByte(alphabet, name[i])
		if digit < 0 {
			return 0, false
		}
		n = n*uint64(len(alphabet)) + uint64(digit)
	}
	// The order of all suffixes is a line of equal steps around a circle: division, modulo
	// its length, undoes them.
	step, start := id.stride()
	return int64((n + suffixes - start) % suffixes * inverse(step) % suffixes), true
}

// inverse is the number that step times it is 1, modulo suffixes, a power of 27: by
// the theorem of Euler, step to the power of how many numbers below have no factor in
// common with it, less one.
func inverse(step uint64) uint64 {
	const coprime = suffixes / 3 * 2
	result := uint64(1)
	for n, power := coprime-1, step%suffixes; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = result * power % suffixes
		}
		power = power * power % suffixes
	}
	return result
}

// seqOfUID undoes AttemptUID. Two bits of the half that tells are lost in a UID: all
// four values are tried.
func (id Identity) seqOfUID(text string) (int64, bool) {
	const dashes = 4
	if len(text) != 32+dashes {
		return 0, false
	}
	uid, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(uid) != 16 {
		return 0, false
	}
	low := binary.BigEndian.Uint64(id.UID[8:])
	// The version of a UUID overwrites bits of the other half; its variant those two.
	for bits := range uint64(4) {
		half := binary.BigEndian.Uint64(uid[8:])&(1<<62-1) | bits<<62
		if seq := int64(unmix(half) - low); seq >= 0 && id.AttemptUID(seq) == text {
			return seq, true
		}
	}
	return 0, false
}

// unmix undoes mix.
func unmix(x uint64) uint64 {
	x = x ^ x>>31 ^ x>>62
	x *= 0x319642b2d24d8ec3 // times the second factor of mix it is 1
	x = x ^ x>>27 ^ x>>54
	x *= 0x96de1b173f119089 // times the first factor it is 1
	return x ^ x>>30 ^ x>>60
}
