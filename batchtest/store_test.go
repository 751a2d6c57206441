package batchtest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A memory is a store in memory. With a fault it does one thing wrong.
type memory struct {
	fault string

	mu   sync.Mutex // guards what follows
	jobs map[string]map[string][]byte
}

func (m *memory) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		for _, r := range m.records() {
			if ctx.Err() != nil && m.fault != "load goes on" {
				yield(batch.Record{}, context.Cause(ctx))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *memory) records() []batch.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []batch.Record
	for job, values := range m.jobs {
		for key, value := range values {
			if m.fault != "gives out its memory" {
				value = append([]byte{}, value...)
			}
			if m.fault == "nil for empty" && len(value) == 0 {
				value = nil
			}
			records = append(records, batch.Record{Job: job, Key: key, Value: value})
		}
	}
	switch {
	case m.fault == "mixes jobs":
		slices.SortFunc(records, func(a, b batch.Record) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	case m.fault == "twice" && len(records) > 0:
		records = append(records, records[len(records)-1])
	}
	return records
}

var errBroken = errors.New("broken")

func (m *memory) Commit(ctx context.Context, records []batch.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.fault == "ignores context":
	case ctx.Err() != nil && m.fault == "wrong error":
		return errBroken
	case ctx.Err() != nil && m.fault == "half a commit":
		m.apply(records[:len(records)/2])
		return context.Cause(ctx)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if m.fault == "backwards" {
		records = slices.Clone(records)
		slices.Reverse(records)
	}
	m.apply(records)
	if m.fault == "writes to records" && len(records) > 0 && len(records[0].Value) > 0 {
		records[0].Value[0]++
	}
	return nil
}

func (m *memory) apply(records []batch.Record) {
	if m.jobs == nil {
		m.jobs = map[string]map[string][]byte{}
	}
	for _, r := range records {
		switch {
		case r.Value != nil:
			m.put(r)
		case r.Key != "":
			delete(m.jobs[r.Job], r.Key)
		case m.fault == "removes more":
			maps.DeleteFunc(m.jobs, func(job string, _ map[string][]byte) bool {
				return len(job) >= len(r.Job) && job[:len(r.Job)] == r.Job
			})
		default:
			delete(m.jobs, r.Job)
		}
	}
}

func (m *memory) put(r batch.Record) {
	if m.jobs[r.Job] == nil {
		m.jobs[r.Job] = map[string][]byte{}
	}
	value := r.Value
	if m.fault != "keeps records" {
		value = bytes.Clone(value)
	}
	if m.fault == "cuts" {
		value = value[:min(len(value), 1<<20)]
	}
	m.jobs[r.Job][r.Key] = value
}

// A forgetful store forgets when it is closed.
type forgetful struct{ memory }

func (*forgetful) Close() error { return nil }

func TestTestStore_AStoreInMemory(t *testing.T) {
	batchtest.TestStore(t, func(string) (batch.Store, error) { return &memory{}, nil })
}

func TestMemoryStore(t *testing.T) {
	batchtest.TestStore(t, func(string) (batch.Store, error) { return new(batchtest.MemoryStore), nil })
}

func TestTestStore_FindsFaults(t *testing.T) {
	for fault, want := range map[string]struct{ name, text string }{
		"load goes on": {
			name: "a load ends with its context", text: "it must end with the context's error, and not with <nil>",
		},
		"gives out its memory": {
			name: "loaded values are the caller's",
			text: "after values that a load gave out were written to: record \"k\" of job \"a\":\n got: ",
		},
		"nil for empty": {name: "an empty value is a value", text: "has a nil value"},
		"mixes jobs":    {name: "there may be many jobs", text: "they must come job by job"},
		"twice":         {name: "what is committed is loaded", text: "comes twice"},
		"ignores context": {
			name: "nothing is committed for a context that has ended", text: "must return its error, and not <nil>",
		},
		"wrong error": {name: "nothing is committed for a context that has ended", text: "and not broken"},
		"half a commit": {
			name: "nothing is committed for a context that has ended",
			text: "after a commit with a context that was cancelled before: record \"k\" of job \"a\":\n" +
				" got: \"2\"\nwant: \"1\"",
		},
		"backwards": {
			name: "the records of a commit apply in their order",
			text: "commit 1 of 2: record \"k\" of job \"a\":\n got: \"1\"\nwant: \"2\"",
		},
		"writes to records": {
			name: "what is committed is loaded", text: "the store has changed record 0 of a commit, which it was only lent",
		},
		"removes more": {
			name: "a nil value without a key removes that job, and no other",
			text: "commit 2 of 9: record \"big\" of job \"a\" is missing, it was committed as \"xxx",
		},
		"keeps records": {
			name: "what is committed is loaded", text: "record \"format\" of job \"\":\n got: \"\\xcb\"\nwant: \"4\"",
		},
		"cuts": {name: "values may be long", text: "... (1048576 bytes)\nwant: "},
	} {
		t.Run(fault, func(t *testing.T) {
			err := batchtest.StoreError(
				t.Context(), t.TempDir(), want.name, func(string) (batch.Store, error) { return &memory{fault: fault}, nil },
			)
			require.ErrorContains(t, err, want.text)
		})
	}
}

func TestTestStore_FindsWhatIsForgotten(t *testing.T) {
	forgets := func(string) (batch.Store, error) { return &forgetful{}, nil }
	require.ErrorContains(t, batchtest.StoreError(t.Context(), t.TempDir(), "what is committed is loaded", forgets),
		"after closing the store and opening it again: record \"format\" of job \"\" is missing")
	require.NoError(t, batchtest.StoreError(t.Context(), t.TempDir(), "an empty store holds nothing", forgets))
}

func TestTestStore_SaysThatAStoreDoesNotOpen(t *testing.T) {
	err := batchtest.StoreError(
		t.Context(), t.TempDir(), "what is committed is loaded", func(string) (batch.Store, error) { return nil, errBroken },
	)
	require.EqualError(t, err, "open an empty folder: broken")
	require.ErrorIs(t, err, errBroken)
}

// A claimed store breaks one of the rules of claims.
type claimed struct {
	batchtest.MemoryStore
	fault string
}

func (c *claimed) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	switch {
	case c.fault == "everybody":
		return context.Background(), func() {}, nil
	case c.fault == "another error" && wait == nil:
		if held, release, err := c.MemoryStore.Claim(ctx, nil); err == nil {
			return held, release, nil
		}
		return nil, nil, errBroken
	case c.fault == "no name" && wait != nil:
		return c.MemoryStore.Claim(ctx, func(string) { wait("") })
	}
	held, release, err := c.MemoryStore.Claim(ctx, wait)
	switch {
	case err != nil:
		return nil, nil, err
	case c.fault == "no token":
		held = context.Background()
	case c.fault == "keeps it":
		release = func() {}
	}
	return held, release, nil
}

func TestTestStore_FindsFaultsOfClaims(t *testing.T) {
	for fault, want := range map[string]struct{ name, text string }{
		"everybody": {
			name: "one controller at a time has a store", text: "must be refused with ErrStoreInUse: it works as well",
		},
		"another error": {
			name: "a claim is refused while another one is held",
			text: "must be refused with ErrStoreInUse, and not with broken",
		},
		"no name": {name: "a claim that waits gets the store when it is free", text: "and not with an empty one"},
		"no token": {
			name: "a claim that was released commits nothing", text: "must fail with ErrStoreInUse, and not with <nil>",
		},
		"keeps it": {name: "one controller at a time has a store", text: "after the shutdown of the one before"},
	} {
		t.Run(fault, func(t *testing.T) {
			err := batchtest.StoreError(t.Context(), t.TempDir(), want.name, func(string) (batch.Store, error) {
				return &claimed{fault: fault}, nil
			})
			require.ErrorContains(t, err, want.text)
		})
	}
}
