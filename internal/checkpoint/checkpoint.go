// Package checkpoint has what the attempts of a job save of how far they have
// come. An index of an Indexed job has one checkpoint, which its attempts share.
// Where there are no indexes, a checkpoint goes from an attempt that has ended
// without success to another one.
package checkpoint

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Book has the checkpoints of one job. It is not safe for concurrent use.
type Book struct {
	// IsStored has Changed tell of records.
	IsStored bool

	byID    map[int64]*Checkpoint
	left    []*Checkpoint     // that no attempt has, oldest first
	changed map[string][]byte // records, by key; nil if not needed any more
}

// A Checkpoint has values under names.
type Checkpoint struct {
	ID int64 // the index, or the ordinal of the attempt that saved it first
	By int64 // the ordinal of the attempt that has saved it last; -1: not known

	values map[string][]byte
}

// Value returns a copy of what was saved under a name; nil if nothing was.
func (c *Checkpoint) Value(name string) []byte { return bytes.Clone(c.values[name]) }

// Len is how many checkpoints there are.
func (b *Book) Len() int { return len(b.byID) }

// Of returns the checkpoint of that number, or nil.
func (b *Book) Of(id int64) *Checkpoint { return b.byID[id] }

// Add adds one.
func (b *Book) Add(id int64) *Checkpoint {
	if b.byID == nil {
		b.byID = make(map[int64]*Checkpoint)
	}
	c := &Checkpoint{ID: id, By: -1, values: make(map[string][]byte)}
	b.byID[id] = c
	return c
}

// Save keeps data, which is not nil and must not change any more, under a name.
func (b *Book) Save(c *Checkpoint, name string, data []byte, by int64) {
	c.values[name], c.By = data, by
	b.change(Key(c.ID, name), data)
}

func (b *Book) change(key string, data []byte) {
	if !b.IsStored {
		return
	}
	if b.changed == nil {
		b.changed = make(map[string][]byte)
	}
	b.changed[key] = data
}

// Leave leaves a checkpoint to the next attempt.
func (b *Book) Leave(c *Checkpoint) { b.left = append(b.left, c) }

// TakeOver returns a checkpoint that was left; nil if there is none.
func (b *Book) TakeOver() *Checkpoint {
	if len(b.left) == 0 {
		return nil
	}
	c := b.left[0]
	b.left = b.left[1:]
	return c
}

// TakeBack returns the checkpoint of that number to an attempt that had it before
// the job was loaded; nil if it is not there.
func (b *Book) TakeBack(id int64) *Checkpoint {
	b.left = slices.DeleteFunc(b.left, func(c *Checkpoint) bool { return c.ID == id })
	return b.byID[id]
}

// Drop forgets a checkpoint that is not needed any more, if there is one.
func (b *Book) Drop(id int64) {
	c := b.byID[id]
	if c == nil {
		return
	}
	delete(b.byID, id)
	for name := range c.values {
		b.change(Key(id, name), nil)
	}
}

// DropAll forgets all.
func (b *Book) DropAll() {
	for id := range b.byID {
		b.Drop(id)
	}
	b.left = nil
}

// Changed puts the records that have changed since it was last called; those that
// are not needed any more have no value.
func (b *Book) Changed(put func(key string, value []byte)) {
	for _, key := range slices.Sorted(maps.Keys(b.changed)) {
		put(key, b.changed[key])
	}
	b.changed = nil
}

const prefix = "checkpoint/"

// Key is the key of the record that has one value.
func Key(id int64, name string) string {
	return prefix + strconv.FormatInt(id, 10) + "/" + name
}

// Load moves the checkpoints from a job's records into the book, and leaves them
// to any attempt if the job has no indexes.
func (b *Book) Load(records map[string][]byte, indexed bool) error {
	for key, data := range records {
		text, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		number, name, _ := strings.Cut(text, "/")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		delete(records, key)
		c := b.Of(id)
		if c == nil {
			c = b.Add(id)
		}
		c.values[name] = data
	}
	if !indexed {
		b.left = slices.SortedFunc(maps.Values(b.byID), func(c, d *Checkpoint) int { return cmp.Compare(c.ID, d.ID) })
	}
	return nil
}
