package engine

import (
	"cmp"
	"slices"
	"time"
)

// An Input is something that has happened.
type Input struct {
	Kind Kind
	At   Time
	Job  Job    // of Changed, Gone and all answers but Refused
	Spec *Spec  // of Respecified
	Text string // of Refused and NotDone: the error
	How  Propagation
}

// Kind is the kind of an [Input].
type Kind uint8

const (
	Look        Kind = iota // it is time to look
	Changed                 // an owned job is new, or has changed
	Gone                    // an owned job is gone; Job is as it was last, if that is known
	Respecified             // the spec has changed
	Deleted                 // the CronJob is to be deleted

	// What came of an action. If it failed, those behind it are dropped.
	Created // the job is there
	Taken   // its name belongs to another
	Refused // it could not be created
	Done    // a job, Job, has been deleted or released
	NotDone // or could not be
)

// Propagation says what becomes of the jobs of a deleted CronJob.
type Propagation uint8

const (
	Background Propagation = iota
	Foreground
	Orphan
)

// An Action is something to be done.
type Action struct {
	Do       Do
	Job      Ref
	Time     int64 // of Create: the scheduled time, in seconds
	Linger   bool  // of Delete: the job stays until its attempts have ended
	Deletion Deletion
}

// Do is the kind of an [Action].
type Do uint8

const (
	Create  Do = iota // a job under this name; answered by Created, Taken or Refused
	Delete            // a job; answered by Done or NotDone
	Release           // a job: it has no owner any more; answered by Done or NotDone
	Remove            // the CronJob; not answered
)

// Deletion says why a job is deleted.
type Deletion uint8

const (
	ByHistory Deletion = iota
	ByReplacement
	ByOwner // the CronJob is deleted
)

// A Step is what an input leads to. The answers to its actions come before any other
// input.
type Step struct {
	Actions []Action
	Changed bool // the State is to be stored before the actions, or with what they lead to
}

// Step records what has happened.
func (c *CronJob) Step(in Input) Step {
	c.take(in)
	var actions []Action
	if c.pending == 0 && !in.Kind.failed() {
		actions = c.lookUntilStill(in.At)
		for _, a := range actions {
			if a.Do != Remove {
				c.pending++
			}
		}
	}
	step := Step{actions, c.changed && (c.pending == 0 || in.Kind == Deleted)}
	if step.Changed {
		c.changed = false
	}
	return step
}

// failed is true of an answer after which there is nothing to do for now.
func (k Kind) failed() bool { return k == Taken || k == Refused || k == NotDone }

func (c *CronJob) take(in Input) {
	switch in.Kind {
	case Changed:
		c.note(in.Job)
	case Gone:
		c.gone(in.Job, in.At)
	case Respecified:
		c.Spec, c.Refused = in.Spec, ""
	case Deleted:
		c.Deleting, c.How, c.changed = true, in.How, true
	case Created, Taken, Refused, Done, NotDone:
		c.answer(in)
	}
}

func (c *CronJob) answer(in Input) {
	c.pending--
	if in.Kind.failed() {
		c.pending = 0
	}
	switch in.Kind {
	case Created:
		c.note(in.Job)
		c.emit(in.At, Event{Kind: SuccessfulCreate, Job: in.Job.Name})
		c.started(in.Job.Ref)
	case Taken:
		c.Blocked, c.starting, c.failures = in.Job.Name, 0, 0
		c.Due = Never
	case Refused:
		c.Refused, c.starting = in.Text, 0
		c.emit(in.At, Event{Kind: FailedCreate, Detail: in.Text})
		c.retry(in.At)
	case Done:
		if c.Deleting && c.How == Orphan {
			c.jobs = slices.DeleteFunc(c.jobs, func(j *Job) bool { return j.UID == in.Job.UID })
		} // a deleted one stays until it is Gone: what is still said of it is nothing new
	case NotDone:
		c.emit(in.At, Event{Kind: FailedDelete, Detail: in.Text})
		c.keep()
		c.retry(in.At)
	}
}

// note records what an owned job is like. What it was made for is as it was first
// said to be.
func (c *CronJob) note(j Job) {
	i, found := slices.BinarySearchFunc(c.jobs, &j, compareJobs)
	if !found {
		c.jobs = slices.Insert(c.jobs, i, &j)
	} else {
		known := c.jobs[i]
		j.Manual, j.Scheduled, j.removed, j.fromActive = known.Manual, known.Scheduled, known.removed, known.fromActive
		*known = j
	}
	if j.Phase == Complete && j.Finished > c.LastSuccess {
		c.LastSuccess, c.changed = j.Finished, true
	}
	result := Result{j.Name, j.Started, j.Finished, j.Phase == Complete, j.Reason}
	if j.Phase != Unfinished && j.Finished >= c.Last.Finished && result != c.Last {
		c.Last, c.changed = result, true
	}
}

func compareJobs(a, b *Job) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

// gone takes out a job. That it had finished is reported, if that was not seen.
func (c *CronJob) gone(last Job, at Time) {
	j := c.find(last.UID)
	if j == nil {
		return
	}
	if last.Phase != Unfinished {
		c.note(last)
	}
	if j.Phase != Unfinished {
		c.sawCompleted(j, at)
	}
	c.jobs = slices.DeleteFunc(c.jobs, func(other *Job) bool { return other == j })
}

// started notes that the job of the time that was due is there.
func (c *CronJob) started(r Ref) {
	c.Active = append(c.Active, r)
	c.LastSchedule, c.starting, c.changed = c.starting, 0, true
	c.Refused, c.Blocked, c.failures = "", "", 0
}

// keep records that jobs could not be deleted: those that are still there.
func (c *CronJob) keep() {
	for _, j := range c.jobs {
		if j.fromActive && !c.isActive(j.UID) {
			c.Active, c.changed = append(c.Active, j.Ref), true
		}
		j.removed, j.fromActive = false, false
	}
}

// retry looks again after a while, which is longer each time.
func (c *CronJob) retry(now Time) {
	const first, most = 5 * time.Millisecond, 1000 * time.Second
	c.Due = now + int64(min(first<<min(c.failures, 20), most))
	c.failures++
}
