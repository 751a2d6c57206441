package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/journal"
)

// Subscribe calls deliver for each end of a job until it has returned nil, one after the
// other. A nil deliver removes the subscription. It returns when ctx ends, or nothing more
// can be delivered. A subscription that is new is stored first, with the ends of all jobs
// there are.
func (r *Runner) Subscribe(ctx context.Context, name string, deliver func(context.Context, Change) error) error {
	const longest = 60
	switch {
	case name == "" || len(name) > longest:
		return fmt.Errorf("batch: name of a subscription: %q: must have 1 to %d bytes", name, longest)
	case deliver == nil:
		return r.unsubscribe(ctx, name)
	}
	s, err := r.subscribe(ctx, name)
	if err != nil {
		return err
	}
	for {
		e, err := s.next(ctx)
		if err != nil {
			s.release(nil)
			return err
		}
		d := &delivery{s: s, end: e, deliver: deliver}
		if err := d.see(ctx); err != nil {
			return err
		}
	}
}

// unsubscribe removes a subscription, and what it has still to be told.
func (r *Runner) unsubscribe(ctx context.Context, name string) error {
	if err := r.MayChange(ctx); err != nil {
		return err
	}
	records := []journal.Record{{Key: subscriptionKey + name}}
	all := &r.subscribed
	all.mu.Lock()
	if s := all.byName[name]; s != nil {
		if s.isTaken {
			all.mu.Unlock()
			return takenError(name)
		}
		for _, e := range s.queue {
			records = append(records, journal.Record{Key: e.key(name)})
		}
		delete(all.byName, name)
	}
	all.mu.Unlock()
	return r.storeError(ctx, r.journal.Put(ctx, records, nil, func() {}))
}

func takenError(name string) error {
	return fmt.Errorf("batch: subscription %q: somebody is subscribed, or a call has not returned", name)
}

// subscribe takes a subscription, which is made if there is none.
func (r *Runner) subscribe(ctx context.Context, name string) (*subscription, error) {
	switch {
	case r == nil:
		return nil, ErrZero
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case r.lossError() != nil:
		return nil, r.lossError()
	case r.isStopping():
		return nil, ErrShutdown
	}
	all := &r.subscribed
	all.mu.Lock()
	s := all.namedLocked(name)
	if s.isTaken {
		all.mu.Unlock()
		return nil, takenError(name)
	}
	s.r, s.isTaken = r, true
	isKnown := s.isKnown
	if !isKnown {
		s.since = make(map[ended]struct{})
	}
	all.mu.Unlock()
	if !isKnown {
		if err := r.begin(ctx, s); err != nil {
			return nil, err
		}
	}
	if !r.visit() {
		s.release(nil)
		return nil, ErrShutdown
	}
	defer r.leave()
	all.mu.Lock()
	defer all.mu.Unlock()
	s.stirLocked()
	return s, nil
}

// begin stores a subscription with the ends of jobs that have ended before.
func (r *Runner) begin(ctx context.Context, s *subscription) error {
	ends := r.endsBefore(s)
	record := journal.Record{Key: subscriptionKey + s.name, Value: []byte{}}
	records, undo := []journal.Record{record}, []journal.Record{{Key: record.Key}}
	for _, e := range ends {
		records = append(records, journal.Record{Key: e.key(s.name), Value: e.data})
		undo = append(undo, journal.Record{Key: e.key(s.name)})
	}
	err := r.journal.Put(ctx, records, undo, func() {})
	r.subscribed.mu.Lock()
	defer r.subscribed.mu.Unlock()
	if err != nil {
		delete(r.subscribed.byName, s.name)
		return r.storeError(ctx, err)
	}
	s.queue = append(ends, s.queue...)
	s.isKnown, s.since = true, nil
	return nil
}

// endsBefore returns the ends of jobs that have not been added since s is known, in
// the order in which they have finished.
func (r *Runner) endsBefore(s *subscription) (ends []end) {
	var views []View
	for _, j := range r.All() {
		if v := j.View(); v.isFinished() {
			views = append(views, v)
		}
	}
	slices.SortStableFunc(views, func(a, b View) int { return a.FinishedAt.Compare(b.FinishedAt) })
	all := &r.subscribed
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, v := range views {
		if _, ok := s.since[v.ended()]; ok {
			continue
		}
		all.latest++
		e := savedEnd{View: v}
		e.Stall = nil
		ends = append(ends, end{number: all.latest, revision: v.Revision, data: e.encode()})
	}
	return ends
}

// next waits for what is to be told next.
func (s *subscription) next(ctx context.Context) (end, error) {
	for {
		if err := s.endedBy(ctx); err != nil {
			return end{}, err
		}
		if e, ok := s.take(); ok {
			return e, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		case <-s.r.subscribed.over:
		}
	}
}

func (s *subscription) take() (e end, ok bool) {
	s.r.subscribed.mu.Lock()
	defer s.r.subscribed.mu.Unlock()
	if len(s.queue) == 0 {
		s.restLocked()
		return end{}, false
	}
	e, s.queue = s.queue[0], s.queue[1:]
	return e, true
}

// endedBy is why nothing more is to be told.
func (s *subscription) endedBy(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s.r.lossError() != nil:
		return s.r.lossError()
	case s.r.subscribed.isOver():
		return ErrShutdown
	}
	return nil
}

// release lets others take the subscription. An end is to be told to them, unless it
// is nil.
func (s *subscription) release(e *end) {
	s.r.subscribed.mu.Lock()
	defer s.r.subscribed.mu.Unlock()
	s.releaseLocked(e)
}

func (s *subscription) releaseLocked(e *end) {
	if e != nil {
		s.queue = slices.Insert(s.queue, 0, *e)
	}
	s.isTaken = false
	s.restLocked()
}

func (s *subscriptions) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// stop lets nothing more be delivered.
func (s *subscriptions) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOver() {
		close(s.over)
	}
}

// deliverLast lets receivers be told of what has ended last, if they are quick.
func (r *Runner) deliverLast(ctx context.Context) {
	const longest = 30 * time.Second // for a store that hangs
	if ctx.Err() != nil || !r.journal.Keeps() || !r.subscribed.isAnyTaken() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := r.journal.Sync(ctx); err == nil { // Shutdown reports the error of its own commit
		isIdleBefore(r, ctx.Done())
	}
}

func (s *subscriptions) isAnyTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.byName {
		if known.isTaken {
			return true
		}
	}
	return false
}
