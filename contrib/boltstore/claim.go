package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/runtocompletion/batch"
)

var _ batch.Claimer = (*Store)(nil)

// Claim makes the store that of one controller: see [batch.Claimer]. A file that another
// process has open is that one's. To wait for it, open the store with Options.Standby:
// a claim that waits looks twenty times a second, since a system does not say when a
// lock is free, and the records cannot be read meanwhile.
func (s *Store) Claim(ctx context.Context, wait func(holder string)) (context.Context, func(), error) {
	const often, seldom = 50 * time.Millisecond, time.Second
	told, commits, at := "", uint64(0), time.Time{}
	for {
		claim, err := s.tryClaim(ctx)
		if err == nil {
			return context.WithValue(context.Background(), claimKey{s}, claim), claim.release, nil
		}
		if wait == nil || !errors.Is(err, batch.ErrStoreInUse) {
			return nil, nil, err
		}
		holder, now := holderOf(err), s.commits.Load()
		if holder != told || now != commits && time.Since(at) >= seldom {
			told, commits, at = holder, now, time.Now()
			wait(holder)
		}
		select {
		case <-time.After(often):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// tryClaim claims the store if it is free. The error is an [*InUseError], or why the
// file could not be opened.
func (s *Store) tryClaim(ctx context.Context) (*claim, error) {
	c := &claim{s}
	if !s.holder.CompareAndSwap(nil, c) {
		return nil, &InUseError{Path: s.path, PID: os.Getpid()}
	}
	if err := s.ready(ctx); err != nil {
		s.holder.CompareAndSwap(c, nil)
		return nil, err
	}
	return c, nil
}

// ready opens the file, if it is not open.
func (s *Store) ready(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.run(ctx, s.makeReady)
}

// holderOf names who has the store.
func holderOf(err error) string {
	inUse, ok := errors.AsType[*InUseError](err)
	switch {
	case !ok || inUse.PID == 0:
		return "another process"
	case inUse.PID == os.Getpid():
		return fmt.Sprintf("this process (%d)", inUse.PID)
	}
	return fmt.Sprintf("process %d", inUse.PID)
}

// A claim tells one from another. The contexts of its controller's commits have it.
type claim struct{ store *Store }

type claimKey struct{ store *Store }

// release leaves the store to another controller of this process, and, with Close, to
// those of others.
func (c *claim) release() { c.store.holder.CompareAndSwap(c, nil) }

// checkClaim returns an error if a commit is that of a claim which was released.
func (s *Store) checkClaim(ctx context.Context) error {
	if c := ctx.Value(claimKey{s}); c != nil && c != s.holder.Load() {
		return &InUseError{Path: s.path, PID: os.Getpid()}
	}
	return nil
}
