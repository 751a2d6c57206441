package schedule

import "math"

// yearsAhead is how far the search for a next time goes, as Kubernetes' does.
const yearsAhead = 5

// After returns the first time after t. It reports false if there is none before
// the year that is more than five above that of t.
func (s *Schedule) After(t int64) (next int64, ok bool) {
	if s.every > 0 {
		return t + s.every, true
	}
	if s.fields.isEmpty() {
		return 0, false
	}
	at := s.stretches.of(t)
	year, _, _ := civil(floorDiv(t+1+at.offset, secondsADay))
	last := daysUntil(year+yearsAhead+1, 1, 1) * secondsADay // on the wall
	from := t + 1
	for {
		if next, ok := s.within(at, from, last); ok {
			return next, true
		}
		if at.end == math.MaxInt64 || at.end+at.offset >= last {
			return 0, false
		}
		from, at = at.end, s.stretches.of(at.end)
	}
}

// within returns the first time from on in one stretch, and before last on the wall.
func (s *Schedule) within(at stretch, from, last int64) (int64, bool) {
	wall := from + at.offset
	if s.once && at.begin != math.MinInt64 {
		begin := at.begin + at.offset           // on the wall, after the change
		before := at.begin + s.offsetBefore(at) // and as it would have been
		if from == at.begin && before < begin {
			if _, ok := s.fields.next(before, begin); ok {
				return at.begin, true
			}
		}
		wall = max(wall, before)
	}
	if at.end != math.MaxInt64 {
		last = min(last, at.end+at.offset)
	}
	next, ok := s.fields.next(wall, last)
	return next - at.offset, ok
}

// offsetBefore is the offset just before a stretch.
func (s *Schedule) offsetBefore(at stretch) int64 { return s.stretches.of(at.begin - 1).offset }
