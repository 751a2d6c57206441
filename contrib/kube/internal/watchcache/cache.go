package watchcache

import (
	"cmp"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// A Cache shows the jobs of a controller, their attempts and their events. Its
// methods may be called by several goroutines at once.
type Cache struct {
	controller *batch.Controller
	crons      *cron.Controller // nil: there are no CronJobs
	scans      atomic.Uint64    // scans that were begun; written under mu

	mu       sync.Mutex // guards the fields below; the controller's locks are taken under it
	version  uint64     // the latest
	jobs     map[string]*job
	cronJobs map[string]*cronJob
	removed  map[*job]struct{} // deleted jobs with attempts that have not ended
	numbers  map[string]number // of the jobs that were known before the cache fell idle, by UID
	logs     [kinds]log
	sorted   [kinds][]*Object // by name; nil after a change
	count    [kinds]int       // of the objects there are
	idle     *time.Timer
	follower follower
}

// A number is the version that was given to a controller's revision of a job.
type number struct {
	name              string
	revision, version uint64
}

// A job is what the cache knows of one job.
type job struct {
	name, uid string
	revision  uint64 // the controller's
	scan      uint64 // the last scan that has seen it
	object    *Object
	owner     *Owner
	looked    [kinds]uint64 // the revision at which its pods, or events, were looked at; zero: never
	pods      map[string]*Object
	events    map[eventKey]*Object
	named     uint32              // how many events were given names
	dismissed map[string]struct{} // UIDs of ended attempts that users have deleted
	due       time.Time           // when its pods and events may be looked at again
	next      time.Time           // when it may be looked at itself again
	late      bool                // it has changed since the last look
}

// New returns a cache of a controller of jobs, and one of CronJobs unless that is nil. Its versions
// are higher than those of
// every cache made before it, also by earlier processes, so that a version of
// theirs is too old rather than mistaken: the first one is the time in
// microseconds.
func New(c *batch.Controller, crons *cron.Controller) *Cache {
	cache := &Cache{
		controller: c,
		crons:      crons,
		version:    uint64(time.Now().UnixMicro()),
		jobs:       make(map[string]*job),
		cronJobs:   make(map[string]*cronJob),
		removed:    make(map[*job]struct{}),
		numbers:    make(map[string]number),
	}
	for kind := range cache.logs {
		cache.logs[kind].reset(cache.version)
	}
	cache.follower.init()
	return cache
}

// A Snapshot is all objects of a kind at one version, in order of name.
type Snapshot struct {
	Version uint64
	Objects []*Object
}

// List returns all objects of a kind as they are now, or those of one job, and of the
// CronJob of that name, if jobName is not empty.
func (c *Cache) List(kind Kind, jobName string) Snapshot {
	begun := c.scans.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.useLocked()
	if jobName != "" {
		c.refreshJobLocked(jobName)
		if known := c.refreshCronJobLocked(jobName); known != nil {
			c.lookAtCronEventsLocked(known)
		}
		return Snapshot{c.version, c.ofJobLocked(kind, jobName)}
	}
	c.scanLocked(kind, begun)
	return Snapshot{c.version, c.sortedLocked(kind)}
}

// Version is the latest version that was given out.
func (c *Cache) Version() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// Remembers reports whether a watch can begin at a version.
func (c *Cache) Remembers(kind Kind, version uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.logs[kind].since(version, version)
	return err == nil && version <= c.version
}

// Job returns a job as it is now, or nil.
func (c *Cache) Job(name string) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.useLocked()
	if j := c.refreshJobLocked(name); j != nil {
		return j.object
	}
	return nil
}

// Object returns an object of a kind by name, as it is now, or nil.
func (c *Cache) Object(kind Kind, name string) *Object {
	switch kind {
	case Jobs:
		return c.Job(name)
	case CronJobs:
		return c.CronJob(name)
	}
	for _, jobName := range c.possibleJobs(name) {
		for _, o := range c.List(kind, jobName).Objects {
			if o.Name == name {
				return o
			}
		}
	}
	return nil
}

