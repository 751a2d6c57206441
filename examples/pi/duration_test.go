package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHuman(t *testing.T) {
	const (
		second = time.Second
		minute = time.Minute
		hour   = time.Hour
	)
	for d, want := range map[time.Duration]string{
		-2 * second:                    "<invalid>",
		-1999 * time.Millisecond:       "0s",
		0:                              "0s",
		999 * time.Millisecond:         "0s",
		second:                         "1s",
		119 * second:                   "119s",
		2 * minute:                     "2m",
		2*minute + 1*second:            "2m1s",
		9*minute + 59*second:           "9m59s",
		10*minute + 59*second:          "10m",
		3*hour - second:                "179m",
		3 * hour:                       "3h",
		3*hour + 59*second:             "3h",
		7*hour + 59*minute:             "7h59m",
		8*hour + 59*minute:             "8h",
		47*hour + 59*minute:            "47h",
		48 * hour:                      "2d",
		7*day + 23*hour + 59*minute:    "7d23h",
		8*day + 23*hour:                "8d",
		2*year - second:                "729d",
		2 * year:                       "2y",
		2*year + 364*day + 23*hour:     "2y364d",
		8*year - second:                "7y364d",
		8*year + 300*day:               "8y",
		100*year + 20*day + 30*minute:  "100y",
		7*hour + 59*second + 0*minute:  "7h",
		5*day + 59*minute + 59*second:  "5d",
		3*year + 23*hour + 59*minute:   "3y",
		4*minute + 999*time.Nanosecond: "4m",
	} {
		require.Equal(t, want, human(d), "human(%v)", d)
	}
}

func TestSinceAnUnknownTime(t *testing.T) {
	require.Equal(t, "<unknown>", since(time.Time{}, time.Now()))
}
