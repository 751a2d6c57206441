package runner

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/internal/journal"
)

// SaveRecord keeps a value of an extension under a key, and lets it be seen once it
// is durable. A nil value removes it. Calls for one key come one at a time.
func (r *Runner) SaveRecord(ctx context.Context, key string, value []byte) error {
	const longest = 90
	if key == "" || len(key) > longest {
		return fmt.Errorf("batch: key of a record: %q: must have 1 to %d bytes", key, longest)
	}
	if err := r.MayChange(ctx); err != nil {
		return err
	}
	key, value = extensionKey+key, bytes.Clone(value)
	record := []journal.Record{{Key: key, Value: value}}
	undo := []journal.Record{{Key: key, Value: r.record(key)}}
	if err := r.journal.Put(ctx, record, undo, func() {}); err != nil {
		return r.storeError(ctx, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if value == nil {
		delete(r.records, key)
	} else {
		r.records[key] = value
	}
	return nil
}

func (r *Runner) record(key string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records[key]
}

// Records returns the values of extensions whose keys begin with a prefix, in order
// of key.
func (r *Runner) Records(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if r == nil {
			return
		}
		records := make(map[string][]byte)
		r.mu.Lock()
		for key, value := range r.records {
			if name := strings.TrimPrefix(key, extensionKey); strings.HasPrefix(name, prefix) {
				records[name] = value
			}
		}
		r.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(records)) {
			if !yield(name, bytes.Clone(records[name])) {
				return
			}
		}
	}
}