// possibleJobs returns the names of jobs that an attempt or event of that name
// may belong to: its name begins with the job's, which may be cut off.
func (c *Cache) possibleJobs(name string) []string {
	var names []string
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '-' || name[i] == '.' {
			names = append(names, name[:i])
		}
	}
	if len(name) < shortestCutName || !strings.Contains(name, "-") {
		return names
	}
	stem := name[:strings.LastIndexByte(name, '-')]
	stem = strings.TrimSuffix(strings.TrimRight(stem, "0123456789"), "-")
	for status := range c.controller.All() {
		if strings.HasPrefix(status.Name, stem) {
			names = append(names, status.Name)
		}
	}
	return names
}

// shortestCutName is how long the name of an attempt at least is if it does not
// have the whole name of its job.
const shortestCutName = 60

// Close ends all watches, and returns when nothing runs any more. The cache can
// still be listed.
func (c *Cache) Close() {
	c.mu.Lock()
	c.follower.end()
	c.wakeLocked()
	if c.follower.cancel != nil {
		c.follower.cancel()
	}
	if c.idle != nil {
		c.idle.Stop()
	}
	c.mu.Unlock()
	c.follower.running.Wait()
}

// scanLocked compares all the cache knows with what the controller knows, unless
// that was done since the caller came, when begun scans had begun.
func (c *Cache) scanLocked(kind Kind, begun uint64) {
	if kind == CronJobs || kind == Events {
		c.scanCronJobsLocked()
	}
	if kind == CronJobs {
		return
	}
	if c.scans.Load() <= begun {
		c.scans.Add(1)
		c.scanJobsLocked()
	}
	if kind == Jobs {
		return
	}
	for _, j := range c.everyJobLocked() {
		c.lookLocked(j, kind)
	}
	if kind == Events {
		c.lookAtAllCronEventsLocked()
	}
}

