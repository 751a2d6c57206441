package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/runtocompletion/batch/internal/indexset"
	"github.com/runtocompletion/batch/internal/journal"
)

// The end of a job is stored in the commit that stores the job as ended, once for each
// subscription there is, and removed when that has been told of it. So it does not
// matter what becomes of the job, nor of the process.

// An end is that a job has become Complete or Failed, or is gone before.
type end struct {
	number   uint64 // in the order of collecting
	revision uint64 // of the job; zero for one of an earlier process
	data     []byte // a savedEnd
}

// A savedEnd is what is stored of an end.
type savedEnd struct {
	View
	Completed, GivenUp string // in the place of the sets
	Removed            bool   `json:",omitzero"`
}

func (s savedEnd) encode() []byte {
	s.Completed, s.GivenUp = s.View.Completed.String(), s.View.GivenUp.String()
	return encode(s)
}

// change is what a receiver is told.
func (e *end) change() (Change, error) {
	var s savedEnd
	err := json.Unmarshal(e.data, &s)
	if err == nil {
		s.View.Completed, err = parseSet(s.Completed)
	}
	if err == nil {
		s.View.GivenUp, err = parseSet(s.GivenUp)
	}
	s.View.Revision = e.revision
	return Change{View: s.View, Removed: s.Removed}, err
}

func parseSet(text string) (indexset.Set, error) {
	if text == "" {
		return indexset.Set{}, nil
	}
	return indexset.Parse(text, indexset.MaxIndex)
}

// A collectedEnd is an end that is not known to be durable.
type collectedEnd struct {
	end
	ended savedEnd
	of    []*subscription // that have it in the store
}

// The records of subscriptions.
const (
	subscriptionKey = "subscription/" // and its name
	endKey          = "end/"          // the number of an end, and the name of who is to be told
)

func (e *end) key(name string) string { return fmt.Sprintf("%s%016x/%s", endKey, e.number, name) }

// JobEnds are the ends of a job on their way to its subscriptions.
type jobEnds struct {
	noted     []savedEnd     // that have not been collected
	collected []collectedEnd // that are not known to be durable
}

// noteEndLocked looks after a step whether the job has ended.
func (j *Job) noteEndLocked() {
	wasGone := j.isGone
	j.isGone = j.engine.IsGone()
	hasEnded := j.hasNewEnd || j.isGone && !wasGone && j.engine.FinishedAt == 0
	j.hasNewEnd = false
	if hasEnded && j.r.mayRest { // otherwise there are no subscriptions
		if j.ends == nil {
			j.ends = new(jobEnds)
		}
		j.ends.noted = append(j.ends.noted, savedEnd{View: j.presentLocked(), Removed: j.engine.FinishedAt == 0})
	}
}

// collectEndsLocked puts what subscriptions are to be told.
func (j *Job) collectEndsLocked(put func(journal.Record)) {
	if j.ends == nil {
		return
	}
	for _, e := range j.ends.noted {
		j.ends.collected = append(j.ends.collected, j.r.subscribed.number(e, put))
	}
	j.ends.noted = nil
}

// tellEndsLocked hands on the ends that are durable.
func (j *Job) tellEndsLocked() {
	if j.stored == nil {
		j.collectEndsLocked(func(journal.Record) {})
	}
	if j.ends != nil && len(j.ends.collected) > 0 {
		j.r.subscribed.add(j)
		j.ends.collected = nil
		if j.ends.noted == nil {
			j.ends = nil
		}
	}
}

// subscriptions are those of a runner.
type subscriptions struct {
	over chan struct{} // closed when nothing more is delivered

	mu     sync.Mutex // guards the fields below, and subscriptions; a Job.mu may be held
	latest uint64     // the number of an end
	byName map[string]*subscription
}

// number gives an end its place, and puts it for each subscription.
func (s *subscriptions) number(e savedEnd, put func(journal.Record)) collectedEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest++
	c := collectedEnd{end: end{number: s.latest}, ended: e}
	for name, known := range s.byName {
		if c.data == nil {
			c.data = e.encode()
		}
		put(journal.Record{Key: c.key(name), Value: c.data})
		c.of = append(c.of, known)
	}
	return c
}

// add lets subscriptions be told of a job's ends, in order of revision.
func (s *subscriptions) add(j *Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byName) == 0 {
		return
	}
	j.r.feed.Changed(&j.entry)
	revision := j.r.feed.Observe(&j.entry)
	for _, c := range j.ends.collected {
		c.revision = revision
		if c.data == nil {
			c.data = c.ended.encode()
		}
		for _, known := range s.byName {
			known.addLocked(&c, slices.Contains(c.of, known))
		}
	}
}

