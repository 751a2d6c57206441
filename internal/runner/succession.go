package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Succession is the runners of one controller, one after the other. With a store
// that serves one controller at a time, a runner shows what another controller does;
// the next one works, once the store is free, and until its claim is lost.
type Succession struct {
	current atomic.Pointer[Runner]
	options Options
	store   Store
	// isStandby is whether there may be more than one runner.
	isStandby bool
	declared  declarations

	ctx    context.Context // ends with Shutdown
	stop   context.CancelFunc
	loops  sync.WaitGroup
	turned chan struct{} // replaced when there is another runner; guarded by mu
	mu     sync.Mutex
}

// errSucceeded ends what waits for a runner that only showed what others do.
var errSucceeded = fmt.Errorf("%w: another runner goes on", ErrStoreInUse)

// Begin has a succession of one runner, that keeps jobs in memory.
func (s *Succession) Begin(r *Runner) { s.current.Store(r) }

// Current is the runner that answers now. It is nil for the zero Succession.
func (s *Succession) Current() *Runner { return s.current.Load() }

// Open claims a store and opens it. If another controller has it, a standby begins with
// a runner that shows what that one does.
func (s *Succession) Open(ctx context.Context, o Options, store Store, isStandby bool) error {
	s.options, s.store, s.isStandby, s.turned = o, store, isStandby, make(chan struct{})
	s.ctx, s.stop = context.WithCancel(context.Background())
	err := s.work(ctx)
	if err == nil || !isStandby || !errors.Is(err, ErrStoreInUse) {
		return err
	}
	reader := newReader(o, err)
	if err := reader.refresh(ctx, store); err != nil && !errors.Is(err, ErrStoreInUse) {
		return err
	}
	s.current.Store(reader)
	s.loops.Go(func() { s.standBy(reader) })
	return nil
}

// work begins with a runner that works. The claim may be lost already then.
func (s *Succession) work(ctx context.Context) error {
	claim, err := s.store.Claim(ctx, nil)
	if err != nil {
		return New(s.options).storeError(ctx, err)
	}
	r, err := s.open(ctx, claim)
	if err != nil {
		return err
	}
	s.current.Store(r)
	r.whenLost(func() { s.follow(r) })
	return nil
}

// open returns a runner that works.
func (s *Succession) open(ctx context.Context, claim Claim) (*Runner, error) {
	r := New(s.options)
	if err := r.Open(ctx, claim); err != nil {
		return nil, err
	}
	return r, nil
}

// follow has another runner show what others do when r has lost its claim, once nothing
// of r runs.
func (s *Succession) follow(r *Runner) {
	if !s.enter() {
		return
	}
	defer s.loops.Done()
	loss := *r.loss.Load()
	r.Log(slog.LevelError, "claim of the store is lost, nothing runs any more", slog.Any("error", loss))
	if !s.isStandby {
		return
	}
	reader := newReader(s.options, loss)
	s.refresh(reader)
	s.replace(r, reader)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	if left, _ := r.Shutdown(ended); !left.IsZero() { // its error is that the claim is lost
		reader.Log(slog.LevelError, "attempts have not ended since the claim was lost",
			slog.Any("attempts", left.Attempts))
	}
	s.standBy(reader)
}

// enter counts a goroutine that Shutdown waits for, unless that has begun.
func (s *Succession) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.loops.Add(1)
	return true
}

// standBy shows what the store has until that is free, and works then.
func (s *Succession) standBy(reader *Runner) {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	for delay := first; s.ctx.Err() == nil; delay = min(2*delay, most) {
		err := s.takeOver(reader)
		if err == nil || s.ctx.Err() != nil {
			return
		}
		reader.Log(slog.LevelWarn, "store not claimed, another try follows",
			slog.Any("error", err), slog.Duration("after", delay))
		select {
		case <-time.After(delay):
		case <-s.ctx.Done():
		}
	}
}

// takeOver waits for the store and begins to work on it.
func (s *Succession) takeOver(reader *Runner) error {
	claim, err := s.store.Claim(s.ctx, func(holder string) {
		reader.reader.note(holder)
		s.refresh(reader)
	})
	if err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		claim.Release()
		return context.Cause(s.ctx)
	}
	r, err := s.open(s.ctx, claim)
	if err != nil {
		return err
	}
	s.declareAll(reader, r, func() { s.replace(reader, r) })
	r.whenLost(func() { s.follow(r) })
	return nil
}

// refresh has a reader show what the store has now, if that can be read.
func (s *Succession) refresh(reader *Runner) {
	err := reader.refresh(s.ctx, s.store)
	if err != nil && !errors.Is(err, ErrStoreInUse) && s.ctx.Err() == nil {
		reader.Log(slog.LevelWarn, "store not read, what is shown is older", slog.Any("error", err))
	}
}

// replace puts a runner in the place of another one.
func (s *Succession) replace(old, next *Runner) {
	s.mu.Lock()
	s.current.Store(next)
	close(s.turned)
	s.turned = make(chan struct{})
	s.mu.Unlock()
	old.endWith(errSucceeded)
}

// Claimed waits until the current runner works. If ctx ends first, the error says who
// does.
func (s *Succession) Claimed(ctx context.Context) error {
	for {
		s.mu.Lock()
		r, turned := s.Current(), s.turned
		s.mu.Unlock()
		if r == nil {
			return ErrZero
		}
		err := r.lossError()
		if err == nil || !s.isStandby {
			return err
		}
		select {
		case <-turned:
		case <-r.over:
			return ErrShutdown
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// successor waits for the runner that comes after r and has read the store. It
// returns nil if there is none.
func (s *Succession) successor(ctx context.Context, r *Runner) *Runner {
	for s.isStandby {
		s.mu.Lock()
		current, turned := s.Current(), s.turned
		s.mu.Unlock()
		var read <-chan struct{}
		switch {
		case current == r:
		case current.reader == nil:
			return current
		default:
			read = current.reader.first
		}
		select {
		case <-read:
			return current
		case <-turned:
		case <-s.ctx.Done():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// Next waits for the runner that comes after that of a job, and returns the job as that
// one has it, or nil.
func (s *Succession) Next(ctx context.Context, j *Job) *Job {
	r := s.successor(ctx, j.r)
	if r == nil {
		return nil
	}
	next, err := r.Find(j.Name())
	if err != nil || next.UID() != j.UID() {
		return nil
	}
	return next
}

// Watch is that of the current runner, after which another one may follow.
func (s *Succession) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for change, err := range s.Current().Watch(ctx, since) {
			if s.isStandby && errors.Is(err, ErrStoreInUse) {
				err = fmt.Errorf("%w: %w", ErrTooOld, err)
			}
			if !yield(change, err) {
				return
			}
		}
	}
}

// Shutdown shuts the last runner down; there is none after it.
func (s *Succession) Shutdown(ctx context.Context) (Unreturned, error) {
	if r := s.Current(); r != nil && r.isInside(ctx) {
		return Unreturned{}, ErrInside
	}
	if s.stop != nil {
		s.mu.Lock()
		s.stop()
		s.mu.Unlock()
		if !s.isStoppedBefore(ctx) {
			return Unreturned{Calls: 1}, nil
		}
	}
	return s.Current().Shutdown(ctx)
}

// isStoppedBefore reports whether everything that belongs to the succession ends soon
// after ctx at the latest.
func (s *Succession) isStoppedBefore(ctx context.Context) bool {
	last, cancel := withLastMoment(ctx)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.loops.Wait()
	}()
	select {
	case <-stopped:
		return true
	case <-last.Done():
		return false
	}
}