func (c *Cache) scanJobsLocked() {
	scan := c.scans.Load()
	var changed []batch.Status
	for status := range c.controller.All() {
		if j := c.jobs[status.Name]; j != nil && j.revision >= status.Revision {
			j.scan = scan
		} else {
			changed = append(changed, status)
		}
	}
	slices.SortFunc(changed, func(a, b batch.Status) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, status := range changed {
		c.applyLocked(status)
		if j := c.jobs[status.Name]; j != nil {
			j.scan = scan
		}
	}
	for name, j := range c.jobs {
		if j.scan != scan {
			c.refreshJobLocked(name)
		}
	}
	clear(c.numbers) // those that still matter are with their jobs again
}

// refreshJobLocked compares one job. It returns nil if there is none.
func (c *Cache) refreshJobLocked(name string) *job {
	status, err := c.controller.Get(name)
	if errors.Is(err, batch.ErrNotFound) {
		if j := c.jobs[name]; j != nil {
			c.removeLocked(j, nil)
		}
		return nil
	}
	c.applyLocked(status)
	return c.jobs[name]
}

func (c *Cache) everyJobLocked() []*job {
	return slices.AppendSeq(slices.Collect(maps.Keys(c.removed)), maps.Values(c.jobs))
}

// applyLocked takes in the status of a job. One that is older than what is known
// changes nothing.
func (c *Cache) applyLocked(status batch.Status) {
	j := c.jobs[status.Name]
	if j != nil && status.Revision <= j.revision {
		return
	}
	spec, err := c.controller.Job(status.Name)
	if err != nil {
		return // it is gone: whoever looks next sees that
	}
	if j != nil && j.uid != status.UID {
		c.removeLocked(j, nil)
		j = nil
	}
	state := Job{spec, status}
	if j == nil {
		c.addJobLocked(state)
		return
	}
	j.revision = status.Revision
	if status.StartTime.IsZero() && status.Generation != j.object.Job.Status.Generation {
		j.owner = &Owner{Job: state} // its template may be another one
	}
	if !looksSame(j.object.Job, &state) {
		j.object = c.changeLocked(Jobs, Modified, j.object, &Object{Name: j.name, Owner: j.owner, Job: &state})
	}
	c.follower.touch(j)
}

// looksSame reports whether clients see no difference between two states of a
// job. They are not shown its progress, nor when it tries again: a version of its
// own for each of these would only get in the way of those who update the job.
func looksSame(a, b *Job) bool {
	return a.Status.Generation == b.Status.Generation &&
		maps.Equal(a.Spec.Labels, b.Spec.Labels) && maps.Equal(a.Spec.Annotations, b.Spec.Annotations) &&
		reflect.DeepEqual(shown(a.Status), shown(b.Status))
}

// shown is what clients are shown of a status.
func shown(s batch.Status) batch.Status {
	s.Revision, s.Progress, s.NextRetry, s.LastFailure = 0, batch.Progress{}, time.Time{}, nil
	s.Pending, s.Abandoned = 0, 0
	return s
}

func (c *Cache) addJobLocked(state Job) {
	j := &job{name: state.Status.Name, uid: state.Status.UID, revision: state.Status.Revision, owner: &Owner{Job: state}}
	c.jobs[j.name] = j
	object := &Object{Name: j.name, Owner: j.owner, Job: &state}
	if known, ok := c.numbers[j.uid]; ok && known.revision == j.revision {
		object.Version = known.version // as clients know it; nobody can have a list without it
		j.object = object
		c.sorted[Jobs] = nil
		c.count[Jobs]++
	} else {
		j.object = c.changeLocked(Jobs, Added, nil, object)
	}
	c.follower.touch(j)
}

// removeLocked takes out a job. Its events go with it; its pods when they have
// ended.
func (c *Cache) removeLocked(j *job, last *batch.Status) {
	delete(c.jobs, j.name)
	object := Object{Name: j.name, Owner: j.owner, Job: j.object.Job}
	if last != nil {
		object.Job = &Job{j.object.Job.Spec, *last}
	}
	c.changeLocked(Jobs, Deleted, j.object, &object)
	for _, event := range sortedEvents(j.events) {
		c.deleteLocked(Events, event, event.Pod)
	}
	j.events = nil
	c.removed[j] = struct{}{}
	c.follower.touch(j)
}

// changeLocked gives an object the next version and records its change.
func (c *Cache) changeLocked(kind Kind, what ChangeType, previous, o *Object) *Object {
	c.version++
	o.Version = c.version
	switch what {
	case Added:
		c.count[kind]++
	case Deleted:
		c.count[kind]--
	}
	c.logs[kind].add(&Change{Version: c.version, Type: what, Object: o, Previous: previous}, c.count[kind])
	c.sorted[kind] = nil
	c.noticeLocked()
	return o
}

// deleteLocked records that an object is gone. A pod may have changed since
// somebody looked, and been as last before it went.
func (c *Cache) deleteLocked(kind Kind, o *Object, last *batch.AttemptStatus) {
	gone := &Object{Name: o.Name, Owner: o.Owner, Job: o.Job, Pod: last, Event: o.Event, Orphan: o.Orphan,
		Times: o.Times, CronJob: o.CronJob}
	c.changeLocked(kind, Deleted, o, gone)
}

// sortedLocked returns the objects of a kind in order of name.
func (c *Cache) sortedLocked(kind Kind) []*Object {
	if c.sorted[kind] != nil {
		return c.sorted[kind]
	}
	objects := []*Object{}
	for _, j := range c.everyJobLocked() {
		objects = slices.AppendSeq(objects, c.objectsLocked(kind, j))
	}
	objects = append(objects, c.cronObjectsLocked(kind, "")...)
	sortByName(objects)
	c.sorted[kind] = objects
	return objects
}

func sortByName(objects []*Object) {
	slices.SortFunc(objects, func(a, b *Object) int { return strings.Compare(a.Name, b.Name) })
}
