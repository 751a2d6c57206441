package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
)

func parse(t *testing.T, text string) Schedule {
	s, err := schedule.Parse(text, time.UTC, false)
	require.NoError(t, err)
	return s
}

func at(clock string) Time {
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err)
	}
	return t.AddDate(2026, 0, 0).UnixNano()
}

// newDaily returns a CronJob that was created at ten o'clock.
func newDaily(t *testing.T) *CronJob {
	c := New(Spec{Name: "a", Schedule: parse(t, "0 9 * * *"), Deadline: schedule.NoDeadline, Successful: 3, Failed: 1},
		State{Created: at("10:00:00")}, nil)
	require.Empty(t, c.Step(Input{Kind: Look, At: at("10:00:00")}).Actions)
	return c
}

// create lets the job be created that the engine wants.
func create(t *testing.T, c *CronJob, s Step, now Time) Job {
	require.Len(t, s.Actions, 1)
	require.Equal(t, Create, s.Actions[0].Do)
	job := Job{
		Ref: Ref{s.Actions[0].Job.Name, "u-" + s.Actions[0].Job.Name}, Scheduled: s.Actions[0].Time, Created: now,
		Started: now,
	}
	s = c.Step(Input{Kind: Created, At: now, Job: job})
	require.Empty(t, s.Actions)
	require.True(t, s.Changed)
	return job
}

// TestChangeOfTheSchedule_IsLookedAtAtOnce: a time of the new schedule since the last
// start is a missed one (C53, C54).
func TestChangeOfTheSchedule_IsLookedAtAtOnce(t *testing.T) {
	c := newDaily(t)
	spec := *c.Spec
	spec.Schedule = parse(t, "30 10 * * *")
	s := c.Step(Input{Kind: Respecified, At: at("11:00:00"), Spec: &spec})
	create(t, c, s, at("11:00:00"))
	require.Equal(t, at("10:30:00"), c.LastSchedule*int64(time.Second))
}

// TestEnd_IsReportedThoughTheHistoryHasNoPlace (C90).
func TestEnd_IsReportedThoughTheHistoryHasNoPlace(t *testing.T) {
	c := newDaily(t)
	c.Spec.Schedule, c.Spec.Successful = parse(t, "* * * * *"), 0
	job := create(t, c, c.Step(Input{Kind: Look, At: at("10:01:00")}), at("10:01:00"))
	job.Phase, job.Finished = Complete, at("10:01:30")
	s := c.Step(Input{Kind: Changed, At: at("10:01:30"), Job: job})
	require.Equal(t, []Action{{Do: Delete, Job: job.Ref}}, s.Actions)
	var reasons []string
	for _, e := range c.Events {
		reasons = append(reasons, e.Reason())
	}
	require.Equal(t, []string{"SuccessfulCreate", "SawCompletedJob", "SuccessfulDelete"}, reasons)
	require.Equal(t, at("10:01:30"), c.LastSuccess)
}

// TestNew_AdoptsWhatWasCreatedBeforeACrash.
func TestNew_AdoptsWhatWasCreatedBeforeACrash(t *testing.T) {
	due := at("10:01:00") / int64(time.Second)
	job := Job{Ref: Ref{JobName("a", due), "u"}, Scheduled: due, Created: at("10:01:00")}
	c := New(Spec{Name: "a", Schedule: parse(t, "* * * * *"), Deadline: schedule.NoDeadline, Successful: 3, Failed: 1},
		State{Created: at("10:00:00")}, []Job{job})
	require.True(t, c.IsChanged())
	require.Equal(t, []Ref{job.Ref}, c.Active)
	require.Empty(t, c.Step(Input{Kind: Look, At: at("10:01:30")}).Actions)
}

// TestFailedDeletion_IsTriedAgain: a job that could not be replaced stays active, and
// none is started beside it.
func TestFailedDeletion_IsTriedAgain(t *testing.T) {
	c := newDaily(t)
	c.Spec.Schedule, c.Spec.Policy = parse(t, "* * * * *"), Replace
	job := create(t, c, c.Step(Input{Kind: Look, At: at("10:01:00")}), at("10:01:00"))
	s := c.Step(Input{Kind: Look, At: at("10:02:00")})
	require.Len(t, s.Actions, 2)
	require.Empty(t, c.Step(Input{Kind: NotDone, At: at("10:02:00"), Job: job, Text: "disk full"}).Actions)
	require.Equal(t, []Ref{job.Ref}, c.Active)
	require.Equal(t, at("10:02:00")+int64(5*time.Millisecond), c.Due)
	require.Len(t, c.Step(Input{Kind: Look, At: c.Due}).Actions, 2)
}
