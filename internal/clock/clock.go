// Package clock counts time that never steps, and knows what the wall clock
// showed meanwhile.
//
// Durations run on the monotonic clock of the process. The wall clock may be set,
// and it goes on while a machine sleeps; so an instant has its date from what the
// two clocks said about then.
package clock

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// step is the least difference between the two clocks that counts as a step of
// the wall clock. Clocks that are kept right by small corrections stay below it.
const step = int64(100 * time.Millisecond)

// mostSteps is how many steps are remembered; what is older has the date by the
// oldest of them.
const mostSteps = 64

// A Clock counts nanoseconds. Its methods may be called by several goroutines at
// once, except Continue.
type Clock struct {
	start  time.Time // with its monotonic reading
	origin int64     // what the clock says at start
	steps  atomic.Pointer[[]Step]
	ahead  atomic.Int64 // see StepWall
	mu     sync.Mutex   // held while steps are replaced
}

// A Step says what has to be added to an instant from At on to get its date in
// nanoseconds since the Unix epoch.
type Step struct {
	At     int64 `json:"at"`
	Offset int64 `json:"offset"`
}

// A State is what the next process needs to know of a clock.
type State struct {
	At    int64  `json:"at"`    // what the clock said
	Wall  int64  `json:"wall"`  // when the wall clock said this
	Steps []Step `json:"steps"` // of the wall clock, oldest first; never empty
}

// New returns a clock that shows the wall clock's time now.
func New() *Clock {
	c := &Clock{start: time.Now()}
	c.origin = c.start.UnixNano()
	c.steps.Store(&[]Step{{}})
	return c
}

// Now is the time in nanoseconds. It never goes back and never jumps.
func (c *Clock) Now() int64 { return c.origin + int64(time.Since(c.start)) }

// Time is an instant as a time with a monotonic reading, for timers and deadlines.
func (c *Clock) Time(at int64) time.Time { return c.start.Add(time.Duration(at - c.origin)) }

// Wall is what the wall clock showed at an instant, as far as is known.
func (c *Clock) Wall(at int64) time.Time {
	steps := *c.steps.Load()
	i := len(steps) - 1
	for i > 0 && steps[i].At > at {
		i--
	}
	return time.Unix(0, at+steps[i].Offset)
}

// Look compares the clocks, and reports whether the wall clock was set, or the
// machine slept, since the last time.
func (c *Clock) Look() bool {
	wall := time.Now()
	at := c.origin + int64(wall.Sub(c.start))
	offset := wall.UnixNano() + c.ahead.Load() - at
	if c.agrees(offset) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agrees(offset) {
		return false
	}
	c.add(Step{at, offset})
	return true
}

func (c *Clock) agrees(offset int64) bool {
	steps := *c.steps.Load()
	difference := offset - steps[len(steps)-1].Offset
	return -step < difference && difference < step
}

func (c *Clock) add(s Step) {
	steps := append(slices.Clone(*c.steps.Load()), s)
	steps = steps[max(0, len(steps)-mostSteps):]
	c.steps.Store(&steps)
}

// State is what [Clock.Continue] wants.
func (c *Clock) State() State {
	c.Look()
	now := c.Now()
	return State{At: now, Wall: c.Wall(now).UnixNano(), Steps: *c.steps.Load()}
}

// Continue has the clock go on from that of an earlier process, by as much as the
// wall clock says has passed since, but never from before floor. It is called
// before anything else.
func (c *Clock) Continue(s State, floor int64) {
	now := c.start.UnixNano()
	c.origin = max(floor, s.At+max(0, now-s.Wall))
	if len(s.Steps) > 0 {
		c.steps.Store(&s.Steps)
	}
	c.Look()
}

// Follow has dates be those of an earlier process that goes on.
func (c *Clock) Follow(s State) {
	if len(s.Steps) > 0 {
		c.steps.Store(&s.Steps)
	}
}

// StepWall makes the clock see the wall clock as if it had been set ahead by d
// more. It is for tests.
func (c *Clock) StepWall(d time.Duration) { c.ahead.Add(int64(d)) }
