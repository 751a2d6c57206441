package cron

import (
	"context"
	"errors"
	"iter"

	"github.com/runtocompletion/batch/internal/feed"
)

// A Change is one step of [Controller.Watch].
type Change struct {
	Status  Status
	Added   bool // the CronJob is new since the revision that the watcher knew
	Deleted bool // it is gone, and the status is its last
}

// Watch iterates over the changes of all CronJobs after revision since, in order of
// revision, as [batch.Controller.Watch] does for jobs. The walk ends with the error
// of ctx, [ErrShutdown], or [ErrTooOld].
func (c *Controller) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w, err := c.feed.Watch(since)
		if err != nil {
			yield(Change{}, ErrTooOld)
			return
		}
		defer w.Close()
		for {
			changes, err := w.Next(ctx, c.over)
			switch {
			case errors.Is(err, feed.ErrTooOld):
				err = ErrTooOld
			case err == nil && changes == nil:
				err = ErrShutdown
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
			for _, change := range changes {
				step, ok := c.changeOf(change)
				if !ok {
					w.Superseded(change)
				} else if !yield(step, nil) {
					return
				}
			}
		}
	}
}

// changeOf gives a change its status; it reports false if a later one will do that.
func (c *Controller) changeOf(change feed.Change[*run]) (Change, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := change.Entry.Item
	if change.Entry.Revision() != change.Revision {
		return Change{}, false
	}
	status := r.status(c.feed.Observe(change.Entry))
	return Change{Status: status, Added: change.Added && !change.Removed, Deleted: change.Removed}, true
}
