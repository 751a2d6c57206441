package cron

import (
	"fmt"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
)

// A Status is what is known of a CronJob at one moment. It is a copy.
type Status struct {
	// Name is the CronJob's name, and UID distinguishes it from others that had or will have
	// that name.
	Name string `json:"name"`
	UID  string `json:"uid"`
	// Generation is 1 for a new CronJob and rises with each change of its spec.
	Generation int64 `json:"generation"`
	// Revision orders everything observed through one controller.
	Revision  uint64    `json:"revision"`
	CreatedAt time.Time `json:"createdAt"`
	// Deleting is set while a deletion waits for jobs.
	Deleting bool `json:"deleting,omitempty"`

	// Schedule, TimeZone and Suspend repeat the spec.
	Schedule string `json:"schedule"`
	TimeZone string `json:"timeZone,omitempty"`
	Suspend  bool   `json:"suspend,omitempty"`

	// Active are the jobs that were started and have not ended, in order of start.
	Active []JobRef `json:"active,omitempty"`
	// LastScheduleTime is the time that was started last: not when that happened.
	LastScheduleTime time.Time `json:"lastScheduleTime,omitzero"`
	// LastSuccessfulTime is when a job last became Complete.
	LastSuccessfulTime time.Time `json:"lastSuccessfulTime,omitzero"`

	// Next are the next five times, or fewer if there are no more; none while the
	// CronJob is suspended, being deleted, or not declared.
	Next []time.Time `json:"next,omitempty"`
	// Due is the time after LastScheduleTime, or else CreatedAt, at which a job is due:
	// in the past if that job is late, such as under [Forbid] or before the CronJob is
	// declared. It is zero if there is none, or the CronJob is suspended or being
	// deleted.
	Due time.Time `json:"due,omitzero"`
	// Last is how the latest job ended; nil if none has.
	Last *Result `json:"last,omitempty"`
	// Problem says why nothing is started that should be; empty if nothing is wrong.
	Problem string `json:"problem,omitempty"`

	words string // the schedule, in words
}

// A JobRef names a job, or the CronJob that one belongs to.
type JobRef struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// A Result is how a job ended.
type Result struct {
	Job        string    `json:"job"`
	Condition  string    `json:"condition"` // Complete or Failed
	Reason     string    `json:"reason"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt"`
}

// An Event is something that the controller has to say about a CronJob.
type Event struct {
	Time    time.Time `json:"time"` // of the latest, if there were several
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int       `json:"count"` // how often in a row
}

func newEvent(e engine.Event) Event {
	kind := "Normal"
	if e.IsWarning() {
		kind = "Warning"
	}
	return Event{time.Unix(0, e.At), kind, e.Reason(), e.Message(), e.Count}
}

// upcoming is how many next times a status has.
const upcoming = 5

// status needs c.mu.
func (r *run) status(revision uint64) Status {
	s := Status{
		Name: r.spec.Name, UID: r.uid, Generation: r.generation, Revision: revision,
		CreatedAt: time.Unix(0, r.shown.Created), Deleting: r.shown.Deleting,
		Schedule: r.spec.Schedule, TimeZone: r.spec.TimeZone, Suspend: r.spec.Suspend,
		Problem: r.problem(), words: r.words(),
	}
	for _, j := range r.shown.Active {
		s.Active = append(s.Active, JobRef(j))
	}
	if t := r.shown.LastSchedule; t != 0 {
		s.LastScheduleTime = time.Unix(t, 0)
	}
	if t := r.shown.LastSuccess; t != 0 {
		s.LastSuccessfulTime = time.Unix(0, t)
	}
	if last := r.shown.Last; last.Job != "" {
		s.Last = &Result{
			last.Job, batch.ConditionFailed, last.Reason, time.Unix(0, last.Started), time.Unix(0, last.Finished),
		}
		if last.Successful {
			s.Last.Condition = batch.ConditionComplete
		}
	}
	s.Next, s.Due = r.nextTimes(), r.dueTime()
	return s
}

// isDeclared reports whether it has an executor, or needs none any more.
func (r *run) isDeclared() bool { return r.spec.Job.Executor != nil || r.gone }

// base is the time, in seconds, after which the next one is due.
func (r *run) base() int64 {
	if r.shown.LastSchedule != 0 {
		return r.shown.LastSchedule
	}
	return r.shown.Created / int64(time.Second)
}

func (r *run) dueTime() time.Time {
	spec := r.shown.Spec
	parsed, ok := spec.Schedule.(*schedule.Schedule)
	if !ok || spec.Suspend || r.shown.Deleting || spec.BadZone {
		return time.Time{}
	}
	at, ok := parsed.After(r.base())
	if !ok {
		return time.Time{}
	}
	zone, _ := r.spec.location()
	return time.Unix(at, 0).In(zone)
}

func (r *run) nextTimes() (times []time.Time) {
	spec := r.shown.Spec
	parsed, ok := spec.Schedule.(*schedule.Schedule)
	if !ok || !r.isDeclared() || spec.Suspend || r.shown.Deleting || spec.BadZone {
		return nil
	}
	zone, _ := r.spec.location()
	for at, ok := parsed.Next(r.base(), r.c.now()); ok && len(times) < upcoming; at, ok = parsed.After(at) {
		times = append(times, time.Unix(at, 0).In(zone))
	}
	return times
}

func (r *run) words() string {
	if parsed, ok := r.shown.Spec.Schedule.(*schedule.Schedule); ok {
		return strings.TrimSpace(parsed.Words() + " " + r.spec.TimeZone)
	}
	return r.spec.Schedule
}

// problem says why nothing is started. It needs c.mu.
func (r *run) problem() string {
	spec := r.shown.Spec
	switch {
	case !r.isDeclared():
		return "waits for Apply to declare its executor"
	case spec.BadZone:
		return "unknown time zone " + spec.Zone
	case spec.Schedule == nil:
		return "unparseable schedule: " + spec.Unparsable
	case r.shown.Blocked != "":
		return "the job " + r.shown.Blocked + " belongs to somebody else: nothing is started until something changes"
	case r.shown.Refused != "":
		return "job not created: " + r.shown.Refused
	case r.failures > 0:
		return "the store fails"
	case !spec.Suspend && !r.shown.Deleting && r.shown.Due == engine.Never && len(r.nextTimes()) == 0:
		return "the schedule never comes"
	}
	return ""
}

// Explain says in one line when the CronJob runs and how it last went, such as
// "every weekday at 02:30 Europe/Berlin; next in 3h; last: Complete 4m12s". The wording
// may change.
func (s Status) Explain() string {
	parts := []string{s.words}
	switch {
	case s.Deleting:
		parts = append(parts, "being deleted")
	case s.Problem != "":
		parts = append(parts, s.Problem)
	case s.Suspend:
		parts = append(parts, "suspended")
	case len(s.Next) > 0:
		parts = append(parts, "next in "+schedule.Span(time.Until(s.Next[0])))
	}
	if n := len(s.Active); n > 0 {
		parts = append(parts, fmt.Sprintf("%d active", n))
	}
	if s.Last != nil {
		took := schedule.Span(s.Last.FinishedAt.Sub(s.Last.StartedAt))
		parts = append(parts, fmt.Sprintf("last: %s %s", s.Last.Condition, took))
	}
	return strings.Join(parts, "; ")
}

// Summary is what a list shows of the CronJob: its name, what [Status.Explain] says, the
// next times, and the job that ended last, if one has.
func (s Status) Summary() (name, sentence string, next []time.Time, last string) {
	if s.Last != nil {
		last = s.Last.Job
	}
	return s.Name, s.Explain(), s.Next, last
}
