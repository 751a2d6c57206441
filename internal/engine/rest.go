package engine

import (
	"encoding/binary"
	"time"

	"github.com/runtocompletion/batch/internal/compact"
	"github.com/runtocompletion/batch/internal/indexset"
)

// Of the jobs there are, most have finished, and are asked about now and then. Between
// such questions they need little memory: a job then rests as its records and what
// cannot be one.

// A Rest is what is kept of a finished job of which nothing is live.
type Rest struct {
	Head, Events string // its records
	Kept         *Kept  // nil if there is nothing else
}

// Kept is the history and the sets of a job that rests.
type Kept struct {
	history            history
	retained           map[int]*Attempt
	completed, givenUp *indexset.Set // nil if empty
	tracker            *tracker
}

// Rest returns the job as it rests. What Save has not put must be nothing.
func (j *Job) Rest() Rest {
	// What the job need not keep must not be kept by its rest.
	j.Release()
	return Rest{string(j.encodeHead()), string(j.encodeEvents()), j.kept()}
}

// LoadRest is Load and Rest at once, at less cost, for a job that has finished and has no
// history and no sets. It reports false for any other, also for one that is damaged.
func LoadRest(records map[string][]byte) (r Rest, latest Time, ok bool) {
	var h head
	var events []EventRecord
	r = Rest{Head: string(records[keyHead]), Events: string(records[keyEvents])}
	// Nothing is decoded twice: whether there is more than two records is known before.
	ok = len(records) == 2 && len(r.Head) >= nowSize && len(r.Events) > 0 &&
		unpack(r.Head[nowSize:], h.code) == nil &&
		unpack(r.Events, func(c *fieldCoder) { codeEvents(c, &events) }) == nil &&
		h.FinishedAt != 0 && len(h.Conditions) > 0 && isFinal(h.Conditions[len(h.Conditions)-1].Type)
	if ok {
		latest = Time(binary.BigEndian.Uint64([]byte(r.Head[:nowSize])))
	}
	return r, latest, ok
}

func isFinal(condition string) bool { return condition == JobComplete || condition == JobFailed }

// RestAfterLoad is Rest for a job that was just loaded from these records.
func (j *Job) RestAfterLoad(records map[string][]byte) Rest {
	j.Release()
	return Rest{string(records[keyHead]), string(records[keyEvents]), j.kept()}
}

func (j *Job) kept() *Kept {
	h := &j.history
	if h.size()+len(j.retained)+j.Completed.Len()+j.GivenUp.Len() == 0 {
		return nil
	}
	// Rings grow by doubling, for pushes that do not come any more.
	h.plain.clip()
	// The history is moved and not copied: there is one of a job, awake or at rest.
	return &Kept{*h, j.retained, setOrNil(&j.Completed), setOrNil(&j.GivenUp), j.tracker}
}

func setOrNil(s *indexset.Set) *indexset.Set {
	if s.Len() == 0 {
		return nil
	}
	return new(s.Snapshot())
}

// clip lets go of room that is not used.
func (q *ring[T]) clip() {
	all := make([]T, q.n)
	for i := range all {
		all[i] = *q.at(i)
	}
	q.all, q.first = all, 0
}

// Wake returns the job. Describe is that of Track; nil if the job is not saved.
func (r *Rest) Wake(id Identity, spec *Spec, describe func(*Attempt) []byte) *Job {
	l := loader{Job: New(id, spec)}
	if err := l.decodeHead(r.Head); err != nil {
		panic("engine: head of a job that rests: " + err.Error())
	}
	// It is what Load takes as well: what a head means is said once.
	l.takeHead()
	h := &l.history
	h.plain.pushed, h.succeeded.pushed, h.failed.pushed = l.head.OldestPlain, l.head.OldestSucceeded, l.head.OldestFailed
	j := l.Job
	if err := unpack(r.Events, func(c *fieldCoder) { codeEvents(c, &j.events) }); err != nil {
		panic("engine: events of a job that rests: " + err.Error())
	}
	j.Completed, j.GivenUp = r.Sets()
	if k := r.Kept; k != nil {
		j.history, j.retained, j.tracker = k.history, k.retained, k.tracker
	}
	// A job without history and sets rests without a tracker, and nothing of it is to be
	// saved anew when it wakes.
	if describe != nil && j.tracker == nil {
		j.Track(describe)
		j.tracker.events = false
		j.tracker.head = []byte(r.Head[nowSize:])
	}
	return j
}

// Outcome returns what has come of the job, at less cost than to wake it.
func (r *Rest) Outcome() (o Outcome) {
	// The outcome comes first in the head, so that the rest of it need not be read.
	o.code(&fieldCoder{Coder: compact.Reader(r.Head[nowSize:])})
	return o
}

// Due is when a job that has this outcome is over its time to live; [Never] if it has
// none.
func (o *Outcome) Due(ttl time.Duration) Time {
	if ttl < 0 {
		return Never
	}
	return o.FinishedAt.Add(ttl)
}

// Sets returns the indexes that have succeeded, and those that were given up.
func (r *Rest) Sets() (completed, givenUp indexset.Set) {
	k := r.Kept
	if k == nil {
		k = new(Kept)
	}
	return snapshotOf(k.completed), snapshotOf(k.givenUp)
}

// snapshotOf undoes setOrNil.
func snapshotOf(s *indexset.Set) indexset.Set {
	if s == nil {
		s = new(indexset.Set)
	}
	return s.Snapshot()
}
