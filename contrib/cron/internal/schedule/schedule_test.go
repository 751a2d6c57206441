package schedule

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
)

func mustParse(t testing.TB, text, zone string, once bool) *Schedule {
	t.Helper()
	location, err := Location(zone)
	require.NoError(t, err)
	s, err := Parse(text, location, once)
	require.NoError(t, err)
	return s
}

// walk returns the first times after from, in the schedule's zone.
func walk(s *Schedule, from string, n int) (times []string) {
	start, err := time.Parse(time.RFC3339, from)
	if err != nil {
		panic(err)
	}
	at := start.Unix()
	for range n {
		next, ok := s.After(at)
		if !ok {
			break
		}
		times = append(times, time.Unix(next, 0).In(s.zone).Format(time.RFC3339))
		at = next
	}
	return times
}

// TestClockChanges shows the decisions: C44 and C45 as recorded, C47 to C49 mended,
// and each fixed time once, if that is asked for.
func TestClockChanges(t *testing.T) {
	tests := map[string]struct {
		schedule, zone, from string
		once                 bool
		want                 []string
	}{
		"a local time that does not exist is left out": {
			schedule: "30 2 * * *", zone: "Europe/Berlin", from: "2026-03-28T12:00:00Z",
			want: []string{"2026-03-30T02:30:00+02:00"},
		},
		"one that comes twice starts twice": {
			schedule: "30 2 * * *", zone: "Europe/Berlin", from: "2026-10-24T12:00:00Z",
			want: []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
		},
		"once: the first instant after the gap": {
			schedule: "30 2 * * *", zone: "Europe/Berlin", from: "2026-03-28T12:00:00Z", once: true,
			want: []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		"once: the first of two": {
			schedule: "30 2 * * *", zone: "Europe/Berlin", from: "2026-10-24T12:00:00Z", once: true,
			want: []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		"once: what falls into a gap together starts together": {
			schedule: "0,30 2,3 * * *", zone: "Europe/Berlin", from: "2026-03-28T12:00:00Z", once: true,
			want: []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"}},
		"once: a day without midnight": {
			schedule: "@daily", zone: "America/Sao_Paulo", from: "2018-11-03T12:00:00Z", once: true,
			want: []string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"}},
		"once: a pattern goes on with the clock": {
			schedule: "*/30 2 * * *", zone: "Europe/Berlin", from: "2026-10-24T12:00:00Z", once: true,
			want: []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00"}},
		"once: on a day that was left out": {
			schedule: "0 12 * * *", zone: "Pacific/Apia", from: "2011-12-29T12:00:00Z", once: true,
			want: []string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"}},
		"a change of half an hour loses nothing": {
			schedule: "0 2 * * *", zone: "Australia/Lord_Howe", from: "2026-04-03T16:00:00Z",
			want: []string{"2026-04-05T02:00:00+10:30", "2026-04-06T02:00:00+10:30"},
		},
		"a minute that does not exist is not another one": {
			schedule: "45 2 * * *", zone: "Pacific/Chatham", from: "2026-09-26T00:00:00Z",
			want: []string{"2026-09-28T02:45:00+13:45"},
		},
		"a day that was left out has no times": {
			schedule: "0 12 30 12 *", zone: "Pacific/Apia", from: "2011-06-28T12:00:00Z",
			want: []string{"2012-12-30T12:00:00+14:00"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := mustParse(t, test.schedule, test.zone, test.once)
			require.Equal(t, test.want, walk(s, test.from, len(test.want)))
		})
	}
}

var schedules = []string{"* * * * *", "30 2 * * *", "*/7 1-3 * * *", "0 0 1 * 1", "15 */2 29 2 *",
	"0,45 0-4 * 3,4,9-11 0,6",
	"@hourly", "@weekly", "0 3 31 * *", "5 2 */2 * 1-5"}

var zoneNames = []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham",
	"America/Sao_Paulo",
	"Pacific/Apia", "Asia/Kathmandu", "UTC", "Africa/Casablanca", "America/Caracas"}

// TestAfter_AgreesWithTheParserAwayFromChanges compares with the parser's own
// search, wherever the clock does not change within two days.
func TestAfter_AgreesWithTheParserAwayFromChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 20_000 {
		text, zone := schedules[random.IntN(len(schedules))], zoneNames[random.IntN(len(zoneNames))]
		if zone == "Pacific/Apia" { // where the parser's search may never return
			continue
		}
		s := mustParse(t, text, zone, random.IntN(2) == 0)
		parsed, err := cron.ParseStandard("TZ=" + zone + " " + text)
		require.NoError(t, err)
		from := time.Date(1990, 1, 1, 0, 0, random.IntN(40*365*86400), 0, time.UTC)
		want := parsed.Next(from)
		got, ok := s.After(from.Unix())
		require.Equal(t, !want.IsZero(), ok, "%s in %s after %v", text, zone, from)
		if changesNear(s.zone, from.Unix()) || changesNear(s.zone, got) || want.Sub(from) > 60*24*time.Hour {
			continue
		}
		compared++
		require.Equal(t, want.Unix(), got, "%s in %s after %v", text, zone, from)
	}
	require.Greater(t, compared, 10_000)
}

// TestAfter_IsWhatTheClockOnTheWallShows looks at every minute around changes.
func TestAfter_IsWhatTheClockOnTheWallShows(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, zone := range zoneNames {
		s := mustParse(t, "* * * * *", zone, false)
		for at := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); at < 1.9e9; {
			end := s.stretches.of(at).end
			if end > 1.9e9 {
				break
			}
			from := time.Unix(end-int64(random.IntN(2*86400)), 0)
			for _, text := range schedules[:4] {
				s := mustParse(t, text, zone, false)
				if next, ok := s.After(from.Unix()); ok {
					require.Equal(t, slowly(s, from, time.Unix(next, 0)), next, "%s in %s after %v", text, zone, from)
				}
			}
			at = end
		}
	}
}

func TestAfter_GivesUp(t *testing.T) {
	for _, text := range []string{"0 0 30 2 *", "0 0 31 4,6,9,11 *", ", * * * *", "* , * * *", "* * * , *"} {
		require.Empty(t, walk(mustParse(t, text, "Europe/Berlin", true), "2026-01-01T00:00:00Z", 1), text)
	}
	require.Empty(t, walk(mustParse(t, "0 0 29 2 *", "UTC", false), "2097-01-01T00:00:00Z", 1))
	require.Equal(
		t, []string{"2104-02-29T00:00:00Z"}, walk(mustParse(t, "0 0 29 2 *", "UTC", false), "2099-01-01T00:00:00Z", 1),
	)
}

var dueTests = map[string]struct {
	schedule string
	after    time.Duration
	deadline time.Duration
	want     time.Duration // after base; 0 for none
	many     bool
}{
	"nothing is due": {schedule: "* * * * *", after: 39 * time.Second, deadline: NoDeadline, want: 0},
	"the first time": {
		schedule: "* * * * *", after: 40 * time.Second, deadline: NoDeadline, want: 40 * time.Second,
	},
	"only the last of several": {
		schedule: "* * * * *", after: 200 * time.Second, deadline: NoDeadline, want: 160 * time.Second,
	},
	"the hundredth": {
		schedule: "* * * * *", after: 5999 * time.Second, deadline: NoDeadline, want: 5980 * time.Second,
	},
	"one more is worth a warning": {
		schedule: "* * * * *", after: 6040 * time.Second, deadline: NoDeadline, want: 6040 * time.Second, many: true,
	},
	"exactly the deadline is too old": {schedule: "0 * * * *", after: 3640 * time.Second, deadline: time.Minute, want: 0},
	"one second less is not": {
		schedule: "0 * * * *", after: 3639 * time.Second, deadline: time.Minute, want: 3580 * time.Second,
	},
	"the deadline keeps the number low": {
		schedule: "* * * * *", after: 90 * time.Hour, deadline: 200 * time.Second, want: 90*time.Hour - 20*time.Second,
	},
	// C62: the real search starts after the last time, and finds none.
	"an irregular schedule, in the afternoon": {
		schedule: "30 10,11,12 * * 1-5", after: 5 * time.Hour, deadline: NoDeadline, want: 2*time.Hour + 1780*time.Second,
	},
	"weekdays, at night": {
		schedule: "* 9-17 * * 1-5", after: 20 * time.Hour, deadline: NoDeadline, want: 8*time.Hour - 80*time.Second,
		many: true,
	},
	// C65: the real one counts an interval from the deadline on.
	"an interval longer than the deadline": {
		schedule: "@every 50s", after: 105 * time.Second, deadline: 20 * time.Second, want: 100 * time.Second,
	},
	"that is too old": {
		schedule: "@every 50s", after: 120 * time.Second, deadline: 20 * time.Second, want: 0,
	},
	"an interval": {
		schedule: "@every 50s", after: 1030 * time.Second, deadline: NoDeadline, want: 1000 * time.Second,
	},
	// C70: the real one overflows.
	"a deadline as long as can be": {
		schedule: "* * * * *", after: 40 * time.Second, deadline: NoDeadline - 1, want: 40 * time.Second,
	},
}

func TestDue(t *testing.T) {
	base := time.Date(2026, 1, 5, 10, 0, 20, 0, time.UTC) // a Monday
	for name, test := range dueTests {
		t.Run(name, func(t *testing.T) {
			s := mustParse(t, test.schedule, "UTC", false)
			got := s.Due(base.Unix(), base.Add(test.after).UnixNano(), test.deadline)
			require.False(t, got.Never)
			require.Equal(t, test.want != 0, got.Is)
			if got.Is {
				require.Equal(t, test.want, time.Unix(got.Time, 0).Sub(base))
				require.Equal(t, test.many, got.Many)
			}
		})
	}
}

// TestDue_IsTheMostRecentTime steps through all times.
func TestDue_IsTheMostRecentTime(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		s := mustParse(t, schedules[random.IntN(len(schedules))], zoneNames[random.IntN(len(zoneNames))], random.IntN(2) == 0)
		base := int64(random.IntN(60 * 365 * 86400))
		now := base + int64(random.IntN(1<<random.IntN(23)))
		want := int64(0)
		for at, ok := s.After(base); ok && at <= now; at, ok = s.After(at) {
			want = at
		}
		require.Equal(t, want, s.Due(base, now*1e9, NoDeadline).Time, "%s in %v from %d to %d", s.text, s.zone, base, now)
	}
}

func TestNext(t *testing.T) {
	tests := map[string]struct {
		schedule  string
		base, now int64
		want      int64
	}{
		"the next minute":                       {schedule: "* * * * *", base: 0, now: 90, want: 120},
		"a base in the future is waited for":    {schedule: "* * * * *", base: 600, now: 90, want: 660},
		"an interval counts from the base":      {schedule: "@every 50s", base: 7, now: 110, want: 157},
		"also from one in the future":           {schedule: "@every 50s", base: 600, now: 90, want: 650},
		"an interval that is due now has begun": {schedule: "@every 50s", base: 0, now: 50, want: 100},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := mustParse(t, test.schedule, "UTC", false).Next(test.base, test.now*1e9)
			require.True(t, ok)
			require.Equal(t, test.want, got)
		})
	}
}
