package batchtest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/runtocompletion/batch"
)

// A MemoryStore is a [batch.Store] in memory: jobs survive their controller, but not the
// process. Tests restart controllers with it. The zero value is empty. Its
// methods may be called by several goroutines at once.
type MemoryStore struct {
	mu      sync.Mutex // guards the fields below
	jobs    map[string]map[string][]byte
	holder  *memoryClaim  // nil if the store is free
	changed chan struct{} // closed when one of the fields above changes; nil if no caller waits
}

// A memoryClaim distinguishes one claim from another.
type memoryClaim struct{ store *MemoryStore }

type memoryClaimKey struct{ store *MemoryStore }

// Claim makes the store that of one controller: see [batch.Claimer].
func (s *MemoryStore) Claim(ctx context.Context, wait func(holder string)) (context.Context, func(), error) {
	const holder = "this process"
	claim := &memoryClaim{s}
	for {
		changed := s.tryClaim(claim)
		switch {
		case changed == nil:
			return context.WithValue(context.Background(), memoryClaimKey{s}, claim), claim.release, nil
		case wait == nil:
			return nil, nil, fmt.Errorf("%w: %s", batch.ErrStoreInUse, holder)
		}
		wait(holder)
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// tryClaim returns nil if it has claimed the store, and otherwise what is closed when
// the store has changed.
func (s *MemoryStore) tryClaim(claim *memoryClaim) (changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder == nil {
		s.holder = claim
		return nil
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (c *memoryClaim) release() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.holder = nil
	c.store.wakeLocked()
}

func (s *MemoryStore) wakeLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Load iterates over a copy of what there is. The error is that of ctx.
func (s *MemoryStore) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		s.mu.Lock()
		var records []batch.Record
		for job, values := range s.jobs {
			for key, value := range values {
				records = append(records, batch.Record{Job: job, Key: key, Value: slices.Clone(value)})
			}
		}
		s.mu.Unlock()
		for _, r := range records {
			if ctx.Err() != nil {
				yield(batch.Record{}, context.Cause(ctx))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Commit applies the records. The error is that of ctx, or [batch.ErrStoreInUse] if that was
// made by a claim which has been released.
func (s *MemoryStore) Commit(ctx context.Context, records []batch.Record) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if claim := ctx.Value(memoryClaimKey{s}); claim != nil && claim != s.holder {
		return batch.ErrStoreInUse
	}
	if s.jobs == nil {
		s.jobs = make(map[string]map[string][]byte)
	}
	for _, r := range records {
		s.applyLocked(r)
	}
	s.wakeLocked()
	return nil
}

func (s *MemoryStore) applyLocked(r batch.Record) {
	switch {
	case r.Value != nil && s.jobs[r.Job] == nil:
		s.jobs[r.Job] = make(map[string][]byte)
		fallthrough
	case r.Value != nil:
		s.jobs[r.Job][r.Key] = append([]byte{}, r.Value...)
	case r.Key == "":
		delete(s.jobs, r.Job)
	default:
		delete(s.jobs[r.Job], r.Key)
	}
}
