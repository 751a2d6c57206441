package main

import (
	"fmt"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// human gives a duration as kubectl does: the longer it is, the coarser.
func human(d time.Duration) string {
	switch {
	case d <= -2*time.Second:
		return "<invalid>"
	case d < time.Second: // clocks may differ a little
		return "0s"
	case d < 2*time.Minute:
		return whole(d, time.Second, "s")
	case d < 10*time.Minute:
		return whole(d, time.Minute, "m") + rest(d, time.Minute, time.Second, "s")
	case d < 3*time.Hour:
		return whole(d, time.Minute, "m")
	case d < 8*time.Hour:
		return whole(d, time.Hour, "h") + rest(d, time.Hour, time.Minute, "m")
	case d < 2*day:
		return whole(d, time.Hour, "h")
	case d < 8*day:
		return whole(d, day, "d") + rest(d, day, time.Hour, "h")
	case d < 2*year:
		return whole(d, day, "d")
	case d < 8*year:
		return whole(d, year, "y") + rest(d, year, day, "d")
	}
	return whole(d, year, "y")
}

// whole is how many whole units are in d.
func whole(d, unit time.Duration, suffix string) string {
	return fmt.Sprintf("%d%s", d/unit, suffix)
}

// rest is how many whole parts are in what whole units leave of d; nothing if
// there is none.
func rest(d, unit, part time.Duration, suffix string) string {
	if d%unit < part {
		return ""
	}
	return whole(d%unit, part, suffix)
}

// since is the human duration from t to now; kubectl's word if t is not known.
func since(t, now time.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return human(now.Sub(t))
}
