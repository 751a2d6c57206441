package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/turns"
)

// Slots limit how many executors run at once over all jobs, and what jobs share: see
// turns. The limit of all jobs is one without a name.
type slots struct {
	r     *Runner
	limit int // how many executors run at once; 0: any number
	turns *turns.Turns[taker]
	// waiting counts those in line: who gives the engine an event looks at it, and at
	// nothing else if there is none.
	waiting atomic.Int64

	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	at    int64 // when it fires
}

// maxActive is the name of the limit of all jobs.
const maxActive = ""

// A taker stands in line.
type taker interface {
	// takeTurn uses what was got, and reports false if it is not needed any more.
	takeTurn(e *effects, s slot) bool
}

// A slot is the right to run one executor. Its owner releases it. The zero slot is that
// of a job without limits.
type slot struct {
	of    *slots
	grant turns.Grant[taker]
}

// A queue is the attempts of a job that wait for the same.
type queue struct {
	job   *Job
	place turns.Place[taker]
	line  []waiting
}

// A waiting attempt is to run as soon as there is a slot for it.
type waiting struct {
	attempt *engine.Attempt
	seq     int64
	since   engine.Time
}

func newSlots(r *Runner, limit int, limits *Limits) *slots {
	s := &slots{r: r, limit: limit, turns: turns.New[taker](), at: turns.Never}
	if limit > 0 {
		_ = s.turns.Set(maxActive, turns.Limit{Active: limit}, 0) // nothing is changed
	}
	for name, l := range limits.all() {
		_ = s.turns.Set(name, l, 0) // likewise
	}
	return s
}

// Limits are those of a controller. They outlast its runners, of which one follows another
// when a store is lost and claimed again.
type Limits struct {
	mu     sync.Mutex // guards the field below
	byName map[string]turns.Limit
}

// Set adds a limit or changes it, for the runners to come.
func (l *Limits) Set(name string, limit turns.Limit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = make(map[string]turns.Limit)
	}
	l.byName[name] = limit
}

// Has reports whether there is a limit of that name.
func (l *Limits) Has(name string) bool {
	_, ok := l.all()[name]
	return ok
}

func (l *Limits) all() map[string]turns.Limit {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.byName)
}

// isFor reports whether the attempts of a job are limited.
func (s *slots) isFor(d *Definition) bool { return s.limit > 0 || len(d.Limits) > 0 }

// needs is what an attempt needs, with the limits of its job. What all jobs need comes last:
// it is not kept.
func (s *slots) needs(limits []string) []string {
	if s.limit == 0 {
		return limits
	}
	return append(slices.Clone(limits), maxActive)
}

func (s *slots) now() int64 { return int64(s.r.now()) }

func (s *slots) join(p *turns.Place[taker]) {
	s.waiting.Add(1) // before it is taken out elsewhere
	if !s.turns.Join(p, s.now()) {
		s.waiting.Add(-1)
	}
}

func (s *slots) leave(p *turns.Place[taker]) {
	if s.turns.Leave(p, s.now()) {
		s.waiting.Add(-1)
	}
}

// handOut gives what is free to those in line, in turn.
func (s *slots) handOut(e *effects) {
	for s.waiting.Load() > 0 {
		who, grant, ok := s.turns.Take(s.now())
		if !ok {
			s.wakeLater()
			return
		}
		s.waiting.Add(-1)
		mine, isUsed := slot{s, grant}, false
		switch who := who.(type) { // by its type, so that effects may stay on the stack
		case *queue:
			isUsed = who.takeTurn(e, mine)
		case *ticket:
			isUsed = who.takeTurn(e, mine)
		}
		if !isUsed {
			s.turns.Release(grant, false, s.now())
		}
	}
}

