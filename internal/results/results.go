// Package results keeps what the attempts of one job have resulted in: a value for each
// index or, without indexes, for each completion by its number.
package results

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// A Book has the results of one job; nil has none. It is not safe for concurrent use.
// Values are kept in chunks, which take a byte or two for each value besides its own bytes.
type Book struct {
	// IsStored has Changed tell of records.
	IsStored bool

	chunks    []chunk  // oldest first; a chunk does not change
	fresh     []Result // since the newest chunk
	freshSize int      // of the values, in bytes
	next      int64    // the number of the next chunk
	saved     int      // how many of the chunks have a record that is right
	written   int64    // from that number on there are no records
	removed   []int64  // numbers whose records are not needed any more
}

// A Result is one value, which does not change.
type Result struct {
	Index int
	Value []byte
}

// Sizes in bytes, and numbers of values, of chunks.
const (
	fullSize  = 8 << 10  // such a chunk is not merged with others
	mostSize  = 64 << 10 // of a new chunk, unless one value is larger
	mostFresh = 1 << 10
	fan       = 16 // how many small chunks become one
)

// Add adds a result, in the place of another one of the same index.
func (b *Book) Add(index int, value []byte) {
	b.fresh = append(b.fresh, Result{index, value})
	b.freshSize += len(value)
	if !b.IsStored && (b.freshSize >= fullSize || len(b.fresh) == mostFresh) {
		b.seal()
		b.saved = len(b.chunks)
	}
}

// Changed puts the records that have changed since it was last called; those that are
// not needed any more have no value. A commit has the results that are new. The chunks
// of small commits are merged, so that in the end each value has been written a few
// times.
func (b *Book) Changed(put func(key string, value []byte)) {
	if b == nil {
		return
	}
	if len(b.fresh) > 0 {
		b.seal()
		for b.merge() {
		}
	}
	for _, number := range b.removed {
		put(key(number), nil)
	}
	b.removed = b.removed[:0]
	for _, c := range b.chunks[b.saved:] {
		put(key(c.number), c.data)
	}
	b.saved, b.written = len(b.chunks), b.next
}

const prefix = "result/"

func key(number int64) string { return prefix + strconv.FormatInt(number, 10) }

// seal makes chunks of what is fresh.
func (b *Book) seal() {
	sortByIndex(b.fresh)
	for rest := b.fresh; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && (n == 0 || size+len(rest[n].Value) <= mostSize) {
			size += len(rest[n].Value)
			n++
		}
		b.chunks = append(b.chunks, chunk{b.next, encode(0, rest[:n])})
		b.next++
		rest = rest[n:]
	}
	clear(b.fresh)
	b.fresh, b.freshSize = b.fresh[:0], 0
	if cap(b.fresh) > 2*mostFresh {
		b.fresh = nil
	}
}

// merge makes one chunk of the last ones if they are small, of one level and many
// enough, and reports whether it did.
func (b *Book) merge() bool {
	first := len(b.chunks)
	for first > 0 && b.chunks[first-1].isSmall() && b.chunks[first-1].level() == b.chunks[len(b.chunks)-1].level() {
		first--
	}
	last := b.chunks[first:]
	if len(last) < fan {
		return false
	}
	var all []Result
	for _, c := range last {
		all, _ = c.decode(all) // cannot fail: it was encoded here, or decoded before
		if c.number < b.written {
			b.removed = append(b.removed, c.number)
		}
	}
	sortByIndex(all)
	all = latest(all)
	number, level := last[0].number, last[0].level()+1
	b.saved = min(b.saved, first)
	b.removed = slices.DeleteFunc(b.removed, func(n int64) bool { return n == number })
	clear(last)
	b.chunks = append(b.chunks[:first], chunk{number, encode(level, all)})
	return true
}

