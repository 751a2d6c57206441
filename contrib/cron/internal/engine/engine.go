// Package engine decides what a CronJob does: a state machine without a clock, a
// goroutine or I/O. Events go in, each with its time, and actions come out. The
// caller carries them out in order and reports what came of them.
//
// A look is what Kubernetes' controller calls a sync: it goes through the jobs
// there are, keeps the history short, and starts what is due. Each event ends with
// one.
package engine

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
)

// A Time is in nanoseconds since 1970, by the clock on the wall.
type Time = int64

// Never is later than any other time.
const Never Time = math.MaxInt64

// A Policy says what becomes of a time that is due while a job is active.
type Policy uint8

const (
	Allow Policy = iota
	Forbid
	Replace
)

// A Schedule knows the times of a CronJob: see [schedule.Schedule].
type Schedule interface {
	Due(base, now int64, deadline time.Duration) schedule.Due
	Next(base, now int64) (int64, bool)
}

// A Spec is a CronJob's spec, as far as it matters here.
type Spec struct {
	Name       string
	Schedule   Schedule // nil if Unparsable says why
	Unparsable string   // the parser's text
	Zone       string   // its name, if BadZone is set
	BadZone    bool
	Text       string // of the schedule
	HasZone    bool   // the schedule begins with its zone
	Deadline   time.Duration
	Policy     Policy
	Suspend    bool
	Successful int // jobs to keep
	Failed     int
}

// A Ref names a job.
type Ref struct{ Name, UID string }

// A State is what must survive of a CronJob.
type State struct {
	Created      Time        `json:"-"`          // stored with the spec
	LastSchedule int64       `json:",omitempty"` // in seconds; 0 if nothing was started
	LastSuccess  Time        `json:",omitempty"` // 0 if nothing has succeeded
	Active       []Ref       `json:",omitempty"` // in the order of starting
	Deleting     bool        `json:",omitempty"` // it goes once no job holds it up
	How          Propagation `json:",omitempty"`
	Last         Result      `json:",omitzero"`
}

// A Result is how the latest job ended.
type Result struct {
	Job        string
	Started    Time
	Finished   Time
	Successful bool
	Reason     string
}

// A Job is an owned job.
type Job struct {
	Ref
	Manual     bool  // made by hand: it does not hold up the CronJob's deletion
	Scheduled  int64 // in seconds; 0 if it was made by hand
	Created    Time
	Phase      Phase
	Started    Time // 0 if it has not
	Finished   Time
	Reason     string // why it finished
	removed    bool   // its deletion was asked for
	fromActive bool   // and it was active then
}

// A Phase says whether a job has finished.
type Phase uint8

const (
	Unfinished Phase = iota
	Complete
	Failed
)

// A CronJob is the state machine. It is for one goroutine at a time.
type CronJob struct {
	State
	Spec *Spec // is replaced, not changed
	// Held keeps it from looking: what happens to jobs is only noted.
	Held bool
	// Due is when to look again if nothing happens before.
	Due Time
	// Blocked is the name that is due and belongs to another; Refused is why
	// the latest job could not be created.
	Blocked, Refused string
	// Events are the newest, oldest first. Neither they nor a slice of them that was
	// copied out change: what is new comes behind, or in another slice.
	Events []Event

	jobs     []*Job // owned ones there are, in order of name
	starting int64  // the time for which a job is being created; 0 if none is
	failures int    // looks in a row
	pending  int    // actions that have not been answered
	told     []told
	emitted  uint64 // events so far
	changed  bool   // State has changed since that was last said
}

// New returns a CronJob with jobs that it owns. Those that were created, but not
// stored as started before a crash, are taken for started.
func New(spec Spec, state State, jobs []Job) *CronJob {
	c := &CronJob{State: state, Spec: &spec, Due: Never}
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Compare(a.Scheduled, b.Scheduled) })
	for _, j := range jobs {
		c.note(j)
		if j.Scheduled > c.LastSchedule && !c.isActive(j.UID) {
			c.starting = j.Scheduled
			c.started(j.Ref)
			c.emit(j.Created, Event{Kind: SuccessfulCreate, Job: j.Name})
		}
	}
	return c
}

// IsChanged reports whether New has changed the state.
func (c *CronJob) IsChanged() bool { return c.changed }

// base is after what a time is looked for, in seconds.
func (c *CronJob) base() int64 {
	if c.LastSchedule != 0 {
		return c.LastSchedule
	}
	return floorSeconds(c.Created)
}

// Owned returns the owned jobs there are, in order of name.
func (c *CronJob) Owned() []*Job { return c.jobs }

func (c *CronJob) find(uid string) *Job {
	if i := slices.IndexFunc(c.jobs, func(j *Job) bool { return j.UID == uid }); i >= 0 {
		return c.jobs[i]
	}
	return nil
}

func (c *CronJob) isActive(uid string) bool {
	return slices.ContainsFunc(c.Active, func(r Ref) bool { return r.UID == uid })
}

func (c *CronJob) hasActiveName(name string) bool {
	return slices.ContainsFunc(c.Active, func(r Ref) bool { return r.Name == name })
}

func (c *CronJob) deactivate(uid string) {
	c.Active = slices.DeleteFunc(c.Active, func(r Ref) bool { return r.UID == uid })
	c.changed = true
}

func floorSeconds(t Time) int64 {
	seconds := t / int64(time.Second)
	if t%int64(time.Second) < 0 {
		seconds--
	}
	return seconds
}

func nanoseconds(seconds int64) Time {
	const most = math.MaxInt64 / int64(time.Second)
	return min(seconds, most) * int64(time.Second)
}