// wakeLater sees to it that what is limited by time is handed out in time.
func (s *slots) wakeLater() {
	due := s.turns.Due()
	s.mu.Lock()
	defer s.mu.Unlock()
	if due == s.at || s.r.isStopping() {
		return
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.at = due; due != turns.Never {
		s.timer = time.AfterFunc(time.Duration(due-s.now()), s.wake)
	}
}

func (s *slots) wake() {
	if !s.r.visit() {
		return
	}
	defer s.r.leave()
	s.mu.Lock()
	s.at = turns.Never
	s.mu.Unlock()
	s.r.perform(&effects{})
}

// stop is called when nothing is to begin any more.
func (s *slots) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

// release gives the slot back.
func (s slot) release() {
	if s.of != nil {
		s.of.turns.Release(s.grant, true, s.of.now())
	}
}

// queueLocked returns the line of those attempts of the job that have a key.
func (j *Job) queueLocked(key string) *queue {
	def, q := j.def.Load(), j.queue
	if def.LimitKey != nil {
		q = j.queues[key]
	}
	switch {
	case q != nil:
	case def.LimitKey == nil:
		q = j.newQueue(def, key)
		j.queue = q
	default:
		if j.queues == nil {
			j.queues = make(map[string]*queue)
		}
		q = j.newQueue(def, key)
		j.queues[key] = q
	}
	q.place.Priority = def.Priority
	return q
}

func (j *Job) newQueue(def *Definition, key string) *queue {
	q := &queue{job: j}
	q.place.Item, q.place.Name, q.place.Key = q, j.id.Job, key
	q.place.Limits = j.r.slots.needs(def.Limits)
	return q
}

// standLocked puts an attempt in line.
func (j *Job) standLocked(w waiting, key string) {
	q := j.queueLocked(key)
	q.line = append(q.line, w)
	j.r.slots.join(&q.place)
}

// emptyLinesLocked has no attempt of the job wait any more.
func (j *Job) emptyLinesLocked() {
	j.unkeyed = nil
	for _, q := range j.queuesLocked() {
		q.line = nil
		j.r.slots.leave(&q.place)
	}
	j.queues = nil
}

func (j *Job) queuesLocked() []*queue {
	list := slices.Collect(maps.Values(j.queues))
	if j.queue != nil {
		list = append(list, j.queue)
	}
	return list
}

// takeTurn begins the first attempt that still waits for a slot, and puts the queue back
// in line if there are more. It reports false if there was none.
func (q *queue) takeTurn(e *effects, s slot) bool {
	j := q.job
	j.lock()
	defer j.unlock()
	for len(q.line) > 0 && !j.engine.IsHalted() {
		w := q.line[0]
		q.line[0] = waiting{}
		q.line = q.line[1:]
		if !w.isWanted() {
			continue
		}
		if len(q.line) > 0 {
			j.r.slots.join(&q.place)
		} else if q != j.queue {
			delete(j.queues, q.place.Key)
		}
		runOf(w.attempt).waited = time.Duration(j.r.now() - w.since)
		j.beginLocked(e, w.attempt, s)
		return true
	}
	if q != j.queue {
		delete(j.queues, q.place.Key)
	}
	return false
}

// isWanted reports whether the attempt still waits: it may have been stopped meanwhile.
func (w waiting) isWanted() bool {
	return w.attempt.Seq == w.seq && w.attempt.State == engine.StateQueued
}

// beginLocked has an attempt executed that has got its slot.
func (j *Job) beginLocked(e *effects, a *engine.Attempt, s slot) {
	x := runOf(a)
	x.slot = s
	j.pinLocked(e, a)
	e.execute(x)
}

// pinLocked notes that an attempt is about to be executed.
func (j *Job) pinLocked(e *effects, a *engine.Attempt) {
	restart := a.IsRestart()
	j.engine.Pin(a)
	j.changedLocked()
	if restart || !j.engine.Spec.HoldsPending {
		j.stepLocked(e, engine.Event{Kind: engine.Started, Attempt: a})
	}
}

// describeLinesLocked says what the job's attempts wait for: all of it, unless that is a
// lot.
func (j *Job) describeLinesLocked() string {
	const most, enough = 3, 10
	var texts []string
	look := func(q *queue) {
		if lack, waits := j.r.slots.turns.Lacks(&q.place, j.r.slots.now()); waits {
			texts = append(texts, j.r.slots.describe(&lack))
		}
	}
	if j.queue != nil {
		look(j.queue)
	}
	looked := 0
	for _, q := range j.queues {
		if looked++; looked > enough {
			break
		}
		look(q)
	}
	if len(texts) == 0 && j.isKeying { // mostly it returns at once
		return "LimitKey has not returned"
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if len(texts) > most {
		texts = append(texts[:most], "and more")
	}
	return strings.Join(texts, "; ")
}

// describe says what is not there, and who has it.
func (s *slots) describe(lack *turns.Lack) string {
	what := fmt.Sprintf("limit %s", lack.Name)
	if lack.Name == maxActive {
		what = "MaxActive"
	}
	if lack.PerKey {
		what += fmt.Sprintf(" for %q", lack.Key)
	}
	switch {
	case lack.At != turns.Never:
		at := s.r.date(engine.Time(lack.At)).Format(time.TimeOnly)
		return fmt.Sprintf("%s of one in %v, the next at %s", what, lack.Every, at)
	case lack.Active == 0:
		return what + " lets no attempt begin"
	}
	return fmt.Sprintf("%s of %d is reached by %s", what, lack.Active, describeHolders(lack.Holders))
}

func describeHolders(holders map[string]int) string {
	var names []string
	for name, n := range holders {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	slices.Sort(names)
	const most = 3
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
