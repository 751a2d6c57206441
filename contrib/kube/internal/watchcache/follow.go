package watchcache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// ErrClosed: the cache was closed, or its controller was shut down.
var ErrClosed = errors.New("watch cache closed")

const (
	// jobPause is the least time between two looks at one job, so that a job
	// that changes all the time costs a bounded share of a processor; each watcher
	// makes it longer by watcherJobPause, as what is seen is sent to every one of them.
	// What is new about its conditions is seen at once.
	jobPause        = 10 * time.Millisecond
	watcherJobPause = time.Millisecond
	longestJobPause = time.Second
	// changePause is how much longer the next look at a job's pods and events is
	// put off for each change that the last one found: a job has at most a
	// thousand changes a second shown.
	changePause = time.Millisecond
	// watcherPause is how much longer a notice is put off for each watcher, as
	// every one of them then wakes up and sends.
	watcherPause  = 50 * time.Microsecond
	longestPause  = 100 * time.Millisecond
	lingerPause   = 50 * time.Millisecond // between two looks at a deleted job's pods
	shortestPause = time.Millisecond
)

// A follower follows the controller while there are watchers. Its fields are
// guarded by Cache.mu.
type follower struct {
	begun    time.Time
	watching [kinds]int
	cancel   context.CancelFunc // of the goroutines; nil if there are none
	running  sync.WaitGroup
	closed   chan struct{}     // closed by Close, or at the controller's end
	ended    bool              // closed is
	dirty    map[*job]struct{} // whose pods and events are to be looked at
	awake    chan struct{}     // has room for one: something is dirty
	changed  chan struct{}     // closed at the next notice
	noticed  time.Time         // when that was last done
	told     uint64            // the version up to which that told of changes
	pending  bool              // a notice was put off
}

func (f *follower) init() {
	f.begun = time.Now()
	f.closed, f.changed = make(chan struct{}), make(chan struct{})
	f.awake = make(chan struct{}, 1)
	f.dirty = make(map[*job]struct{})
}

func (f *follower) watchers() (n int) {
	for _, of := range f.watching {
		n += of
	}
	return n
}

// after is until when a job, or its pods and events, is left alone after a look. Jobs are
// looked at together, so that what is new about all of them is sent at once.
func (f *follower) after(now time.Time) time.Time {
	pause := min(longestJobPause, jobPause+time.Duration(f.watchers())*watcherJobPause)
	return now.Add(pause - now.Sub(f.begun)%pause)
}

// touch has a job, and its pods and events, looked at, if somebody watches.
func (f *follower) touch(j *job) {
	if f.watchers() == 0 {
		return
	}
	f.dirty[j] = struct{}{}
	select {
	case f.awake <- struct{}{}:
	default:
	}
}

// end closes the channel that ends all watches.
func (f *follower) end() {
	if !f.ended {
		f.ended = true
		close(f.closed)
	}
}

// A Watcher follows the changes of one kind. It is for one goroutine, and costs
// no more than its place in the log however slow it is.
type Watcher struct {
	cache  *Cache // nil if nothing ever changes
	kind   Kind
	cursor uint64
	once   sync.Once
}

// Watch returns a watcher of the changes after a version, or ErrTooOld. It must
// be closed.
func (c *Cache) Watch(kind Kind, since uint64) (*Watcher, error) {
	begun := c.scans.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.useLocked()
	if _, err := c.logs[kind].since(since, since); err != nil || since > c.version {
		return nil, ErrTooOld
	}
	return c.watchLocked(kind, since, begun), nil
}

// ListAndWatch returns all objects of a kind, and a watcher of what changes
// afterwards. It must be closed.
func (c *Cache) ListAndWatch(kind Kind) (Snapshot, *Watcher) {
	begun := c.scans.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.useLocked()
	w := c.watchLocked(kind, 0, begun)
	w.cursor = c.version
	return Snapshot{c.version, c.sortedLocked(kind)}, w
}

func (c *Cache) watchLocked(kind Kind, since, begun uint64) *Watcher {
	f := &c.follower
	f.watching[kind]++
	c.scanLocked(kind, begun)
	for j := range c.removed {
		f.touch(j)
	}
	if f.cancel == nil && !f.ended {
		ctx, cancel := context.WithCancel(context.Background())
		f.cancel = cancel
		f.running.Go(func() { c.follow(ctx) })
		f.running.Go(func() { c.lookAround(ctx) })
		if c.crons != nil {
			f.running.Go(func() { c.followCronJobs(ctx) })
		}
	}
	return &Watcher{cache: c, kind: kind, cursor: since}
}

// Close ends the watching.
func (w *Watcher) Close() {
	w.once.Do(func() {
		if w.cache == nil {
			return
		}
		c, f := w.cache, &w.cache.follower
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.watching[w.kind]--; f.watchers() == 0 && f.cancel != nil {
			f.cancel()
			f.cancel = nil
			clear(f.dirty)
		}
	})
}

