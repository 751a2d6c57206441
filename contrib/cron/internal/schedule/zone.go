package schedule

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// zones has the zones that were loaded: each takes some kilobytes, and is read from a
// file.
var zones sync.Map

// Location is time.LoadLocation, but returns the same for the same name.
func Location(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	loaded, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	zone, _ := zones.LoadOrStore(name, loaded)
	return zone.(*time.Location), nil
}

// A stretch is a time during which a zone's offset from UTC is the same.
type stretch struct {
	begin, end int64 // end is not in it
	offset     int64
}

// stretches are those of a zone. All schedules of a zone share the latest two that
// were asked for: to find one takes longer than most searches within it.
type stretches struct {
	zone   *time.Location
	recent [2]atomic.Pointer[stretch]
}

// known has the stretches of each zone.
var known sync.Map

func stretchesOf(zone *time.Location) *stretches {
	if s, ok := known.Load(zone); ok {
		return s.(*stretches)
	}
	s, _ := known.LoadOrStore(zone, &stretches{zone: zone})
	return s.(*stretches)
}

// of returns the stretch that t is in.
func (s *stretches) of(t int64) stretch {
	for i := range s.recent {
		if at := s.recent[i].Load(); at != nil && at.begin <= t && t < at.end {
			return *at
		}
	}
	at := s.find(t)
	s.recent[1].Store(s.recent[0].Swap(&at))
	return at
}

func (s *stretches) find(t int64) stretch {
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
