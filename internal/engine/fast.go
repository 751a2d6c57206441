package engine

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// This file is for speed only. A success in a steady job changes nothing but counts,
// and to do just that, without an Event and its actions, is what makes a completion
// cheap: Renew gives the place and the record of the attempt that has ended to the
// next one, Retry does so after a plain failure, and lanes let each worker do it
// without the job's lock. All of it repeats what Ended does, and a test compares
// the two after each event of random jobs. The budgets fail without it, which are a
// quarter of errgroup and no more than a channel-fed pool. On a busy machine of two
// cores, with two workers, a no-op completion cost 82 ns with all of it, where the pool
// cost 72; without lanes 106, where the pool cost 45; and without Renew 273, where
// errgroup cost 531.

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
	index  int      // of the one that it ran at the last look
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

// brief is what the history keeps of the attempt.
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
	// Each end in a job that is saved is a change to be stored, before others see it.
	if j.tracker != nil || now >= j.steadyUntil || now-a.StartedAt > longest || !a.renewable() || !a.isFirst() {
		return nil
	}
	if j.history.lanes == nil {
		// A worker that does not run for a while keeps its lane: hence two for
		// each core.
		j.history.lanes = &lanes{most: 2 * runtime.GOMAXPROCS(0)}
	}
	// Before the lanes are opened: if all are in use, this closes them first.
	l := j.closedLane()
	if !j.history.lanes.isOpen && !j.openLanes() {
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
	s := j.history.lanes
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
	return l
}

// openLanes has the lanes hand out what the job needs, if that is simple.
func (j *Job) openLanes() bool {
	if j.left() < leastLeft || len(j.indexes.numbers()) > 0 || j.indexes.againFrom > 0 {
		return false
	}
	s := j.history.lanes
	// An update of the finder for each attempt would need a lock that all workers share.
	j.history.finder = nil // lanes do not tell it
	s.isOpen, s.until, s.indexed, s.history = true, j.steadyUntil, j.Spec.Indexed, j.history.limit
	// What is handed out is contiguous, in places as in indexes, so that a counter is all
	// that workers need to agree on.
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
	// The counter has passed the limit for good; handedOut takes that into account.
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

// lock locks the lane. It is held for some nanoseconds. To sleep until
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

// Collect closes the lanes and records what has ended there. It reports whether
// anything has that Look has not told.
func (j *Job) Collect() (changed bool) {
	s := j.history.lanes
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
	s := j.history.lanes
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

// lock keeps all workers from ending an attempt. Always in the same order, as two callers
// may do it.
func (s *lanes) lock() {
	for _, l := range s.all {
		l.lock()
	}
}

// unlock lets them go on.
func (s *lanes) unlock() {
	for _, l := range s.all {
		l.mu.Unlock()
	}
}

// handedOut is how many attempts have been handed out, each to a worker whose
// attempt had ended.
func (s *lanes) handedOut() int64 { return min(s.given.Load(), s.limit) }

// lookAround notes what has begun and what has ended since the last look,
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
// Indexed job, the indexes that were handed out except those that run now, and
// those that ran before.
func (j *Job) count(given int64) {
	s := j.history.lanes
	j.Succeeded += int(given - s.counted)
	if s.indexed {
		// These were handed out before the last look, and still ran then.
		for _, i := range s.ended {
			j.Completed.Add(i)
		}
		from := s.index + int(s.counted)
		// What lies between two that run has ended: so a look costs time for the workers, and
		// not for the attempts that they have run.
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

// Renew is Ended for a plain success in a steady job, in which a success
// changes nothing but counts: the next attempt takes over the place and the
// record of the one that has ended. It is for speed only, and does exactly what
// Ended would do; it reports false, and has done nothing, where that would be
// more. The caller makes sure that there is nothing to close (see
// Attempt.Notify).
func (j *Job) Renew(a *Attempt, now Time) bool {
	now = max(j.now, now)
	// At the end of a job, workers run out of attempts one after the other: that is for
	// Ended to settle.
	if now >= j.steadyUntil || j.left() <= 0 || !a.renewable() {
		return false
	}
	j.now = now
	a.FinishedAt = now
	j.untouch(a)
	// The order is that of Ended: first the end is kept, then the record is renewed.
	j.history.addBrief(a.brief())
	j.history.lost(a.Seq)
	j.retry.success = now
	j.Succeeded++
	a.Number = int(j.created)
	if j.Spec.Indexed {
		j.Completed.Add(a.Index)
		a.Index = j.indexes.next
		a.Number = j.indexes.take(a.Index)
	}
	a.Seq = j.created
	j.created++
	a.renew(now)
	j.history.found(a)
	j.touch(a)
	return true
}

// renew makes a running attempt one that starts now, except what numbers it.
func (a *Attempt) renew(now Time) {
	a.FinishedAt, a.Failures, a.Ignored, a.Exits, a.Snoozes = 0, 0, 0, 0, 0
	a.CreatedAt, a.StartedAt, a.runAt, a.readyAt = now, now, now, now
}

// Retry is Ended for a plain failure in a steady job after which the same index
// is tried again at once, and returns the attempt that does. Like Renew it is for
// speed only: it returns nil, and has done nothing, where Ended would do more.
func (j *Job) Retry(a *Attempt, r Result, now Time) *Attempt {
	now = max(j.now, now)
	if now >= j.steadyUntil || !j.Spec.retriesAtOnce(a, r) || j.Failed >= j.Spec.BackoffLimit || !a.renewable() {
		return nil
	}
	j.now = now
	a.State, a.FinishedAt, a.Ready = StateEnded, now, false
	a.ExitCode, a.HasExit = r.Code, true
	a.account, a.countedAt, a.holding, a.counts = counted, now, false, true
	j.noteFailure(a, a.Failures+a.Ignored+1, now)
	j.Failed++

	// The failed attempt is kept, so that another record is needed, as in create.
	next := j.history.reuse()
	*next = Attempt{Owner: next.Owner, Conditions: next.Conditions[:0:0], touched: next.touched,
		Seq: j.created, Index: a.Index, Number: a.Number + 1, Failures: a.Failures + 1, Ignored: a.Ignored, Exits: a.Exits,
		State: StateRunning, Ready: true, CreatedAt: now, StartedAt: now, runAt: now, readyAt: now,
		holding: true, errorRule: None, slot: a.slot}
	j.created++
	j.indexes.highest = max(j.indexes.highest, next.Number)
	j.live[a.slot] = next
	j.touch(next)
	j.history.found(next)
	j.keep(a)
	return next
}

// retriesAtOnce reports whether nothing about a failure keeps its index from
// being tried again without a delay.
func (s *Spec) retriesAtOnce(a *Attempt, r Result) bool {
	return s.FixedDelay && s.Delay == 0 && !s.CustomDelay && !s.OnFailure && len(s.FailureRules) == 0 &&
		r.Code != 0 && !r.Permanent && r.RetryAfter == 0 && a.Failures < s.BackoffLimitPerIndex
}
