package cron

import (
	"errors"
	"maps"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
)

// watchJobs tells CronJobs what becomes of their jobs.
func (c *Controller) watchJobs(since uint64) {
	for {
		for change, err := range c.batch.Watch(c.ctx, since) {
			switch {
			case errors.Is(err, batch.ErrStoreInUse):
				c.stop() // what is known here is not what another process does
				return
			case errors.Is(err, batch.ErrTooOld):
				since = c.listJobs()
			case err != nil:
				return // the controller of jobs, or this one, is shut down
			default:
				since = change.Status.Revision
				c.jobChanged(change)
			}
		}
	}
}

// listJobs looks at all jobs there are, after deletions were missed, and returns from
// which revision on they are to be watched.
func (c *Controller) listJobs() (since uint64) {
	c.mu.Lock()
	missing := maps.Clone(c.owners)
	c.mu.Unlock()
	since = c.batch.Revision()
	for status := range c.batch.All() {
		delete(missing, status.UID)
		c.jobChanged(batch.Change{Status: status, Added: true})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for uid, r := range missing {
		delete(c.owners, uid)
		r.post(input{Input: engine.Input{Kind: engine.Gone, Job: engine.Job{Ref: engine.Ref{UID: uid}}}})
	}
	return since
}

func (c *Controller) jobChanged(change batch.Change) {
	status := change.Status
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.owners[status.UID]
	if r == nil && change.Added {
		c.mu.Unlock()
		job, err := c.batch.Job(status.Name)
		c.mu.Lock()
		if r = c.byUID[job.Annotations[OwnerAnnotation]]; err != nil || r == nil {
			return
		}
		c.owners[status.UID] = r
		r.post(input{Input: engine.Input{Kind: engine.Changed, Job: jobOf(status, job.Annotations)}})
		return
	}
	if r == nil {
		return
	}
	in := engine.Input{Kind: engine.Changed, Job: jobOf(status, nil)}
	if change.Deleted {
		in.Kind = engine.Gone
		delete(c.owners, status.UID)
	}
	r.post(input{Input: in})
}

// recheck is how often the clock on the wall is read at least: timers know neither
// that it was set nor that the machine slept.
const recheck = time.Minute

// setTimer waits for what is due next for a run at rest. It needs c.mu.
func (r *run) setTimer() {
	c := r.c
	due := r.engine.Due
	if r.failures > 0 {
		due = min(due, r.retryAt)
	}
	if due == engine.Never || r.gone {
		c.due.Remove(r)
	} else {
		c.due.Set(r, due)
	}
	c.arm()
}

// arm sets the timer to what is due first. It needs c.mu.
func (c *Controller) arm() {
	first, ok := c.due.First()
	if !ok || c.stopping {
		return // if the timer fires, it finds nothing to do
	}
	if c.timer != nil && c.armed == first {
		return
	}
	c.armed = first
	wait := min(time.Duration(max(0, first-c.now())), recheck)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, c.fire)
	} else {
		c.timer.Reset(wait)
	}
}

// fire lets all look whose time has come.
func (c *Controller) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for r, ok := c.due.Pop(now); ok; r, ok = c.due.Pop(now) {
		r.post(input{Input: engine.Input{Kind: engine.Look}})
	}
	c.armed = 0
	c.arm()
}
