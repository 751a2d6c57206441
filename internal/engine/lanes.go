package engine

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// lanes let workers of a steady job do what Renew does without the job: each has a
// lane of its own to write to, and all they share is a counter that hands out the
// next attempts. With one account for all of them, a completion took twice as
// long: its lock, and the memory under it, moved from one core to another each
// time.
//
// While lanes are open the job is behind. Who is to give it an event, or to look
// at its attempts, calls Collect first, which closes them.
type lanes struct {
	all     []*Lane
	most    int
	isOpen  bool
	running []int // for completeHandedOut

	// The next ones change only while all lanes are locked.
	until   Time
	indexed bool
	history int
	limit   int64 // how many attempts may be handed out
	seq     int64 // of the first of them
	index   int   // likewise

	_     [64]byte // what all workers write to is alone in its line of memory
	given atomic.Int64
	_     [64]byte
}

// A Lane is one worker's part of the account of a steady job. Its method needs no
// lock of the job's.
type Lane struct {
	of *lanes

	mu     sync.Mutex // see lock; guards the fields below while the lane is open
	isOpen bool
	a      *Attempt // that the worker runs
	index  int      // of the one that it ran when somebody last looked
	now    Time
	ends   ring[laneEnd] // that the history does not know yet
	_      [64]byte
}

// A laneEnd is the end of an attempt, the first of its index, that has succeeded.
type laneEnd struct {
	seq       int64
	index     int
	start, at Time
}

func (e *laneEnd) brief() brief {
	b := brief{seq: e.seq, index: e.index, createdAt: e.start, startedAt: e.start, endsAt: e.at}
	if e.index == None {
		b.number = int(e.seq)
	}
	return b
}

const (
	// leastLeft is how many attempts there are to be handed out, at least, for
	// lanes to be worth while.
	leastLeft = 64
	// longest is how long an attempt takes, at most, for which they are.
	longest = Time(100_000)
)

// Lane opens a lane for an attempt that is about to succeed. It returns nil if the
// job is not steady, or is saved, or it is not worth while.
func (j *Job) Lane(a *Attempt, now Time) *Lane {
	now = max(j.now, now)
	if j.tracker != nil || now >= j.steadyUntil || now-a.StartedAt > longest || !a.renewable() || !a.isFirst() {
		return nil
	}
	if j.lanes == nil {
		// A worker that does not run for a while keeps its lane: hence two for
		// each core.
		j.lanes = &lanes{most: 2 * runtime.GOMAXPROCS(0)}
	}
	l := j.closedLane()
	if !j.lanes.isOpen && !j.openLanes() {
		return nil
	}
	l.lock()
	defer l.mu.Unlock()
	l.isOpen, l.a, l.index, l.now = true, a, a.Index, now
	return l
}

// isFirst reports whether the attempt is the first of its index.
func (a *Attempt) isFirst() bool {
	return a.Failures+a.Ignored == 0 && (a.Index == None || a.Number == 0)
}

// closedLane returns a lane that is closed, if need be by closing all.
func (j *Job) closedLane() *Lane {
	s := j.lanes
	for _, l := range s.all {
		if !l.isOpen {
			return l
		}
	}
	if len(s.all) == s.most {
		j.Collect()
		return s.all[0]
	}
	l := &Lane{of: s}
	s.all = append(s.all, l)
	j.history.lanes = s.all
	return l
}

// openLanes has the lanes hand out what the job needs, if that is simple.
func (j *Job) openLanes() bool {
	if j.left() < leastLeft || len(j.indexes.numbers) > 0 || j.indexes.againFrom > 0 {
		return false
	}
	s := j.lanes
	s.isOpen, s.until, s.indexed, s.history = true, j.steadyUntil, j.Spec.Indexed, j.history.limit
	s.handOut(j)
	return true
}

// handOut begins to hand out what the job needs.
func (s *lanes) handOut(j *Job) {
	s.limit, s.seq, s.index = int64(j.left()), j.created, j.indexes.next
	s.given.Store(0)
}

// Renew is Job.Renew for the attempt of this lane. It reports false, and has done
// nothing, if the lane is closed or the job is about to end.
func (l *Lane) Renew(a *Attempt, now Time) bool {
	l.lock()
	defer l.mu.Unlock()
	s := l.of
	if !l.isOpen || l.a != a || now >= s.until {
		return false
	}
	next := s.given.Add(1) - 1
	if next >= s.limit {
		return false
	}
	now = max(l.now, now)
	l.now = now
	if s.history > 0 {
		l.keep(a)
	}
	a.renew(now)
	a.Seq = s.seq + next
	if s.indexed {
		a.Index = s.index + int(next)
	} else {
		a.Number = int(a.Seq)
	}
	return true
}

// keep keeps an attempt that ends for the history.
func (l *Lane) keep(a *Attempt) {
	if l.ends.n == l.of.history {
		l.ends.drop()
	}
	l.ends.push(laneEnd{a.Seq, a.Index, a.StartedAt, l.now})
}

// lock locks the lane. Whoever has it has it for some nanoseconds. To sleep until
// then, as Lock does while other goroutines want to run, takes a thousand times as
// long.
func (l *Lane) lock() {
	const many = 1000 // the system has taken the core from who has it
	for i := 1; !l.mu.TryLock(); i++ {
		if i%many == 0 {
			runtime.Gosched()
		}
	}
}

// Collect closes the lanes and takes in what has ended there. It reports whether
// anything has.
func (j *Job) Collect() (changed bool) {
	if j.lanes == nil || !j.lanes.isOpen {
		return false
	}
	j.takeIn(true, func(given int) { changed = given > 0 })
	return changed
}

// Look is Collect for who looks at the job, and not at its attempts: lanes stay
// open. Nothing ends in them while f runs.
func (j *Job) Look(f func(changed bool)) {
	if j.lanes == nil || !j.lanes.isOpen {
		f(false)
		return
	}
	j.takeIn(false, func(given int) { f(given > 0) })
}

func (j *Job) takeIn(andClose bool, f func(given int)) {
	s := j.lanes
	for _, l := range s.all {
		l.lock()
	}
	given := int(min(s.given.Load(), s.limit)) // each to a worker whose attempt had ended
	if s.indexed {
		j.completeHandedOut(given)
	}
	j.created += int64(given)
	j.Succeeded += given
	if given > 0 {
		j.now = max(j.now, s.now())
		j.retry.success = j.now
	}
	f(given)
	s.handOut(j)
	s.isOpen = !andClose
	for _, l := range s.all {
		if l.isOpen {
			l.index, l.isOpen = l.a.Index, s.isOpen
		}
		l.mu.Unlock()
	}
}

// completeHandedOut completes the indexes that were handed out, but for those that
// run now, and those that ran before.
func (j *Job) completeHandedOut(given int) {
	s := j.lanes
	s.running = s.running[:0]
	for _, l := range s.all {
		if l.isOpen && l.a.Index != l.index {
			j.Completed.Add(l.index)
			s.running = append(s.running, l.a.Index)
		}
	}
	slices.Sort(s.running)
	from := s.index
	for _, i := range s.running {
		j.Completed.AddRange(from, i-1)
		from = i + 1
	}
	j.indexes.next += given
	j.Completed.AddRange(from, j.indexes.next-1)
}

// now is when the latest of the attempts has ended.
func (s *lanes) now() (now Time) {
	for _, l := range s.all {
		now = max(now, l.now)
	}
	return now
}
