package engine

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/runtocompletion/batch/internal/indexset"
)

// A job is put together from its records and not from the events that led to them. What
// is told twice in memory, such as counters of live attempts, the places in queues and
// which indexes may be started, is not in the records and follows from the rest. The
// process that saved the job may have ended at any time, and be of another version.

// Load returns a job as it was saved, or an error that says which record is
// wrong. It is tracked, as with Track; restore gives an attempt its owner, from
// what was saved with it. The first step is to be Recovered. The job is paused:
// nothing starts before it is told to go on.
func Load(id Identity, spec *Spec, records iter.Seq2[string, []byte], describe func(*Attempt) []byte,
	restore func(a *Attempt, data []byte)) (*Job, error) {
	j := New(id, spec)
	j.Track(describe)
	// What the job is to do is known, but not yet with which functions.
	j.paused = true
	l := loader{Job: j, restore: restore}
	for key, value := range records {
		if err := l.take(key, value); err != nil {
			return nil, fmt.Errorf("record %q: %w", key, err)
		}
	}
	if err := l.finish(); err != nil {
		return nil, err
	}
	return j, nil
}

// A loader puts a job together from its records, which come in any order.
type loader struct {
	*Job
	restore           func(*Attempt, []byte)
	head              *head
	attempts          []savedAttempt
	plain             map[int64][]brief
	succeeded, failed map[int64][]savedAttempt
}

// take applies one record.
func (l *loader) take(key string, value []byte) error {
	switch key {
	case keyHead:
		// What was read is what is stored: it is not to be written again unless it changes.
		l.tracker.head = value[min(len(value), nowSize):]
		return l.decodeHead(string(value))
	case keyEvents:
		l.tracker.events = false
		return unpack(string(value), func(c *fieldCoder) { codeEvents(c, &l.events) })
	}
	kind, n, ok := number(key)
	if !ok {
		return errors.New("not known")
	}
	switch kind {
	case keyAttempt:
		l.attempts = append(l.attempts, savedAttempt{})
		return json.Unmarshal(value, &l.attempts[len(l.attempts)-1])
	case keyCompleted:
		return takePage(&l.Completed, n, value)
	case keyGivenUp:
		return takePage(&l.GivenUp, n, value)
	case keyNumbers:
		return json.Unmarshal(value, &l.indexes.back().numbers)
	case keyPlain:
		return takeBriefs(&l.plain, n, value)
	case keySucceeded:
		return takeEnded(&l.succeeded, n, value)
	case keyFailed:
		return takeEnded(&l.failed, n, value)
	}
	return errors.New("not known")
}

// takePage records a page of a set.
func takePage(set *indexset.Set, n int64, value []byte) error {
	var page indexset.Page
	if err := page.UnmarshalBinary(value); err != nil {
		return err
	}
	set.SetPage(int(n), page)
	return nil
}

// takeBriefs records a run of plain successes. A record that ends in the middle of one is
// damaged: what it holds cannot be made up.
func takeBriefs(runs *map[int64][]brief, n int64, value []byte) error {
	var list []brief
	for len(value) > 0 {
		// They are as append wrote them.
		var numbers [8]int64
		for i := range numbers {
			number, size := binary.Varint(value)
			if size <= 0 {
				return errors.New("cut short")
			}
			numbers[i], value = number, value[size:]
		}
		created := Time(numbers[5])
		started := created + Time(numbers[6])
		list = append(list, brief{numbers[0], int(numbers[1]), int(numbers[2]), int32(numbers[3]), int32(numbers[4]),
			created, started, started + Time(numbers[7])})
	}
	put(runs, n, list)
	return nil
}

// takeEnded records a run of attempts that have ended.
func takeEnded(runs *map[int64][]savedAttempt, n int64, value []byte) error {
	var list []savedAttempt
	if err := json.Unmarshal(value, &list); err != nil {
		return err
	}
	put(runs, n, list)
	return nil
}

// put keeps a run until all records are there: they come in any order.
func put[T any](runs *map[int64][]T, n int64, list []T) {
	if *runs == nil {
		*runs = make(map[int64][]T)
	}
	(*runs)[n] = list
}

