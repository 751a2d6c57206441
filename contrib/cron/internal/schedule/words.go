package schedule

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Words says in English when the schedule comes, such as "every weekday at 02:30".
// Where that would take too many, it is the schedule as it is written.
func (s *Schedule) Words() string {
	if s.every > 0 {
		return "every " + Span(time.Duration(s.every)*time.Second)
	}
	if HasZone(s.text) {
		return s.text
	}
	clock, ok := s.fields.clockWords()
	if !ok {
		return s.text
	}
	return clock(s.fields.dayWords())
}

// Span says how many hours, minutes and seconds a duration has, such as 1h30m.
func Span(d time.Duration) string {
	text := d.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

const (
	allMinutes  = 1<<60 - 1
	allHours    = 1<<24 - 1
	allDays     = 1<<32 - 2
	allMonths   = 1<<13 - 2
	allWeekdays = 1<<7 - 1
	workdays    = 1<<6 - 2
)

// clockWords says when on a day; what it returns puts the days in.
func (f *fields) clockWords() (func(days string) string, bool) {
	minutes, hours := f.minutes&^starBit, f.hours&^starBit
	onDays := func(clock string) func(string) string {
		return func(days string) string {
			return strings.TrimSuffix(clock+" "+strings.TrimPrefix(days, "every day"), " ")
		}
	}
	switch {
	case bits.OnesCount64(minutes)*bits.OnesCount64(hours) <= 4:
		var times []string
		for _, h := range numbers(hours) {
			for _, m := range numbers(minutes) {
				times = append(times, fmt.Sprintf("%02d:%02d", h, m))
			}
		}
		return func(days string) string { return days + " at " + list(times) }, true
	case hours != allHours:
		return nil, false
	case minutes == allMinutes:
		return onDays("every minute"), true
	case bits.OnesCount64(minutes) == 1:
		return onDays(fmt.Sprintf("every hour at :%02d", bits.TrailingZeros64(minutes))), true
	}
	if step, ok := evenly(minutes, 60); ok {
		return onDays(fmt.Sprintf("every %d minutes", step)), true
	}
	return nil, false
}

// dayWords says on which days.
func (f *fields) dayWords() string {
	days, weekdays, months := f.days&^starBit, f.weekdays&^starBit, f.months&^starBit
	byDate, byWeekday := dateWords(days), weekdayWords(weekdays)
	words := "every day"
	switch either := (f.days|f.weekdays)&starBit == 0; {
	case either:
		words = byDate + " or " + byWeekday
	case days != allDays && weekdays != allWeekdays:
		words = byDate + " if it is " + byWeekday
	case days != allDays:
		words = byDate
	case weekdays != allWeekdays:
		words = byWeekday
	}
	if months != allMonths {
		var names []string
		for _, m := range numbers(months) {
			names = append(names, time.Month(m).String())
		}
		words += " in " + list(names)
	}
	return words
}

func dateWords(days uint64) string {
	var dates []string
	for _, d := range numbers(days) {
		dates = append(dates, fmt.Sprint(d))
	}
	return "on day " + list(dates) + " of the month"
}

func weekdayWords(weekdays uint64) string {
	if weekdays == workdays {
		return "every weekday"
	}
	var names []string
	for _, d := range numbers(weekdays) {
		names = append(names, time.Weekday(d).String())
	}
	return "every " + list(names)
}

// evenly reports whether the numbers are all multiples of one below n.
func evenly(field uint64, n int) (step int, ok bool) {
	all := numbers(field)
	if len(all) < 2 || all[0] != 0 || n%all[1] != 0 || len(all) != n/all[1] {
		return 0, false
	}
	for i, number := range all {
		if number != i*all[1] {
			return 0, false
		}
	}
	return all[1], true
}

// numbers are the bits that are set.
func numbers(field uint64) (all []int) {
	for field &^= starBit; field != 0; field &= field - 1 {
		all = append(all, bits.TrailingZeros64(field))
	}
	return all
}

func list(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
