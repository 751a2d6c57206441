package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"30 2 * * 1-5":      "every weekday at 02:30",
		"@daily":            "every day at 00:00",
		"@hourly":           "every hour at :00",
		"* * * * *":         "every minute",
		"*/15 * * * *":      "every 15 minutes",
		"*/15 * * * 1-5":    "every 15 minutes every weekday",
		"0 8,20 * * sat":    "every Saturday at 08:00 and 20:00",
		"@monthly":          "on day 1 of the month at 00:00",
		"0 3 1,15 1 *":      "on day 1 and 15 of the month in January at 03:00",
		"0 3 13 * 5":        "on day 13 of the month or every Friday at 03:00",
		"@every 90m":        "every 1h30m",
		"*/7 1-3 * * *":     "*/7 1-3 * * *",
		"TZ=UTC 30 2 * * *": "TZ=UTC 30 2 * * *",
	} {
		require.Equal(t, want, mustParse(t, text, "UTC", false).Words(), text)
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "400ms": "0s", "59.6s": "1m", "10m": "10m", "3h": "3h", "10h": "10h", "20h10m": "20h10m",
		"4m12s": "4m12s", "1h0m5s": "1h0m5s", "-2h": "-2h",
	} {
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, Span(d), text)
	}
}
