package watchcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// A CronJob is a CronJob's spec, and a status that is no newer than the spec.
type CronJob struct {
	Spec      cron.CronJob
	Status    cron.Status
	DeletedAt time.Time // when it was first seen to wait for its deletion
}

// A cronJob is what the cache knows of one CronJob.
type cronJob struct {
	revision uint64 // the controller's
	object   *Object
	looked   uint64    // the revision at which its events were looked at; zero: never
	events   []*Object // in the order in which they happened
	named    uint32    // how many events were given names
}

// CronJob returns a CronJob as it is now, or nil.
func (c *Cache) CronJob(name string) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.useLocked()
	if known := c.refreshCronJobLocked(name); known != nil {
		return known.object
	}
	return nil
}

// scanCronJobsLocked compares all CronJobs with what their controller knows.
func (c *Cache) scanCronJobsLocked() {
	if c.crons == nil {
		return
	}
	present := make(map[string]struct{}, len(c.cronJobs))
	var changed []cron.Status
	for status := range c.crons.All() {
		present[status.Name] = struct{}{}
		if known := c.cronJobs[status.Name]; known == nil || known.revision < status.Revision {
			changed = append(changed, status)
		}
	}
	slices.SortFunc(changed, func(a, b cron.Status) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, status := range changed {
		c.applyCronJobLocked(status)
	}
	for name := range c.cronJobs {
		if _, ok := present[name]; !ok {
			c.refreshCronJobLocked(name)
		}
	}
}

// refreshCronJobLocked compares one CronJob. It returns nil if there is none.
func (c *Cache) refreshCronJobLocked(name string) *cronJob {
	if c.crons == nil {
		return nil
	}
	status, err := c.crons.Get(name)
	if errors.Is(err, cron.ErrNotFound) {
		if known := c.cronJobs[name]; known != nil {
			c.removeCronJobLocked(known, known.object.CronJob.Status)
		}
		return nil
	}
	c.applyCronJobLocked(status)
	return c.cronJobs[name]
}

// applyCronJobLocked takes in the status of a CronJob, unless it is an old one.
func (c *Cache) applyCronJobLocked(status cron.Status) {
	known := c.cronJobs[status.Name]
	if known != nil && status.Revision <= known.revision {
		return
	}
	spec, err := c.crons.CronJob(status.Name)
	if err != nil {
		return // it is gone: whoever looks next sees that
	}
	if known != nil && known.object.CronJob.Status.UID != status.UID {
		c.removeCronJobLocked(known, known.object.CronJob.Status)
		known = nil
	}
	state := &CronJob{Spec: spec, Status: status}
	if known == nil {
		c.cronJobs[status.Name] = &cronJob{revision: status.Revision,
			object: c.changeLocked(CronJobs, Added, nil, &Object{Name: status.Name, CronJob: state.since(nil)})}
		return
	}
	known.revision = status.Revision
	if before := known.object.CronJob; !before.looksLike(state.since(before)) {
		known.object = c.changeLocked(CronJobs, Modified, known.object, &Object{Name: status.Name, CronJob: state})
	}
}

// since notes when the deletion was first seen.
func (s *CronJob) since(before *CronJob) *CronJob {
	switch {
	case !s.Status.Deleting:
	case before != nil && before.Status.Deleting:
		s.DeletedAt = before.DeletedAt
	default:
		s.DeletedAt = time.Now()
	}
	return s
}

// looksLike reports whether clients see no difference. What they are not shown,
// such as the next times, gets no version of its own.
func (s *CronJob) looksLike(o *CronJob) bool {
	a, b := &s.Status, &o.Status
	return a.Generation == b.Generation && a.Deleting == b.Deleting && slices.Equal(a.Active, b.Active) &&
		a.LastScheduleTime.Equal(b.LastScheduleTime) && a.LastSuccessfulTime.Equal(b.LastSuccessfulTime) &&
		maps.Equal(s.Spec.Labels, o.Spec.Labels) && maps.Equal(s.Spec.Annotations, o.Spec.Annotations)
}

// removeCronJobLocked takes out a CronJob, and its events with it.
func (c *Cache) removeCronJobLocked(known *cronJob, last cron.Status) {
	old := known.object
	delete(c.cronJobs, old.Name)
	state := &CronJob{Spec: old.CronJob.Spec, Status: last}
	c.changeLocked(CronJobs, Deleted, old, &Object{Name: old.Name, CronJob: state.since(old.CronJob)})
	for _, event := range known.events {
		c.deleteLocked(Events, event, nil)
	}
}

// cronObjectsLocked returns the CronJobs, or their events: of all, or of one if name
// is not empty.
func (c *Cache) cronObjectsLocked(kind Kind, name string) (objects []*Object) {
	for of, known := range c.cronJobs {
		switch {
		case name != "" && name != of:
		case kind == CronJobs:
			objects = append(objects, known.object)
		case kind == Events:
			objects = append(objects, known.events...)
		}
	}
	return objects
}

func (c *Cache) lookAtAllCronEventsLocked() {
	for _, known := range c.cronJobs {
		c.lookAtCronEventsLocked(known)
	}
}

// lookAtCronEventsLocked compares the events of a CronJob with what its controller
// has, if they may have changed: the oldest ones are dropped, the last one may have
// come again, and there may be new ones.
func (c *Cache) lookAtCronEventsLocked(known *cronJob) {
	if known.looked == known.revision {
		return
	}
	events, err := c.crons.Events(known.object.Name)
	if err != nil {
		return // it is gone, which will be seen
	}
	known.looked = known.revision
	dropped := 0
	for !continues(known.events[dropped:], events) {
		c.deleteLocked(Events, known.events[dropped], nil)
		dropped++
	}
	old := known.events[dropped:]
	known.events = nil
	for i, e := range events {
		if i < len(old) && old[i].Times.Count == e.Count {
			known.events = append(known.events, old[i])
			continue
		}
		next := &Object{CronJob: known.object.CronJob, Times: &Times{e.Time, e.Count},
			Event: &batch.Event{Type: e.Type, Reason: e.Reason, Message: e.Message, At: e.Time}}
		if i < len(old) {
			next.Name, next.Times.First = old[i].Name, old[i].Times.First
			known.events = append(known.events, c.changeLocked(Events, Modified, old[i], next))
			continue
		}
		known.named++
		next.Name = fmt.Sprintf("%s.%016x%08x", known.object.Name, e.Time.UnixNano(), known.named)
		known.events = append(known.events, c.changeLocked(Events, Added, nil, next))
	}
}

// continues reports whether events begin with the old ones, the last of which may
// have come again.
func continues(old []*Object, events []cron.Event) bool {
	if len(old) > len(events) {
		return false
	}
	for i, o := range old {
		e := &events[i]
		same := o.Event.Type == e.Type && o.Event.Reason == e.Reason && o.Event.Message == e.Message
		again := i == len(old)-1 && e.Count > o.Times.Count
		if !same || !again && (e.Count != o.Times.Count || !o.Event.At.Equal(e.Time)) {
			return false
		}
	}
	return true
}

// followCronJobs takes in the changes of all CronJobs until ctx ends, or their
// controller is shut down.
func (c *Cache) followCronJobs(ctx context.Context) {
	for ctx.Err() == nil {
		for change, err := range c.crons.Watch(ctx, 0) {
			switch {
			case errors.Is(err, cron.ErrShutdown):
				return
			case err != nil: // too old, or ctx has ended
			default:
				c.takeCronJob(change)
			}
		}
		c.mu.Lock()
		c.scanCronJobsLocked() // finds the deletions that the controller has forgotten
		c.mu.Unlock()
	}
}

func (c *Cache) takeCronJob(change cron.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := change.Status.Name
	if change.Deleted {
		if known := c.cronJobs[name]; known != nil && known.object.CronJob.Status.UID == change.Status.UID {
			c.removeCronJobLocked(known, change.Status)
		}
		return
	}
	c.applyCronJobLocked(change.Status)
	if known := c.cronJobs[name]; known != nil && c.follower.watching[Events] > 0 {
		c.lookAtCronEventsLocked(known)
	}
}
