package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/runtocompletion/batch/internal/turns"
)

// SetLimit adds a limit or changes it.
func (r *Runner) SetLimit(name string, l turns.Limit) error {
	if r == nil {
		return ErrZero
	}
	if err := r.slots.turns.Set(name, l, r.slots.now()); err != nil { // turns.ErrPerKey
		return fmt.Errorf("batch: limit [%q].PerKey: %v: cannot be changed", name, l.PerKey)
	}
	r.limits.Set(name, l)
	r.handOutNow()
	return nil
}

// A ticket is the turn of code that is no attempt.
type ticket struct {
	got chan slot // has room for one
}

func (t *ticket) takeTurn(_ *effects, s slot) bool {
	t.got <- s
	return true
}

// Acquire waits for its turn with some limits. Release can be called several times.
func (r *Runner) Acquire(ctx context.Context, key string, limits []string) (release func(), err error) {
	if err := r.mayAcquire(ctx, limits); err != nil {
		return nil, err
	}
	limits = slices.Compact(slices.Sorted(slices.Values(limits)))
	t := &ticket{got: make(chan slot, 1)}
	p := &turns.Place[taker]{Item: t, Name: "other code", Limits: limits, Key: key}
	r.slots.join(p)
	r.handOutNow()
	select {
	case s := <-t.got:
		return sync.OnceFunc(func() {
			s.release()
			r.handOutNow()
		}), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-r.stopping:
		err = ErrShutdown
	}
	r.slots.leave(p)
	select {
	case s := <-t.got: // at the same time
		r.slots.turns.Release(s.grant, false, r.slots.now())
		r.handOutNow()
	default:
	}
	return nil, err
}

func (r *Runner) mayAcquire(ctx context.Context, limits []string) error {
	switch {
	case r == nil:
		return ErrZero
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.isStopping():
		return ErrShutdown
	}
	for _, name := range limits {
		if !r.slots.turns.Has(name) {
			return notFound("limit", name)
		}
	}
	return nil
}

// handOutNow is for code that no caller waits for.
func (r *Runner) handOutNow() {
	if r.visit() {
		defer r.leave()
		r.perform(&effects{})
	}
}
