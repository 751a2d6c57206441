package runner

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/internal/journal"
)

// SaveRecord keeps a value of an extension under a key, and returns when that is
// durable. A nil value removes it.
func (r *Runner) SaveRecord(ctx context.Context, key string, value []byte) error {
	if err := r.MayChange(ctx); err != nil {
		return err
	}
	key = extensionKey + key
	r.mu.Lock()
	before := r.records[key]
	if value == nil {
		delete(r.records, key)
	} else {
		r.records[key] = bytes.Clone(value)
	}
	value = r.records[key]
	r.mu.Unlock()
	undone := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if before == nil {
			delete(r.records, key)
		} else {
			r.records[key] = before
		}
	}
	record, undo := []journal.Record{{Key: key, Value: value}}, []journal.Record{{Key: key, Value: before}}
	return r.storeError(ctx, r.journal.Put(ctx, record, undo, undone))
}

// Records returns the values of extensions whose keys begin with a prefix, in order
// of key.
func (r *Runner) Records(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		r.mu.Lock()
		records := maps.Clone(r.records)
		r.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(records)) {
			name := strings.TrimPrefix(key, extensionKey)
			if strings.HasPrefix(name, prefix) && !yield(name, bytes.Clone(records[key])) {
				return
			}
		}
	}
}
