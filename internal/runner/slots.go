package runner

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/turns"
)

// Slots limit how many executors run at once over all jobs, which take turns.
type slots struct {
	limit int                // 0: none
	turns *turns.Turns[*Job] // nil without a limit

	mu      sync.Mutex // guards the field below
	holders map[*Job]int
}

// A slot is the right to run one executor. Its owner releases it. The zero slot is
// that of a runner without a limit.
type slot struct {
	of  *slots
	job *Job
}

// A waiting attempt is to run as soon as there is a slot for it.
type waiting struct {
	attempt *engine.Attempt
	seq     int64
	since   engine.Time
}

func newSlots(limit int) *slots {
	s := &slots{limit: limit}
	if limit > 0 {
		s.turns, s.holders = turns.New[*Job](limit), make(map[*Job]int)
	}
	return s
}

func (s *slots) isLimited() bool { return s.limit > 0 }

// leave takes a job out of the line.
func (s *slots) leave(j *Job) {
	if s.isLimited() {
		s.turns.Leave(&j.turn)
	}
}

// handOut gives free slots to jobs in turn.
func (s *slots) handOut(e *effects) {
	for j, ok := s.turns.Take(); ok; j, ok = s.turns.Take() {
		mine := slot{s, j}
		s.hold(j, 1)
		if !j.takeTurn(e, mine) {
			mine.release()
		}
	}
}

func (s *slots) hold(j *Job, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[j] += n; s.holders[j] == 0 {
		delete(s.holders, j)
	}
}

// release gives the slot back.
func (s slot) release() {
	if s.of != nil {
		s.of.hold(s.job, -1)
		s.of.turns.Release()
	}
}

// takeTurn begins the first attempt that still waits for a slot, and puts the job
// back in line if there are more. It reports false if there was none.
func (j *Job) takeTurn(e *effects, s slot) bool {
	j.lock()
	defer j.unlock()
	for len(j.line) > 0 && !j.engine.IsHalted() {
		w := j.line[0]
		j.line[0] = waiting{}
		j.line = j.line[1:]
		if w.attempt.Seq != w.seq || w.attempt.State != engine.StateQueued {
			continue // it was stopped meanwhile
		}
		if len(j.line) > 0 {
			j.r.slots.turns.Join(&j.turn)
		}
		runOf(w.attempt).waited = time.Duration(j.r.now() - w.since)
		j.beginLocked(e, w.attempt, s)
		return true
	}
	return false
}

// beginLocked has an attempt executed that has got its slot.
func (j *Job) beginLocked(e *effects, a *engine.Attempt, s slot) {
	x := runOf(a)
	x.slot = s
	restart := a.IsRestart()
	j.engine.Pin(a)
	e.execute(x)
	j.changedLocked()
	if restart || !j.engine.Spec.HoldsPending {
		j.stepLocked(e, engine.Event{Kind: engine.Started, Attempt: a})
	}
}

// describe says who holds all slots, if nothing is free.
func (s *slots) describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := 0
	var names []string
	for j, n := range s.holders {
		held += n
		names = append(names, fmt.Sprintf("%s (%d)", j.id.Job, n))
	}
	if !s.isLimited() || held < s.limit {
		return ""
	}
	slices.Sort(names)
	const most = 3
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("MaxActive of %d is reached by %s", s.limit, strings.Join(names, ", "))
}