// take takes a record out of a store, and reports false if it is none of these.
func (s *subscriptions) take(record journal.Record) (ok bool, err error) {
	if name, ok := strings.CutPrefix(record.Key, subscriptionKey); ok {
		s.namedLocked(name).isKnown = true
		return true, nil
	}
	text, ok := strings.CutPrefix(record.Key, endKey)
	if !ok {
		return false, nil
	}
	e := end{data: record.Value}
	text, name, _ := strings.Cut(text, "/")
	if _, err := fmt.Sscanf(text, "%x", &e.number); err != nil || e.key(name) != record.Key {
		return true, fmt.Errorf("record %q: no key of an end", record.Key)
	}
	if _, err := e.change(); err != nil {
		return true, fmt.Errorf("record %q: %w", record.Key, err)
	}
	s.latest = max(s.latest, e.number)
	known := s.namedLocked(name)
	known.queue = append(known.queue, e)
	return true, nil
}

// namedLocked returns the subscription of that name, made if there is none.
func (s *subscriptions) namedLocked(name string) *subscription {
	known := s.byName[name]
	if known == nil {
		known = &subscription{name: name, wake: make(chan struct{}, 1)}
		known.place.Source = known
		s.byName[name] = known
	}
	return known
}

// loaded orders what was taken out of the store. Ends of subscriptions that are no more
// are to be removed.
func (s *subscriptions) loaded(r *Runner) (removals []journal.Record) {
	for name, known := range s.byName {
		known.r = r
		slices.SortFunc(known.queue, func(a, b end) int { return cmp.Compare(a.number, b.number) })
		if known.isKnown {
			continue
		}
		delete(s.byName, name)
		for _, e := range known.queue {
			removals = append(removals, journal.Record{Key: e.key(name)})
		}
	}
	return removals
}

// A subscription is told of the ends of jobs. It is guarded by subscriptions.mu.
type subscription struct {
	r       *Runner
	name    string
	wake    chan struct{} // has one when there may be something to be told
	isKnown bool          // it is stored
	isTaken bool          // an end is being delivered, or a call has not returned
	isBusy  bool          // it is counted as something that runs
	queue   []end         // to be told, except the one under way
	since   map[ended]struct{}
	dropped int
	current *delivery // the latest
	place   journal.Place
	records []journal.Record // to be stored
}

// An ended distinguishes the ends of jobs, for a subscription that begins.
type ended struct {
	uid string
	at  int64
}

func (v *View) ended() ended { return ended{v.UID, v.FinishedAt.UnixNano()} }

// addLocked adds an end, which is stored for the subscription or is going to be.
func (s *subscription) addLocked(c *collectedEnd, isStored bool) {
	if s.since != nil {
		s.since[c.ended.View.ended()] = struct{}{}
	}
	if !isStored {
		s.storeLocked(journal.Record{Key: c.key(s.name), Value: c.data})
	}
	s.queue = append(s.queue, c.end)
	if limit := s.r.finished.limit; limit >= 0 && len(s.queue) > limit {
		s.dropLocked()
	}
	s.stirLocked()
}

// dropLocked drops the oldest end: it was not requested while as many jobs
// have ended since as are kept.
func (s *subscription) dropLocked() {
	s.storeLocked(journal.Record{Key: s.queue[0].key(s.name)})
	s.queue = s.queue[1:]
	if s.dropped++; s.dropped == 1 {
		s.r.Log(slog.LevelError, "subscription is not told of the oldest ends: there are too many",
			slog.String("subscription", s.name), slog.Int("kept", len(s.queue)))
	}
}

// stirLocked has the subscription go on. What is to be told is counted as running, so
// that Shutdown waits for it.
func (s *subscription) stirLocked() {
	if s.isTaken && !s.isBusy && len(s.queue) > 0 && !s.r.subscribed.isOver() {
		s.isBusy = true
		s.r.enter()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) restLocked() {
	if s.isBusy {
		s.isBusy = false
		s.r.leave()
	}
}

// storeLocked has a record stored, soon.
func (s *subscription) storeLocked(record journal.Record) {
	if s.r.journal.Keeps() {
		s.records = append(s.records, record)
		s.r.journal.Changed(&s.place)
	}
}

// Collect puts what has to be stored.
func (s *subscription) Collect(put func(journal.Record)) {
	s.r.subscribed.mu.Lock()
	defer s.r.subscribed.mu.Unlock()
	s.place.Taken()
	for _, record := range s.records {
		put(record)
	}
	s.records = nil
}

// Stored has nothing to do: no caller waits for it.
func (s *subscription) Stored() {}

// StoredLocked has nothing to do either.
func (s *subscription) StoredLocked() {}

// Stuck logs that the store refuses what the subscription has.
func (s *subscription) Stuck(err error) {
	if err != nil {
		s.r.Log(slog.LevelError, "store refuses what a subscription has been told",
			slog.String("subscription", s.name), slog.Any("error", err))
	}
}