// finish puts the parts together.
func (l *loader) finish() error {
	if l.head == nil {
		return fmt.Errorf("no record %q", keyHead)
	}
	l.takeHead()
	// Others take the last condition of a finished job without asking: a damaged record
	// is found here, where it can be named.
	if l.FinishedAt != 0 && !l.has(JobFailed) && !l.has(JobComplete) {
		return fmt.Errorf("record %q: finished without a condition", keyHead)
	}
	l.tracker.completed, l.tracker.givenUp = l.Completed.Snapshot(), l.GivenUp.Snapshot()
	// Records come in any order, and the same records have to make the same job.
	slices.SortFunc(l.attempts, func(a, b savedAttempt) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := range l.attempts {
		l.takeAttempt(l.revive(&l.attempts[i]))
	}
	// A finished job tries nothing: it need not know what it could.
	if l.Spec.Indexed && l.FinishedAt == 0 {
		l.findReturned()
	}
	if l.FinishedAt != 0 && len(l.live) > 0 {
		return fmt.Errorf("record %q: finished, and attempts have not", keyHead)
	}
	h, t := &l.history, l.tracker
	errs := errors.Join(
		replay(l.plain, l.head.OldestPlain, &h.plain.pushed, &t.plain, func(b *brief) { h.plain.push(*b) }),
		replay(l.succeeded, l.head.OldestSucceeded, &h.succeeded.pushed, &t.succeeded,
			func(s *savedAttempt) { h.succeeded.push(l.revive(s)) }),
		replay(l.failed, l.head.OldestFailed, &h.failed.pushed, &t.failed,
			func(s *savedAttempt) { h.failed.push(l.revive(s)) }),
	)
	// The limit may have been lowered while the job was stored.
	h.trim(h.limit)
	return errs
}

// takeHead takes over what the head has, once it is known to be there.
func (l *loader) takeHead() {
	h, j := l.head, l.Job
	j.CreatedAt, j.StartTime = h.CreatedAt, h.StartTime
	j.FinishedAt, j.DeletedAt, j.Conditions = h.FinishedAt, h.DeletedAt, h.Conditions
	j.Succeeded, j.Failed, j.LastFailure, j.created = h.Succeeded, h.Failed, h.LastFailure, h.Attempts
	j.retry = retry{n: h.Retries, success: h.LastSuccess, last: h.RetryAfter, until: h.RetryUntil,
		seen: h.FailuresSeen, asleep: h.Asleep, wake: Never}
	j.target, j.failJob, j.decideAt = h.Target.target(), h.FailJob.target(), h.DecideAt
	j.outOfRange, j.exits, j.snoozes = h.OutOfRange, int32(h.Exits), int32(h.Snoozes)
	if h.Run > 1 {
		j.reruns = &reruns{h.Run, h.Runs}
	}
	x := &j.indexes
	x.failures = h.IndexFailures
	x.next, x.again, x.againFrom, x.highest = h.NextIndex, h.AgainIndex, h.AgainFrom, h.HighestNumber
}

// target is the decision that was saved; nil if there was none.
func (s *savedTarget) target() *target {
	if s == nil {
		return nil
	}
	return &target{s.Success, s.Reason, s.Message}
}

// revive makes an attempt of what was saved of it, with what the caller kept with it.
func (l *loader) revive(s *savedAttempt) *Attempt {
	a := s.attempt()
	l.restore(a, s.Owner)
	return a
}

// takeAttempt records an attempt that is live or retained, with what follows
// from it.
func (l *loader) takeAttempt(a *Attempt) {
	if a.retained {
		l.retain(a, a.counts)
		// A delay that was not known is asked for once more; see askAgain.
		if a.retryAt > l.now && a.retryAt != Never {
			l.retries.Set(a, int64(a.retryAt))
		}
	}
	if a.HasEnded() {
		return
	}
	// Its place means nothing, and may be another than before.
	a.slot = int32(len(l.live))
	l.live = append(l.live, a)
	// Counters of live attempts are not stored: what is told twice could differ.
	l.restarts += a.countedRestarts()
	if a.settleAt != 0 {
		l.settling++
	}
	// One whose delay is still being asked for is in no queue.
	if a.RestartAt != 0 && a.RestartAt != Never {
		l.restarting.Set(a, int64(a.RestartAt))
	}
	if a.Abandoned {
		l.Abandoned++
	}
	if a.StartedAt == 0 {
		l.Pending++
	}
	if a.State == StateStopping {
		l.Terminating++
	} else if l.Active++; a.Ready {
		l.Ready++
	}
	l.rearm(a)
}

// findReturned finds the indexes below indexes.next that are nowhere else.
func (j *Job) findReturned() {
	x := &j.indexes
	end := min(x.next, j.Spec.Completions)
	// What lies between completed indexes is found by their intervals: there may be ten
	// million indexes, but few gaps.
	from := 0
	for first, last := range j.Completed.Intervals() {
		x.giveBackRange(from, min(first, end)-1)
		from = last + 1
	}
	x.giveBackRange(from, end-1)
	for i := range j.GivenUp.All() {
		x.returned.remove(i)
	}
	for _, a := range j.live {
		if a.holding {
			x.returned.remove(a.Index)
		}
	}
	// Their delays go on as if nothing had been in between.
	for i, a := range j.retained {
		if j.delays(a) {
			x.returned.setReady(i, false)
		}
	}
}

// replay puts the runs of a list in again, from the place of the oldest that was
// kept.
func replay[T any](saved map[int64][]T, oldest int64, pushed *int64, r *runs, push func(*T)) error {
	*pushed = oldest
	for _, first := range slices.Sorted(maps.Keys(saved)) {
		list := saved[first]
		r.list = append(r.list, run{first, first + int64(len(list))})
		// A store that has lost a record must not be taken for one whose history is short.
		if first > *pushed {
			return fmt.Errorf("record %q: no attempts from %d to %d", numbered(r.kind, first), *pushed, first)
		}
		for i := *pushed - first; i < int64(len(list)); i++ {
			push(&list[i])
		}
	}
	return nil
}
