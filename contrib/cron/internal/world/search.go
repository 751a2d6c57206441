package world

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
)

// A defective schedule finds times as Kubernetes v1.37.2 does, as far as its defects
// say.
type defective struct {
	cron.Schedule // the parser's, with its own search
	defects       Defects
	mended        *schedule.Schedule
	zone          *time.Location
	seconds       *int64 // the starting deadline
}

func defectiveSearch(spec corpus.Spec, zone *time.Location, mended *schedule.Schedule, d Defects) defective {
	parsed, err := cron.ParseStandard(spec.Schedule)
	if err != nil {
		panic(err)
	}
	if s, ok := parsed.(*cron.SpecSchedule); ok && !schedule.HasZone(spec.Schedule) {
		s.Location = zone
	}
	return defective{parsed, d, mended, zone, spec.Deadline}
}

// next returns the first time after t; zero if there is none.
func (d defective) next(t time.Time) time.Time {
	if d.defects&HourSteps != 0 {
		return d.Schedule.Next(t)
	}
	if at, ok := d.mended.After(t.Unix()); ok {
		return time.Unix(at, 0).In(d.zone)
	}
	return time.Time{}
}

// oldest is the time after which one is young enough to be started.
func (d defective) oldest(now time.Time) time.Time {
	const century = 100 * 365 * 24 * 3600 // seconds
	if d.seconds == nil || d.defects&Overflow == 0 && *d.seconds > century {
		return time.Time{}
	}
	return now.Add(-time.Second * time.Duration(*d.seconds))
}

// isLongInterval is true of an interval that is longer than the starting deadline.
func (d defective) isLongInterval() bool {
	every, ok := d.Schedule.(cron.ConstantDelaySchedule)
	return ok && d.seconds != nil && every.Delay > time.Second*time.Duration(*d.seconds)
}

// A span is what a search finds between two instants.
type span struct {
	first, last time.Time // last is zero if nothing is due
	many, never bool
}

func (d defective) span(from, now time.Time) span {
	first := d.next(from)
	if first.IsZero() {
		return span{never: true}
	}
	second := d.next(first)
	switch {
	case now.Before(first):
		return span{first: first}
	case now.Before(second):
		return span{first: first, last: first}
	}
	between := int64(second.Sub(first).Round(time.Second).Seconds())
	if between < 1 {
		return span{first: first, never: true}
	}
	missed := int64(now.Sub(first).Seconds())/between + 1
	s := span{first: first, many: missed > 100}
	if d.defects&Estimate == 0 {
		s.last = d.latest(first, now)
		return s
	}
	for t := d.next(first.Add(time.Duration((missed-2)*between) * time.Second)); !t.After(now); t = d.next(t) {
		s.last = t
	}
	return s
}

// latest returns the last time that is not after now; t is one.
func (d defective) latest(t, now time.Time) time.Time {
	for from, to := t, now; to.Sub(from) > time.Second/2; {
		middle := from.Add(to.Sub(from) / 2)
		if next := d.next(middle); next.IsZero() || next.After(now) {
			to = middle
		} else {
			t, from = next, next
		}
	}
	return t
}

// Due is the time to start.
func (d defective) Due(base, now int64, _ time.Duration) schedule.Due {
	at := time.Unix(0, now).In(d.zone)
	from, oldest := time.Unix(base, 0).In(d.zone), d.oldest(at)
	counts := d.defects&LateInterval != 0 || !d.isLongInterval()
	if counts && oldest.After(from) {
		from = oldest
	}
	s := d.span(from, at)
	switch {
	case s.never:
		return schedule.Due{Never: true}
	case s.last.IsZero() || !counts && !s.last.After(oldest):
		return schedule.Due{}
	}
	return schedule.Due{Time: s.last.Unix(), Is: true, Many: s.many}
}

// Next is when to look again.
func (d defective) Next(base, now int64) (int64, bool) {
	at := time.Unix(0, now).In(d.zone)
	s := d.span(time.Unix(base, 0).In(d.zone), at)
	switch {
	case s.never:
		return 0, false
	case s.last.IsZero() && s.first.After(at):
		return s.first.Unix(), true
	case s.last.IsZero():
		s.last = at
	}
	return d.next(s.last).Unix(), true
}
