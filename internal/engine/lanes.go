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
	all          []*Lane
	most         int
	isOpen       bool
	counted      int64 // of those handed out, how many the job knows
	began, ended []int // see lookAround

	// The next ones change only while all lanes are closed.
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
	j.history.finder = nil // lanes do not tell it
	s.isOpen, s.until, s.indexed, s.history = true, j.steadyUntil, j.Spec.Indexed, j.history.limit
	s.limit, s.seq, s.index = int64(j.left()), j.created, j.indexes.next
	s.counted = 0
	s.given.Store(0)
	return true
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
// anything has that Look has not told.
func (j *Job) Collect() (changed bool) {
	s := j.lanes
	if s == nil || !s.isOpen {
		return false
	}
	s.lock()
	given := s.handedOut()
	s.lookAround()
	now := s.now()
	for _, l := range s.all {
		l.isOpen = false
	}
	s.unlock()

	changed = given > s.counted
	j.count(given)
	j.created += given
	if s.indexed {
		j.indexes.next += int(given)
	}
	if given > 0 {
		j.now = max(j.now, now)
		j.retry.success = j.now
	}
	s.isOpen = false
	return changed
}

// Look counts what has ended in lanes, for who looks at the job and not at its
// attempts: lanes stay open. Nothing ends in them while f runs, which is told
// whether anything has since the last time.
func (j *Job) Look(f func(changed bool)) {
	s := j.lanes
	if s == nil || !s.isOpen {
		f(false)
		return
	}
	s.lock()
	given := s.handedOut()
	f(given > s.counted)
	s.lookAround()
	s.unlock() // workers have waited for this; they need not wait for the sets
	j.count(given)
}

func (s *lanes) lock() {
	for _, l := range s.all {
		l.lock()
	}
}

func (s *lanes) unlock() {
	for _, l := range s.all {
		l.mu.Unlock()
	}
}

// handedOut is how many attempts have been handed out, each to a worker whose
// attempt had ended.
func (s *lanes) handedOut() int64 { return min(s.given.Load(), s.limit) }

// lookAround notes what has begun and what has ended since somebody last looked,
// of the attempts that workers had then or have now. All lanes are locked.
func (s *lanes) lookAround() {
	s.began, s.ended = s.began[:0], s.ended[:0]
	for _, l := range s.all {
		if l.isOpen && l.a.Index != l.index {
			s.began, s.ended = append(s.began, l.a.Index), append(s.ended, l.index)
			l.index = l.a.Index
		}
	}
}

// count counts a success for each attempt that was handed out, and completes, of an
// Indexed job, the indexes that were handed out but for those that run now, and
// those that ran before.
func (j *Job) count(given int64) {
	s := j.lanes
	j.Succeeded += int(given - s.counted)
	if s.indexed {
		for _, i := range s.ended {
			j.Completed.Add(i)
		}
		from := s.index + int(s.counted)
		slices.Sort(s.began)
		for _, i := range s.began {
			j.Completed.AddRange(from, i-1)
			from = i + 1
		}
		j.Completed.AddRange(from, s.index+int(given)-1)
	}
	s.counted = given
}

// now is when the latest of the attempts has ended.
func (s *lanes) now() (now Time) {
	for _, l := range s.all {
		now = max(now, l.now)
	}
	return now
}