// Truncate drops the results of that index and all above. It looks at each result,
// unless it drops them all.
func (b *Book) Truncate(from int) {
	if b == nil {
		return
	}
	b.fresh = slices.DeleteFunc(b.fresh, func(r Result) bool { return r.Index >= from })
	b.freshSize = 0
	for _, r := range b.fresh {
		b.freshSize += len(r.Value)
	}
	before := b.chunks
	b.chunks = nil // views share it
	for i, c := range before {
		rest := c.truncated(from)
		if len(rest) == len(c.data) && len(b.chunks) == i {
			b.chunks = append(b.chunks, c)
			continue
		}
		// All from the first that changes get new numbers: so they stay in order, and no
		// number has a record that is another one's.
		b.saved = min(b.saved, i)
		if c.number < b.written {
			b.removed = append(b.removed, c.number)
		}
		if len(rest) > 0 {
			b.chunks = append(b.chunks, chunk{b.next, rest})
			b.next++
		}
	}
	if !b.IsStored {
		b.saved, b.removed = len(b.chunks), nil
	}
}

// Load moves the results from a job's records into the book.
func (b *Book) Load(records map[string][]byte) error {
	for key, data := range records {
		text, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		number, err := strconv.ParseInt(text, 10, 64)
		c := chunk{number, data}
		if err == nil {
			_, err = c.decode(nil)
		}
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		delete(records, key)
		b.chunks = append(b.chunks, c)
		b.next = max(b.next, number+1)
	}
	slices.SortFunc(b.chunks, func(c, d chunk) int { return cmp.Compare(c.number, d.number) })
	b.saved, b.written = len(b.chunks), b.next
	return nil
}

// A Rest is a book in little memory, as long as nothing is added.
type Rest struct{ chunks []chunk }

// Rest returns the book as it rests. If it is stored, everything must have been put.
func (b *Book) Rest() (r Rest) {
	if b == nil {
		return r
	}
	b.seal()
	if len(b.chunks) > 0 {
		r.chunks = make([]chunk, len(b.chunks)) // and no room for more
		copy(r.chunks, b.chunks)
	}
	return r
}

// IsEmpty reports whether there are no results.
func (r Rest) IsEmpty() bool { return len(r.chunks) == 0 }

// Wake undoes [Book.Rest].
func (r Rest) Wake(isStored bool) *Book {
	if r.IsEmpty() {
		return nil
	}
	b := &Book{IsStored: isStored, chunks: r.chunks, saved: len(r.chunks)}
	b.next = r.chunks[b.saved-1].number + 1
	b.written = b.next
	return b
}

// A View is what there was at one moment. It does not change.
type View struct {
	chunks []chunk
	fresh  []Result
}

// View returns what there is now, without looking at each result.
func (b *Book) View() View {
	if b == nil {
		return View{}
	}
	return View{slices.Clone(b.chunks), slices.Clone(b.fresh)}
}

// Sorted returns the results in order of index, one for each. The values must not be
// modified.
func (v View) Sorted() []Result {
	var all []Result
	for _, c := range v.chunks {
		all, _ = c.decode(all) // as in merge
	}
	all = append(all, v.fresh...)
	sortByIndex(all)
	return latest(all)
}

// sortByIndex keeps the order of results of one index.
func sortByIndex(all []Result) {
	byIndex := func(a, b Result) int { return cmp.Compare(a.Index, b.Index) }
	if !slices.IsSortedFunc(all, byIndex) {
		slices.SortStableFunc(all, byIndex)
	}
}

// latest keeps the last result of each index, of results in order.
func latest(all []Result) []Result {
	kept := all[:0]
	for i, r := range all {
		if i+1 == len(all) || all[i+1].Index != r.Index {
			kept = append(kept, r)
		}
	}
	return kept
}

// Decode decodes the values from JSON.
func Decode[T any](encoded []Result, job string) (iter.Seq2[int, T], error) {
	values := make([]T, len(encoded))
	for i, r := range encoded {
		if err := json.Unmarshal(r.Value, &values[i]); err != nil {
			return None[T], fmt.Errorf("batch: result %d of job %q: %w", r.Index, job, err)
		}
	}
	return func(yield func(int, T) bool) {
		for i, value := range values {
			if !yield(encoded[i].Index, value) {
				return
			}
		}
	}, nil
}

// None is an iterator over no results.
func None[T any](func(int, T) bool) {}
