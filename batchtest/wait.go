package batchtest

import (
	"context"
	"time"

	"github.com/runtocompletion/batch"
)

// Take lets d pass. If the attempt is cancelled before, it ends the attempt
// with the cause of that. Zero or less takes no time.
func Take(d time.Duration) Step {
	return Call(func(ctx context.Context, _ batch.Attempt) error { return sleep(ctx, d) })
}

// Until waits until the channel is closed, or has a value. If the attempt is
// cancelled before, it ends the attempt with the cause of that. A nil channel
// is never ready. In a bubble of testing/synctest the channel must be one that
// was made there, or time stands still while the attempt waits.
func Until(ready <-chan struct{}) Step {
	return Call(func(ctx context.Context, _ batch.Attempt) error { return wait(ctx, ready) })
}

// Hang waits until the attempt is cancelled and ends it with the cause of
// that, such as [batch.ErrDeleted].
func Hang() Step { return Until(nil) }

// Pending keeps the attempt Pending for d, as a pod is that no node has room
// for, and then lets it run. If the attempt is cancelled before, it ends the
// attempt with the cause of that. The steps before it are part of the pending
// time.
func Pending(d time.Duration) Step {
	return Step{pending: true, run: func(ctx context.Context, a batch.Attempt) error {
		if err := sleep(ctx, d); err != nil {
			return err
		}
		a.Started()
		return nil
	}}
}
