// Package schedule finds the times of cron schedules.
//
// A schedule is read as Kubernetes reads it, by the same parser, but its times are
// found in another way: within a stretch of constant offset from UTC the clock on
// the wall is plain arithmetic, and the stretches of a zone are walked one after
// the other. So a local time comes whenever the clock on the wall shows it: not at
// all where the clock leaves it out, and twice where the clock shows it twice.
// Changes of half an hour and days that a zone has left out are nothing special.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Schedule is a set of times, in whole seconds since 1970. It is not changed
// after Parse, and may be used by several goroutines at once.
type Schedule struct {
	fields    fields
	every     int64 // seconds between two times; 0 if fields say when
	zone      *time.Location
	stretches *stretches
	once      bool // each fixed time of a day comes exactly once
	text      string
}

// fields are the numbers of a schedule's five fields, one bit each.
type fields struct {
	minutes, hours, days, months, weekdays uint64
}

// starBit is set by the parser in a field that has a star.
const starBit = 1 << 63

// Parse reads a schedule. A zone within the text, TZ=, wins over the given one. If
// once is set, and the schedule has no star in its minutes and hours, each of its
// times of a day comes exactly once: where the clock leaves it out, at the first
// instant after that, and where it comes twice, the first time. The error is the
// parser's.
func Parse(text string, zone *time.Location, once bool) (*Schedule, error) {
	parsed, err := parse(text)
	if err != nil {
		return nil, err
	}
	s := &Schedule{zone: zone, text: text}
	switch p := parsed.(type) {
	case cron.ConstantDelaySchedule:
		s.every = int64(p.Delay / time.Second)
	case *cron.SpecSchedule:
		s.fields = fields{p.Minute, p.Hour, p.Dom, p.Month, p.Dow}
		s.once = once && !hasPattern(text, s.fields)
		if HasZone(text) {
			s.zone = p.Location
		}
	}
	s.stretches = stretchesOf(s.zone)
	return s, nil
}

// hasPattern reports whether the minutes or hours have a star, also one with a step.
func hasPattern(text string, f fields) bool {
	if HasZone(text) {
		_, text, _ = strings.Cut(text, " ")
	}
	parts := strings.Fields(text)
	if len(parts) < 2 { // such as @daily
		return (f.minutes|f.hours)&starBit != 0
	}
	return strings.ContainsAny(parts[0]+parts[1], "*?")
}

// HasZone reports whether a schedule begins with its time zone.
func HasZone(text string) bool {
	return strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=")
}

// parse calls the parser, which panics if nothing follows a zone.
func parse(text string) (parsed cron.Schedule, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("invalid schedule format: %v", v)
		}
	}()
	return cron.ParseStandard(text)
}

// Check returns the parser's error, if it has one.
func Check(text string) error {
	_, err := parse(text)
	return err
}
