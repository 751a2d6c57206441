package boltstore

import (
	"context"
	"errors"
)

// begin takes the turn of a call of a store that is open.
func (s *Store) begin(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	if s.closed.Load() {
		<-s.turn
		return ErrClosed
	}
	return nil
}

// takeTurn waits until no other call uses the file.
func (s *Store) takeTurn(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run calls f, and then gives the turn back. It leaves f alone if ctx ends before
// f does: a disk that hangs cannot be interrupted. Then f must not change what the
// caller goes on with.
func (s *Store) run(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := f()
		if s.closed.Load() { // perhaps while f was called
			s.close()
			err = errors.Join(err, s.closeErr)
		}
		<-s.turn
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
