package results

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// A disk has records, and counts the bytes that were written.
type disk struct {
	records map[string][]byte
	written int
}

func (d *disk) put(key string, value []byte) {
	if d.records == nil {
		d.records = make(map[string][]byte)
	}
	if value == nil {
		delete(d.records, key)
		return
	}
	d.records[key] = bytes.Clone(value)
	d.written += len(value)
}

func (d *disk) size() (bytes int) {
	for key, value := range d.records {
		bytes += len(key) + len(value)
	}
	return bytes
}

func loaded(t *testing.T, d *disk) *Book {
	t.Helper()
	b := &Book{IsStored: true}
	require.NoError(t, b.Load(maps.Clone(d.records)))
	return b
}

// TestBookAgainstAMap gives random results, commits and restarts to a book, and wants
// what a map has.
func TestBookAgainstAMap(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		d, model := new(disk), make(map[int]string)
		b := &Book{IsStored: seed%2 == 0}
		for i := range 3000 {
			index := i
			if random.IntN(10) == 0 {
				index = random.IntN(i + 1)
			}
			value := bytes.Repeat([]byte{byte(i)}, random.IntN(40))
			b.Add(index, value)
			model[index] = string(value)
			if random.IntN(200) == 0 {
				from := random.IntN(2 * (i + 1))
				if random.IntN(10) == 0 {
					from = 0
				}
				b.Truncate(from)
				maps.DeleteFunc(model, func(i int, _ string) bool { return i >= from })
			}
			if b.IsStored && random.IntN(5) == 0 {
				b.Changed(d.put)
				if random.IntN(100) == 0 {
					b = loaded(t, d)
				}
			}
		}
		require.Equal(t, model, asMap(t, b.View()), "seed %d", seed)
		if b.IsStored {
			b.Changed(d.put)
			require.Equal(t, model, asMap(t, loaded(t, d).View()), "seed %d", seed)
		}
	}
}

// TestTruncateLeavesNoRecords wants no record of what was dropped, and those of the rest.
func TestTruncateLeavesNoRecords(t *testing.T) {
	for name, tc := range map[string]struct {
		from    []int
		wanted  int
		records bool
	}{
		"all":                  {from: []int{0}, wanted: 0},
		"twice in a commit":    {from: []int{4000, 0}, wanted: 0},
		"some":                 {from: []int{4000}, wanted: 4000, records: true},
		"less and less":        {from: []int{4000, 3000, 10}, wanted: 10, records: true},
		"nothing":              {from: []int{5000}, wanted: 5000, records: true},
		"below every index":    {from: []int{-1}, wanted: 0},
		"what was not written": {from: []int{5000, 4999}, wanted: 4999, records: true},
	} {
		t.Run(name, func(t *testing.T) {
			b, d := &Book{IsStored: true}, new(disk)
			for i := range 5000 {
				b.Add(i, []byte("value"))
				if i%10 == 0 {
					b.Changed(d.put)
				}
			}
			view := b.View()
			for _, from := range tc.from {
				b.Truncate(from)
			}
			b.Changed(d.put)
			require.Len(t, b.View().Sorted(), tc.wanted)
			require.Len(t, loaded(t, d).View().Sorted(), tc.wanted)
			require.Equal(t, tc.records, len(d.records) > 0)
			require.Len(t, view.Sorted(), 5000)
			rest := b.Rest()
			require.Len(t, rest.Wake(true).View().Sorted(), tc.wanted)
		})
	}
}

// asMap wants results in order of index, each once.
func asMap(t *testing.T, v View) map[int]string {
	t.Helper()
	all := make(map[int]string)
	last := -1
	for _, r := range v.Sorted() {
		require.Less(t, last, r.Index)
		last = r.Index
		all[r.Index] = string(r.Value)
	}
	return all
}

// TestSizeOfRecords wants at most twice the bytes of the values in the store, and each
// value written a few times, however many share a commit.
func TestSizeOfRecords(t *testing.T) {
	const count = 20_000
	for _, length := range []int{1, 8, 100, 10_000} {
		for _, perCommit := range []int{1, 10, 1000} {
			t.Run(fmt.Sprintf("%d bytes, %d a commit", length, perCommit), func(t *testing.T) {
				b, d, values := &Book{IsStored: true}, new(disk), min(count, 20_000_000/length)
				value := bytes.Repeat([]byte{'1'}, length)
				for i := range values {
					b.Add(i^1, value) // two workers
					if i%perCommit == perCommit-1 {
						b.Changed(d.put)
					}
				}
				b.Changed(d.put)
				require.LessOrEqual(t, d.size(), 2*length*values+4096)
				require.LessOrEqual(t, d.written, 12*length*values+4096)
				if length > 100 {
					require.LessOrEqual(t, d.written, 4*length*values)
				}
				require.Len(t, loaded(t, d).View().Sorted(), values)
			})
		}
	}
}

// TestViewDoesNotChange wants a view as it was taken, whatever the book does.
func TestViewDoesNotChange(t *testing.T) {
	for _, stored := range []bool{false, true} {
		b, d := &Book{IsStored: stored}, new(disk)
		b.Add(3, []byte("c"))
		b.Add(1, []byte("a"))
		view := b.View()
		for i := range 5000 {
			b.Add(i, strconv.AppendInt(nil, int64(i), 10))
			b.Changed(d.put)
		}
		require.Equal(t, map[int]string{1: "a", 3: "c"}, asMap(t, view))
	}
}

// TestNothingNewIsNotWritten wants no record without a result.
func TestNothingNewIsNotWritten(t *testing.T) {
	b, d := &Book{IsStored: true}, new(disk)
	b.Changed(d.put)
	require.Zero(t, d.written)
	b.Add(0, []byte("x"))
	b.Changed(d.put)
	before := d.written
	b.Changed(d.put)
	loaded(t, d).Changed(d.put)
	require.Equal(t, before, d.written)
}

func TestDamagedRecords(t *testing.T) {
	good := encode(0, []Result{{Index: 7, Value: []byte("seven")}})
	for name, record := range map[string]struct {
		key  string
		data []byte
	}{
		"no number":          {key: "result/x", data: good},
		"nothing":            {key: "result/1"},
		"a part of a number": {key: "result/1", data: []byte{0, 0x80}},
		"a part of a value":  {key: "result/1", data: good[:len(good)-1]},
		"no distance":        {key: "result/1", data: []byte{0, 1}},
		"a negative index":   {key: "result/1", data: []byte{0, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			err := new(Book).Load(map[string][]byte{record.key: record.data})
			require.ErrorContains(t, err, strconv.Quote(record.key))
		})
	}
	records := map[string][]byte{"result/1": good, "other": good}
	require.NoError(t, new(Book).Load(records))
	require.Equal(t, []string{"other"}, slices.Collect(maps.Keys(records)))
}

// FuzzDecode wants no panic, and that what can be read is read again the same.
func FuzzDecode(f *testing.F) {
	f.Add(encode(0, []Result{{Index: 7, Value: []byte("seven")}, {Index: 8}, {Index: 2, Value: []byte("two")}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := chunk{data: data}.decode(nil)
		if err != nil {
			return
		}
		again, err := chunk{data: encode(0, list)}.decode(nil)
		require.NoError(t, err)
		require.Equal(t, list, again)
	})
}
