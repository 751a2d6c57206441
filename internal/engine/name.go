package engine

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Attempts are called as pods are, since that is what tools and people know. But a name
// with random characters would have to be kept for each attempt, and compared with all
// others. So the characters only look random, and can be undone (see Job.Find).

// An Identity names a job and, through it, its attempts: their names and UIDs
// follow from it and from their place in the order of creation, so that they
// cost nothing until a caller asks, and are the same after a replay.
type Identity struct {
	Job string
	UID [16]byte // random
}

const (
	alphabet     = "bcdfghjklmnpqrstvwxz2456789" // those of Kubernetes, which form no words
	suffixLength = 5
	suffixes     = 27 * 27 * 27 * 27 * 27 // how many there are
	maxBase      = 58                     // of the characters before the suffix, so that a name has 63
)

// Name is the name of an attempt. Names of one job repeat only after 14 million
// attempts.
func (id Identity) Name(seq int64, index int) string {
	base, tail := id.Job+"-", ""
	if index >= 0 {
		base, tail = id.Job, "-"+strconv.Itoa(index)+"-"
	}
	// The job gives way and not the index, which distinguishes attempts for people.
	if len(base)+len(tail) > maxBase {
		base = base[:maxBase-len(tail)]
	}
	return base + tail + id.suffix(seq)
}

// suffix maps the numbers below 27^5 one to one to texts of five characters,
// in an order that looks random.
func (id Identity) suffix(seq int64) string {
	step, start := id.stride()
	n := (uint64(seq)%suffixes*step + start) % suffixes
	var text [suffixLength]byte
	for i := range text {
		text[i] = alphabet[n%uint64(len(alphabet))]
		n /= uint64(len(alphabet))
	}
	return string(text[:])
}

// stride is how far apart the suffixes of two attempts in a row are, which has no
// factor in common with 27, and the first of them.
func (id Identity) stride() (step, start uint64) {
	// A multiple of three plus one has no factor in common with a power of three.
	step = binary.LittleEndian.Uint64(id.UID[:8])%suffixes/3*3 + 1
	return step, binary.LittleEndian.Uint64(id.UID[8:]) % suffixes
}

// String is the job's UID in the usual form.
func (id Identity) String() string { return formatUID(id.UID) }

// AttemptUID is the UID of an attempt.
func (id Identity) AttemptUID(seq int64) string {
	var uid [16]byte
	high := binary.BigEndian.Uint64(id.UID[:8])
	low := binary.BigEndian.Uint64(id.UID[8:])
	// The first half depends on the place too, so that UIDs of one job do not begin alike.
	binary.BigEndian.PutUint64(uid[:8], mix(high^mix(uint64(seq)+1)))
	binary.BigEndian.PutUint64(uid[8:], mix(low+uint64(seq)))
	return formatUID(uid)
}

// mix is the finalizer of SplitMix64: one to one, and every bit of the result
// depends on every bit of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// formatUID writes a random (version 4) UUID.
func formatUID(uid [16]byte) string {
	// Tools that parse UIDs look at the version and the variant.
	uid[6] = uid[6]&0x0f | 0x40
	uid[8] = uid[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	for i, part := range [][]byte{uid[:4], uid[4:6], uid[6:8], uid[8:10], uid[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}
