//go:build unix

package crash

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// subscription is the name under which a child is told of the ends of jobs.
const subscription = "ledger"

// subscribe writes down each end of a job.
func (c *child) subscribe() {
	err := c.controller.Subscribe(context.Background(), subscription, func(_ context.Context, change batch.Change) error {
		status := change.Status
		entry := line{Kind: delivered, Job: status.Name, UID: status.UID, Status: &status}
		if change.Deleted {
			entry.Text = string(gone)
		}
		c.ledger.write(entry)
		return nil
	})
	if !errors.Is(err, batch.ErrShutdown) {
		c.problem(fmt.Errorf("subscribe: %w", err))
	}
}

// noting writes down that the store has the subscription.
func (c *child) noting(s batch.Store) batch.Store {
	return commitFunc{s, func(ctx context.Context, records []batch.Record) error {
		begins := slices.ContainsFunc(records, func(r batch.Record) bool {
			return r.Key == "subscription/"+subscription && r.Value != nil
		})
		err := s.Commit(ctx, records)
		if err == nil && begins {
			c.ledger.write(line{Kind: subscribed})
		}
		return err
	}}
}

// tellRest waits until all ends have been told.
func (c *child) tellRest() {
	const longest = 20 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	if err := c.controller.Shutdown(ctx); err != nil {
		c.problem(fmt.Errorf("shutdown at the end: %w", err))
	}
}
