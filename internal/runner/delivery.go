package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/runtocompletion/batch/internal/journal"
)

const (
	// deliveryTime is how long a receiver may take for one end.
	deliveryTime = time.Minute
	// firstRetry is the delay after the first failure of a receiver, which doubles up
	// to lastRetry.
	firstRetry, lastRetry = time.Second, time.Minute
)

var (
	errDeliveryTime   = errors.New("batch: the receiver of a subscription was out of time")
	errDeliveryExited = errors.New("batch: the receiver of a subscription called runtime.Goexit")
)

// A delivery is an end that is being told.
type delivery struct {
	s       *subscription
	end     end
	deliver func(context.Context, Change) error

	// The next fields are of the latest call, and guarded by subscriptions.mu.
	hasReturned, isLeft bool
	err                 error
}

// see calls the receiver until it has been told. With an error, the subscription is
// free, or is going to be when the receiver has returned.
func (d *delivery) see(ctx context.Context) error {
	change, err := d.end.change()
	if err != nil {
		panic("batch: end of a job: " + err.Error()) // it was looked at when it was loaded
	}
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		returned, err := d.call(ctx, change)
		if returned && err == nil {
			d.s.told(&d.end)
			return nil
		}
		ended := d.s.endedBy(ctx)
		if ended == nil {
			d.s.r.Log(slog.LevelWarn, "subscription not told", slog.String("subscription", d.s.name),
				slog.String("job", change.View.Name), slog.Duration("retry_in", delay), slog.Any("error", err))
			ended = d.pause(ctx, delay)
		}
		if ended != nil {
			if returned {
				d.s.release(&d.end)
			}
			return ended
		}
	}
}

// pause waits before the next call. When the runner stops there is none.
func (d *delivery) pause(ctx context.Context, delay time.Duration) error {
	again := time.NewTimer(delay)
	defer again.Stop()
	select {
	case <-again.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.s.r.stopping:
		return ErrShutdown
	}
}

// call calls the receiver once, on a goroutine of its own: it is user code. It reports
// false if that has not returned although nothing more is to be told.
func (d *delivery) call(ctx context.Context, change Change) (returned bool, err error) {
	r := d.s.r
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, receiverKey{}, r))
	defer cancel(nil)
	limited, done := context.WithTimeoutCause(ctx, deliveryTime, errDeliveryTime)
	defer done()
	over := make(chan struct{})
	d.begin()
	r.enter()
	r.launch(func() {
		defer r.leave()
		d.receive(receiverMark{d, d}, limited, change, over)
	})
	select {
	case <-over:
		return true, d.err
	case <-r.subscribed.over:
		cancel(ErrShutdown)
	case <-ctx.Done():
	}
	select {
	case <-over:
	case <-time.After(callTime):
	}
	return d.leave()
}

func (d *delivery) begin() {
	d.s.r.subscribed.mu.Lock()
	defer d.s.r.subscribed.mu.Unlock()
	d.hasReturned, d.s.current = false, d
}

// leave leaves a call alone that has not returned.
func (d *delivery) leave() (returned bool, err error) {
	d.s.r.subscribed.mu.Lock()
	defer d.s.r.subscribed.mu.Unlock()
	d.isLeft = !d.hasReturned
	if d.isLeft {
		d.s.restLocked()
	}
	return d.hasReturned, d.err
}

// A receiverMark is for receivers what a stackMark is for executors.
type receiverMark [2]*delivery

// receive is one call of the receiver. It is a function of its own for isReceiver to find.
//
//go:noinline
func (d *delivery) receive(_ receiverMark, ctx context.Context, change Change, over chan<- struct{}) {
	err := errDeliveryExited
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("batch: receiver panicked: %v\n\n%s", v, debug.Stack())
		}
		d.returned(err)
		close(over)
	}()
	err = d.deliver(ctx, change)
}

func (d *delivery) returned(err error) {
	d.s.r.subscribed.mu.Lock()
	defer d.s.r.subscribed.mu.Unlock()
	d.hasReturned, d.err = true, err
	switch {
	case !d.isLeft:
	case err == nil:
		d.s.toldLocked(&d.end)
		d.s.releaseLocked(nil)
	default:
		d.s.releaseLocked(&d.end)
	}
}

// told notes that the receiver has taken an end.
func (s *subscription) told(e *end) {
	s.r.subscribed.mu.Lock()
	defer s.r.subscribed.mu.Unlock()
	s.toldLocked(e)
}

func (s *subscription) toldLocked(e *end) { s.storeLocked(journal.Record{Key: e.key(s.name)}) }

type receiverKey struct{}

// isReceiver reports whether a receiver of the runner calls, as isInside does.
func (r *Runner) isReceiver(ctx context.Context, stack string) bool {
	if ctx.Value(receiverKey{}) == r {
		return true
	}
	if !strings.Contains(stack, "(*delivery).receive(") {
		return false
	}
	r.subscribed.mu.Lock()
	defer r.subscribed.mu.Unlock()
	for _, s := range r.subscribed.byName {
		if strings.Contains(stack, fmt.Sprintf("{%p, %p}", s.current, s.current)) {
			return true
		}
	}
	return false
}
