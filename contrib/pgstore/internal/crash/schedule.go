//go:build unix

package crash

import (
	"context"
	"errors"
	"strings"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// schedule has the CronJobs whenever this process works, until ctx ends.
func (c *child) schedule(ctx context.Context) {
	again(ctx, func() error {
		if err := c.c.Claimed(ctx); err != nil {
			return err
		}
		jobs, err := cron.New(c.c, cron.Options{})
		if err != nil {
			if !errors.Is(err, batch.ErrStoreInUse) && !errors.Is(err, batch.ErrStore) {
				c.note(err)
			}
			return err
		}
		defer jobs.Shutdown(context.Background()) // it waits for nothing but commits
		return c.haveScheduled(ctx, jobs)
	})
}

// haveScheduled declares the CronJobs, and tells what is started, until ctx ends or
// another process works.
func (c *child) haveScheduled(ctx context.Context, jobs *cron.Controller) error {
	for _, job := range c.plan.cronJobs {
		job.Job.Executor = c.scheduledExecutor(job.Name)
		if _, err := jobs.Apply(ctx, job); err != nil {
			return err
		}
	}
	for change, err := range jobs.Watch(ctx, 0) {
		if err != nil {
			return err
		}
		if at := change.Status.LastScheduleTime; !at.IsZero() {
			c.write(line{Kind: scheduled, Job: change.Status.Name, Time: at.Unix()})
		}
	}
	return nil
}

// scheduledExecutor writes down which job runs for which time.
func (c *child) scheduledExecutor(name string) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		at, ok := cron.ScheduledTime(ctx)
		if !ok {
			return errors.New("a job of a CronJob has no time")
		}
		uid, _, _ := strings.Cut(a.Token(), "/")
		if err := c.ledger.write(line{Kind: started, Fence: a.Fence(), Job: name, Time: at.Unix(), UID: uid}); err != nil {
			return err
		}
		return work(ctx)
	})
}
