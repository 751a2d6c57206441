package batchtest

import (
	"context"
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
	claimed bool
}

// Claim makes the store that of one controller. The error is [batch.ErrStoreInUse].
func (s *MemoryStore) Claim(context.Context) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed {
		return nil, batch.ErrStoreInUse
	}
	s.claimed = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.claimed = false
	}, nil
}

// Load walks over a copy of what there is. The error is that of ctx.
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

// Commit applies the records. The error is that of ctx.
func (s *MemoryStore) Commit(ctx context.Context, records []batch.Record) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs == nil {
		s.jobs = make(map[string]map[string][]byte)
	}
	for _, r := range records {
		s.apply(r)
	}
	return nil
}

// apply needs s.mu.
func (s *MemoryStore) apply(r batch.Record) {
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
