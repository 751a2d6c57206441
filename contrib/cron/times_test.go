package cron

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestTimes wants the times of a declaration without a controller, as long as there are
// any, and what is wrong with it.
func TestTimes(t *testing.T) {
	after := time.Date(2026, 10, 24, 23, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		job  CronJob
		want []string
	}{
		"twice in the night": {
			job:  CronJob{Schedule: "30 2 * * *", TimeZone: "Europe/Berlin"},
			want: []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
		},
		"an interval": {
			job:  CronJob{Schedule: "@every 90m", TimeZone: "UTC"},
			want: []string{"2026-10-25T01:00:00Z", "2026-10-25T02:30:00Z", "2026-10-25T04:00:00Z"},
		},
		"later than the given time": {
			job:  CronJob{Schedule: "30 23 24 10 *", TimeZone: "UTC"},
			want: []string{"2027-10-24T23:30:00Z", "2028-10-24T23:30:00Z", "2029-10-24T23:30:00Z"},
		},
		"never": {job: CronJob{Schedule: "0 0 30 2 *", TimeZone: "UTC"}},
	} {
		t.Run(name, func(t *testing.T) {
			times, err := c.job.Times(after)
			require.NoError(t, err)
			var got []string
			for at := range times {
				if got = append(got, at.Format(time.RFC3339)); len(got) == 3 {
					break
				}
			}
			require.Equal(t, c.want, got)
		})
	}
	times, err := CronJob{Name: "c", Schedule: "61 * * * *", TimeZone: "Mars/Base"}.Times(after)
	faulty, ok := errors.AsType[*ValidationError](err)
	require.True(t, ok, "%v", err)
	require.Len(t, faulty.Fields, 2)
	for range times {
		require.Fail(t, "times of what is wrong")
	}
}

// TestScheduledTimeInTheLocalZone wants the day of the process's zone where no other is
// named, whatever zone the annotation is in.
func TestScheduledTimeInTheLocalZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	before := time.Local
	time.Local = berlin
	t.Cleanup(func() { time.Local = before })
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		job := f.cronJob("report", "@daily")
		job.TimeZone = ""
		var got time.Time
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
			got, _ = ScheduledTime(ctx)
			return nil
		})
		require.NoError(t, f.Create(t.Context(), job))
		next := f.get("report").Next[0]
		time.Sleep(24 * time.Hour)
		f.close()
		require.Equal(t, next, got)
		require.Equal(t, "2000-01-02T00:00:00+01:00", got.Format(time.RFC3339))
	})
}
