package schedule

import (
	"math"
	"time"
)

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
	at := s.stretchOf(t)
	year, _, _ := civil(floorDiv(t+1+at.offset, secondsADay))
	last := daysUntil(year+yearsAhead+1, 1, 1) * secondsADay // on the wall
	from := t + 1
	for {
		if next, ok := s.within(at, from); ok {
			return next, next+at.offset < last
		}
		if at.end == math.MaxInt64 || at.end+at.offset >= last {
			return 0, false
		}
		from, at = at.end, s.stretchOf(at.end)
	}
}

// within returns the first time from on in one stretch.
func (s *Schedule) within(at stretch, from int64) (int64, bool) {
	wall := from + at.offset
	if s.once && at.begin != math.MinInt64 {
		begin := at.begin + at.offset           // on the wall, after the change
		before := at.begin + s.offsetBefore(at) // and as it would have been
		if from == at.begin && before < begin {
			if left, ok := s.fields.next(before); ok && left < begin {
				return at.begin, true
			}
		}
		wall = max(wall, before)
	}
	next, ok := s.fields.next(wall)
	if !ok || next-at.offset >= at.end {
		return 0, false
	}
	return next - at.offset, true
}

// A stretch is a time during which a zone's offset from UTC is the same.
type stretch struct {
	begin, end int64 // end is not in it
	offset     int64
}

func (s *Schedule) stretchOf(t int64) stretch {
	local := time.Unix(t, 0).In(s.zone)
	_, offset := local.Zone()
	at := stretch{math.MinInt64, math.MaxInt64, int64(offset)}
	begin, end := local.ZoneBounds()
	if !begin.IsZero() {
		at.begin = begin.Unix()
	}
	if !end.IsZero() {
		at.end = end.Unix()
	}
	return at
}

// offsetBefore is the offset just before a stretch.
func (s *Schedule) offsetBefore(at stretch) int64 {
	_, offset := time.Unix(at.begin-1, 0).In(s.zone).Zone()
	return int64(offset)
}
