package watchcache

import (
	"maps"
	"time"
)

// idleTime is how long after its last use a cache keeps what it can find out
// again.
const idleTime = 5 * time.Minute

// useLocked puts off the time when the cache falls idle.
func (c *Cache) useLocked() {
	if c.idle == nil {
		c.idle = time.AfterFunc(idleTime, c.fallIdle)
	} else {
		c.idle.Reset(idleTime)
	}
}

// fallIdle forgets everything but the versions of jobs, which clients may hold
// to update them later.
func (c *Cache) fallIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follower.watchers() > 0 {
		c.idle.Reset(idleTime)
		return
	}
	c.idle = nil
	maps.DeleteFunc(c.numbers, func(uid string, n number) bool {
		status, err := c.controller.Get(n.name)
		return err != nil || status.UID != uid
	})
	for _, j := range c.jobs {
		if len(j.dismissed) == 0 {
			c.numbers[j.uid] = number{j.name, j.revision, j.object.Version}
			delete(c.jobs, j.name)
		} else {
			j.pods, j.events, j.looked = nil, nil, [kinds]uint64{}
		}
	}
	clear(c.removed)
	for _, known := range c.cronJobs {
		known.events, known.looked = nil, 0
	}
	for kind := range c.logs {
		c.logs[kind].reset(c.version)
		c.sorted[kind] = nil
		c.count[kind] = 0
	}
	c.count[Jobs], c.count[CronJobs] = len(c.jobs), len(c.cronJobs)
}
