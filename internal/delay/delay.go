// Package delay asks users' back-offs for the delays after failures in a row.
package delay

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Sequence is one back-off and how often it was asked.
type Sequence struct {
	backoff backoff.BackOff
	n       int
}

var errNoBackOff = errors.New("no back-off was returned")

// After returns the delay after the n-th failure in a row, counted from 1. A
// new back-off is made if the sequence is already past that: then it began
// anew. It calls user code; the error says that this failed.
func (s *Sequence) After(n int, fresh func() backoff.BackOff) (delay time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("back-off panicked: %v", v)
		}
	}()
	if s.backoff == nil || s.n >= n {
		s.n = 0
		if s.backoff = fresh(); s.backoff == nil {
			return 0, errNoBackOff
		}
	}
	for s.n < n {
		s.n++
		delay = s.backoff.NextBackOff()
	}
	return delay, nil
}

// Sequences has a sequence for each key, such as an index. Its methods may be
// called by several goroutines at once; one calls user code at a time.
type Sequences struct {
	mu   sync.Mutex // guards the fields below; for nothing else, as user code runs under it
	keys map[int]*Sequence
}

// After is [Sequence.After] of the sequence of that key.
func (s *Sequences) After(key, n int, fresh func() backoff.BackOff) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.keys[key]
	if q == nil {
		q = new(Sequence)
		s.put(key, q)
	}
	return q.After(n, fresh)
}

func (s *Sequences) put(key int, q *Sequence) {
	if s.keys == nil {
		s.keys = make(map[int]*Sequence)
	}
	s.keys[key] = q
}

// Drop forgets the sequence of a key.
func (s *Sequences) Drop(key int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
}
