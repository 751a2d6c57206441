package results

import (
	"encoding/binary"
	"errors"
	"slices"
)

// A chunk has results in the form in which they are stored: how often it was merged, and
// then each result in order of index. Before a value stands its length times two. That
// is one more if the index is not the one after the last, and then the distance to that
// follows.
type chunk struct {
	number int64 // later chunks have higher ones
	data   []byte
}

func (c chunk) level() byte { return c.data[0] }

func (c chunk) isSmall() bool { return len(c.data) < fullSize }

// encode puts results into a chunk.
func encode(level byte, list []Result) []byte {
	size := 1
	for _, r := range list {
		size += len(r.Value) + 2
	}
	data := append(make([]byte, 0, size), level)
	next := 0
	for _, r := range list {
		length := uint64(len(r.Value)) << 1
		if r.Index == next {
			data = binary.AppendUvarint(data, length)
		} else {
			data = binary.AppendUvarint(data, length|1)
			data = binary.AppendVarint(data, int64(r.Index-next))
		}
		data = append(data, r.Value...)
		next = r.Index + 1
	}
	return data
}

// truncated is the chunk's data without that index and all above; nil if nothing is left.
func (c chunk) truncated(from int) []byte {
	if from <= 0 {
		return nil
	}
	all, _ := c.decode(nil) // cannot fail: it was encoded here, or decoded before
	count := len(all)
	kept := slices.DeleteFunc(all, func(r Result) bool { return r.Index >= from })
	switch len(kept) {
	case count:
		return c.data
	case 0:
		return nil
	}
	return encode(c.level(), kept)
}

var errDamaged = errors.New("results are damaged")

// decode appends the results of the chunk, whose values it shares.
func (c chunk) decode(list []Result) ([]Result, error) {
	if len(c.data) < 2 {
		return list, errDamaged
	}
	next := 0
	for rest := c.data[1:]; len(rest) > 0; {
		length, n := binary.Uvarint(rest)
		if n <= 0 {
			return list, errDamaged
		}
		rest = rest[n:]
		if length&1 != 0 {
			distance, n := binary.Varint(rest)
			if n <= 0 {
				return list, errDamaged
			}
			rest, next = rest[n:], next+int(distance)
		}
		if length >>= 1; length > uint64(len(rest)) || next < 0 {
			return list, errDamaged
		}
		list = append(list, Result{next, rest[:length:length]})
		rest, next = rest[length:], next+1
	}
	return list, nil
}
