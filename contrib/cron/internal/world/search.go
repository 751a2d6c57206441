package world

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/runtocompletion/batch/contrib/cron/internal/corpus"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
)

// A defective schedule finds times as Kubernetes v1.37.2 does.
type defective struct {
	cron.Schedule
	zone    *time.Location
	seconds *int64 // the deadline
}

func realSearch(spec corpus.Spec, zone *time.Location) defective {
	parsed, err := cron.ParseStandard(spec.Schedule)
	if err != nil {
		panic(err)
	}
	if s, ok := parsed.(*cron.SpecSchedule); ok && !schedule.HasZone(spec.Schedule) {
		s.Location = zone
	}
	return defective{parsed, zone, spec.Deadline}
}

func (d defective) after(base, now int64, withDeadline bool) (first, last time.Time, many, never bool) {
	from, at := time.Unix(base, 0).In(d.zone), time.Unix(0, now).In(d.zone)
	if withDeadline && d.seconds != nil {
		if limit := at.Add(-time.Second * time.Duration(*d.seconds)); limit.After(from) {
			from = limit
		}
	}
	first = d.Schedule.Next(from)
	second := d.Schedule.Next(first)
	switch {
	case at.Before(first):
		return first, time.Time{}, false, false
	case at.Before(second):
		return first, first, false, false
	}
	between := int64(second.Sub(first).Round(time.Second).Seconds())
	if between < 1 {
		return first, time.Time{}, false, true
	}
	missed := int64(at.Sub(first).Seconds())/between + 1
	for t := d.Schedule.Next(first.Add(time.Duration((missed-2)*between) * time.Second)); !t.After(at); t = d.Schedule.Next(t) {
		last = t
	}
	return first, last, missed > 100, false
}

func (d defective) Due(base, now int64, _ time.Duration) schedule.Due {
	_, last, many, never := d.after(base, now, true)
	if never {
		return schedule.Due{Never: true}
	}
	if last.IsZero() {
		return schedule.Due{}
	}
	return schedule.Due{Time: last.Unix(), Is: true, Many: many}
}

func (d defective) Next(base, now int64) (int64, bool) {
	first, last, _, never := d.after(base, now, false)
	switch {
	case never:
		return 0, false
	case last.IsZero() && first.UnixNano() > now:
		return first.Unix(), true
	case last.IsZero():
		last = time.Unix(0, now).In(d.zone)
	}
	return d.Schedule.Next(last).Unix(), true
}
