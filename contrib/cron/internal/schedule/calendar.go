package schedule

import "math/bits"

const (
	secondsAMinute = 60
	secondsAnHour  = 60 * secondsAMinute
	secondsADay    = 24 * secondsAnHour
)

// isEmpty reports whether a field has no number, as "," has none.
func (f *fields) isEmpty() bool {
	for _, field := range []uint64{f.minutes, f.hours, f.days, f.months, f.weekdays} {
		if field&^starBit == 0 {
			return true
		}
	}
	return false
}

// next returns the first time from wall on, and before end. All are what the clock on
// the wall shows, in seconds as if it showed UTC.
func (f *fields) next(wall, end int64) (int64, bool) {
	wall = floorDiv(wall+secondsAMinute-1, secondsAMinute) * secondsAMinute
	day := floorDiv(wall, secondsADay)
	minute := (wall - day*secondsADay) / secondsAMinute
	for day*secondsADay < end {
		year, month, date := civil(day)
		first := daysUntil(year, month, 1)
		following := daysUntil(year, month+1, 1)
		if f.months>>month&1 == 1 {
			for at := f.nextDay(first, first+date-1, following); at < following; at = f.nextDay(first, at+1, following) {
				if at > day {
					minute = 0
				}
				if of, ok := f.nextOfDay(minute); ok {
					next := at*secondsADay + of*secondsAMinute
					return next, next < end
				}
			}
		}
		day, minute = following, 0
	}
	return 0, false
}

// nextDay returns the first day from day on that matches, or following. The month goes
// from first to that.
func (f *fields) nextDay(first, day, following int64) int64 {
	for of := weekday(day); day < following; day, of = day+1, (of+1)%7 {
		if f.hasDay(day-first+1, of) {
			break
		}
	}
	return day
}

// hasDay is true of a day that matches either field, if both are restricted, and
// otherwise of one that matches both.
func (f *fields) hasDay(date, weekday int64) bool {
	byDate, byWeekday := f.days>>date&1 == 1, f.weekdays>>weekday&1 == 1
	if (f.days|f.weekdays)&starBit != 0 {
		return byDate && byWeekday
	}
	return byDate || byWeekday
}

// nextOfDay returns the first minute of a day from minute on.
func (f *fields) nextOfDay(minute int64) (int64, bool) {
	hour, rest := minute/60, minute%60
	if f.hours>>hour&1 == 1 {
		if left := f.minutes &^ starBit >> rest; left != 0 {
			return minute + int64(bits.TrailingZeros64(left)), true
		}
	}
	left := f.hours &^ starBit >> (hour + 1)
	if left == 0 {
		return 0, false
	}
	hour += 1 + int64(bits.TrailingZeros64(left))
	return hour*60 + int64(bits.TrailingZeros64(f.minutes)), true
}

// weekday is 0 for a Sunday. Day counts from 1970.
func weekday(day int64) int64 { return ((day+4)%7 + 7) % 7 }

// civil returns the date of a day counted from 1970. It counts in years that begin
// in March, so that a leap day is the last of its year.
func civil(day int64) (year, month, date int64) {
	day += 719468 // from 1 March of the year 0
	era := floorDiv(day, 146097)
	ofEra := day - era*146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*ofYear + 2) / 153
	date = ofYear - (153*shifted+2)/5 + 1
	month = shifted + 3
	if month > 12 {
		month -= 12
	}
	year = yearOfEra + era*400
	if month <= 2 {
		year++
	}
	return year, month, date
}

// daysUntil is the reverse of civil. The month may be 13.
func daysUntil(year, month, date int64) int64 {
	if month > 12 {
		year, month = year+1, month-12
	}
	if month <= 2 {
		year--
	}
	era := floorDiv(year, 400)
	yearOfEra := year - era*400
	ofYear := (153*((month+9)%12)+2)/5 + date - 1
	return era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + ofYear - 719468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
