package schedule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	_ "time/tzdata" // zones are those of the recordings

	"github.com/stretchr/testify/require"
)

// A recorded case is what the real parser says: up to eight times after from, an
// error, or that it never returns.
type recorded struct {
	Schedule string      `json:"schedule"`
	TimeZone string      `json:"timeZone"`
	From     time.Time   `json:"from"`
	Error    string      `json:"error"`
	Next     []time.Time `json:"next"`
	Loops    bool        `json:"loops"`

	Scenario json.RawMessage `json:"scenario"` // of a recorded CronJob
}

// TestCorpus compares with the recordings. Where they differ because of a change of
// half an hour, a minute that does not exist or a day left out (C47 to C49), all but
// what the search of the real parser goes wrong on must be the same: see
// requireDecision.
//
//	BATCH_CORPUS=/tmp/more.json go test -v -run TestCorpus ./internal/schedule
func TestCorpus(t *testing.T) {
	file := cmp.Or(os.Getenv("BATCH_CORPUS"), "../../testdata/schedules.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var cases []recorded
	require.NoError(t, json.Unmarshal(text, &cases))
	if cases[0].Scenario != nil {
		return // a file for the engine and the API
	}
	agreed, excused := 0, 0
	for _, c := range cases {
		t.Run(c.Schedule+" "+c.TimeZone, func(t *testing.T) {
			if agrees(t, c) {
				agreed++
			} else {
				excused++
			}
		})
	}
	text = fmt.Appendf(nil, "%s: schedule agree %d of %d", filepath.Base(file), agreed, len(cases))
	if excused > 0 {
		text = fmt.Appendf(text, ", excused %d: C47-C49 %[1]d", excused)
	}
	fmt.Println(string(text))
}

// agrees reports whether a case is answered as recorded. Otherwise it must be by a
// decision.
func agrees(t *testing.T, c recorded) bool {
	got, err := timesOf(c)
	if c.Error != "" {
		require.EqualError(t, err, c.Error)
		return true
	}
	require.NoError(t, err)
	if !c.Loops && equalTimes(got, c.Next) {
		return true
	}
	requireDecision(t, c, got)
	return false
}

func timesOf(c recorded) ([]time.Time, error) {
	if err := Check(c.Schedule); err != nil {
		return nil, err
	}
	zone := time.UTC
	if c.TimeZone != "" {
		var err error
		if zone, err = time.LoadLocation(c.TimeZone); err != nil {
			return nil, err
		}
	}
	s, err := Parse(c.Schedule, zone, false)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for at, ok := s.After(c.From.Unix()); ok && len(times) < 8; at, ok = s.After(at) {
		times = append(times, time.Unix(at, 0))
	}
	return times, nil
}

func equalTimes(a, b []time.Time) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// requireDecision accepts a difference that the decisions on clock changes make:
// the times are those at which the clock on the wall shows the schedule, as found
// by looking at every minute, and the real search goes wrong near a change of the
// clock, which is the only place where it may.
func requireDecision(t *testing.T, c recorded, got []time.Time) {
	t.Helper()
	zone, err := time.LoadLocation(c.TimeZone)
	require.NoError(t, err)
	s, err := Parse(c.Schedule, zone, false)
	require.NoError(t, err)
	at := c.From
	for _, next := range got {
		require.Equal(t, slowly(s, at, next), next.Unix(), "after %v", at)
		at = next
	}
	if c.Loops {
		return
	}
	for i := range max(len(got), len(c.Next)) {
		if i >= len(got) || i >= len(c.Next) || !got[i].Equal(c.Next[i]) {
			first := min(timeAt(got, i), timeAt(c.Next, i))
			require.True(t, changesNear(zone, first), "%v differs away from a change of the clock", time.Unix(first, 0))
			return
		}
	}
}

func timeAt(times []time.Time, i int) int64 {
	if i < len(times) {
		return times[i].Unix()
	}
	return 1 << 62
}

func changesNear(zone *time.Location, at int64) bool {
	_, before := time.Unix(at-86400, 0).In(zone).Zone()
	_, after := time.Unix(at+86400, 0).In(zone).Zone()
	return before != after
}

// slowly finds the first time after from by looking at every minute.
func slowly(s *Schedule, from, limit time.Time) int64 {
	f := &s.fields
	for at := from.Truncate(time.Minute).Add(time.Minute); !at.After(limit); at = at.Add(time.Minute) {
		l := at.In(s.zone)
		if f.minutes>>l.Minute()&1 == 1 && f.hours>>l.Hour()&1 == 1 && f.months>>int(l.Month())&1 == 1 &&
			f.hasDay(int64(l.Day()), int64(l.Weekday())) {
			return at.Unix()
		}
	}
	return 0
}
