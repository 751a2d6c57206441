package schedule

import (
	"math"
	"time"
)

// A Due is what a schedule says at an instant.
type Due struct {
	Time  int64 // the time to start; only if Is is set
	Is    bool
	Many  bool // more times than manyMissed have passed without a start
	Never bool // there is no time at all
}

// manyMissed is how many times may pass without a start before that is worth a
// warning.
const manyMissed = 100

// NoDeadline lets a time be started at any age.
const NoDeadline time.Duration = math.MaxInt64

// Due returns the most recent time that is after base and not after now, which is
// in nanoseconds, and younger than deadline. Earlier ones are dropped. How many
// have passed is an estimate, from the distance of the first two.
func (s *Schedule) Due(base, now int64, deadline time.Duration) Due {
	from := base
	if deadline != NoDeadline && !s.outlasts(deadline) {
		from = max(from, floorDiv(now-int64(deadline), int64(time.Second)))
	}
	first, ok := s.After(from)
	if !ok {
		return Due{Never: true}
	}
	seconds := floorDiv(now, int64(time.Second))
	if seconds < first {
		return Due{}
	}
	second, ok := s.After(first)
	if !ok || seconds < second {
		return s.young(Due{Time: first, Is: true}, now, deadline)
	}
	missed := (seconds-first)/(second-first) + 1
	return s.young(Due{Time: s.last(second, seconds), Is: true, Many: missed > manyMissed}, now, deadline)
}

// outlasts is true of an interval longer than the deadline. It is counted from the
// last start in any case: counted from the deadline on, no time would ever come.
func (s *Schedule) outlasts(deadline time.Duration) bool {
	return s.every > 0 && deadline < time.Duration(s.every)*time.Second
}

// young drops a time that is too old.
func (s *Schedule) young(d Due, now int64, deadline time.Duration) Due {
	if s.outlasts(deadline) && now-d.Time*int64(time.Second) >= int64(deadline) {
		return Due{}
	}
	return d
}

// last returns the latest time up to now, of which t is one.
func (s *Schedule) last(t, now int64) int64 {
	if s.every > 0 {
		return t + (now-t)/s.every*s.every
	}
	for low, high := t, now; low < high; { // low is a time, and there is none in (high, now]
		middle := low + (high-low)/2
		if next, ok := s.After(middle); ok && next <= now {
			t, low = next, next
		} else {
			high = middle
		}
	}
	return t
}

// Next returns the first time after now, in nanoseconds, that follows base.
func (s *Schedule) Next(base, now int64) (int64, bool) {
	seconds := floorDiv(now, int64(time.Second))
	if s.every > 0 && seconds >= base {
		return base + ((seconds-base)/s.every+1)*s.every, true
	}
	return s.After(max(base, seconds))
}