// Cursor is the version up to which the watcher knows all changes.
func (w *Watcher) Cursor() uint64 { return w.cursor }

// Changes returns the changes since the last call, and moves the cursor. If
// there are none, a receive from more waits until there may be. Watchers that are
// woken up together get the same changes. The error is ErrTooOld if the watcher
// was so slow that changes were forgotten, or ErrClosed.
func (w *Watcher) Changes() (changes []*Change, more <-chan struct{}, err error) {
	c := w.cache
	if c == nil {
		return nil, nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	until := c.version
	if c.follower.pending {
		until = c.follower.told // the next notice tells of the rest
	}
	changes, err = c.logs[w.kind].since(w.cursor, until)
	if err == nil && len(changes) == 0 && c.follower.ended {
		err = ErrClosed
	}
	w.cursor = max(w.cursor, until)
	return changes, c.follower.changed, err
}

// noticeLocked wakes the watchers up, but not too often.
func (c *Cache) noticeLocked() {
	f := &c.follower
	if f.pending || f.watchers() == 0 {
		return
	}
	pause := min(longestPause, max(shortestPause, time.Duration(f.watchers())*watcherPause))
	if wait := pause - time.Since(f.noticed); wait > 0 {
		f.pending = true
		time.AfterFunc(wait, c.notice)
		return
	}
	c.wakeLocked()
}

func (c *Cache) notice() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
}

func (c *Cache) wakeLocked() {
	f := &c.follower
	f.pending, f.noticed, f.told = false, time.Now(), c.version
	close(f.changed)
	f.changed = make(chan struct{})
}

// follow takes in the changes of all jobs until ctx ends.
func (c *Cache) follow(ctx context.Context) {
	for ctx.Err() == nil {
		for change, err := range c.controller.Watch(ctx, 0) {
			switch {
			case errors.Is(err, batch.ErrShutdown):
				c.end()
				return
			case err != nil: // too old, or ctx has ended
			default:
				c.take(change)
			}
		}
		c.rescan()
	}
}

// rescan finds the deletions that the controller has forgotten.
func (c *Cache) rescan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scans.Add(1)
	c.scanJobsLocked()
}

func (c *Cache) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follower.end()
	c.wakeLocked()
}

// take takes in a change, or leaves it to the next look at its job.
func (c *Cache) take(change batch.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[change.Status.Name]
	switch known := j != nil && j.uid == change.Status.UID; {
	case known && change.Deleted:
		c.removeLocked(j, &change.Status)
	case change.Deleted:
	case known && time.Until(j.next) > 0 && sameConditions(j.object.Job.Status, change.Status):
		j.late = true
		c.follower.touch(j)
	default:
		c.applyLocked(change.Status)
		if j := c.jobs[change.Status.Name]; j != nil {
			j.next = c.follower.after(time.Now())
		}
	}
}

func sameConditions(a, b batch.Status) bool {
	return a.Generation == b.Generation && slices.Equal(a.Conditions, b.Conditions)
}

// lookAround looks at the pods and events of jobs that have changed until ctx
// ends.
func (c *Cache) lookAround(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.follower.awake:
		case <-timer.C:
		}
		if wait := c.lookAtDirty(ctx); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// lookAtDirty looks at the jobs that are due, and returns when the next one will
// be; zero or less if there is none.
func (c *Cache) lookAtDirty(ctx context.Context) time.Duration {
	c.mu.Lock()
	jobs := slices.Collect(maps.Keys(c.follower.dirty))
	c.mu.Unlock()
	var next time.Duration
	for _, j := range jobs {
		if wait := c.lookAtJob(j); wait > 0 && (next == 0 || wait < next) {
			next = wait
		}
		if ctx.Err() != nil {
			return 0
		}
	}
	return next
}

// lookAtJob looks at a job if that is due, and otherwise returns when it is.
func (c *Cache) lookAtJob(j *job) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if wait := j.next.Sub(now); j.late && wait > 0 {
		return wait
	}
	if j.late {
		j.late, j.next = false, c.follower.after(now)
		c.refreshJobLocked(j.name)
	}
	if wait := j.due.Sub(now); wait > 0 {
		return wait
	}
	changes := 0
	for _, kind := range []Kind{Pods, Events} {
		if c.follower.watching[kind] > 0 {
			changes += c.lookLocked(j, kind)
		}
	}
	j.due = c.follower.after(now).Add(time.Duration(changes) * changePause)
	if _, lingers := c.removed[j]; lingers && len(j.pods) > 0 && c.follower.watching[Pods] > 0 {
		j.due = now.Add(lingerPause) // the controller does not tell when attempts of a deleted job change
		return lingerPause
	}
	delete(c.follower.dirty, j)
	return 0
}
