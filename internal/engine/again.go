package engine

import (
	"fmt"
	"slices"
)

// This file is how a finished job runs once more. Its identity, its events and the
// attempts that are kept stay; everything that has led to its end begins anew, so that
// no limit is reached by what an earlier run has done.

// RunAgain is the type of the condition of a job that has run before. Its reason and
// message say how the run before has ended.
const RunAgain = "RunAgain"

// Reruns are what a job knows of its runs once there is more than one: most jobs have
// one, and there may be very many jobs.
type reruns struct {
	run    int        // the present one
	starts []runStart // of those that attempts are kept of, except the first
}

// Run counts the runs of the job, from 1.
func (j *Job) Run() int {
	if j.reruns == nil {
		return 1
	}
	return j.reruns.run
}

// runStarts are those that are stored.
func (j *Job) runStarts() []runStart {
	if j.reruns == nil {
		return nil
	}
	return j.reruns.starts
}

// A runStart is where a run of a job begins in the order of attempts.
type runStart struct {
	Run   int
	First int64
}

// RunOf returns the run that an attempt is of, given its place in the order of creation.
// It is looked up and not kept with each attempt, of which there are many more.
func (j *Job) RunOf(seq int64) int {
	if j.reruns == nil {
		return 1
	}
	for _, r := range slices.Backward(j.reruns.starts) {
		if r.First <= seq {
			return r.Run
		}
	}
	return 1
}

// runAgain begins another run of a finished job. What has succeeded stays done if that
// is to be kept.
func (j *Job) runAgain(ev Event) {
	if j.FinishedAt == 0 || j.gone {
		return
	}
	now := ev.At
	if ev.Spec != nil {
		j.Spec = ev.Spec
	}
	// The last condition is the final one; see checkConditions.
	last := j.Conditions[len(j.Conditions)-1]
	message := fmt.Sprintf("Run %d ended as %s: %s", j.Run(), last.Type, last.Message)
	j.beginRun()
	j.Conditions = []Condition{{RunAgain, True, last.Reason, message, now}}
	j.addEvent(EventRecord{At: now, Reason: RunAgain, Message: fmt.Sprintf("Run %d begins", j.Run())})
	j.StartTime, j.FinishedAt = 0, 0
	j.awaiting = false // who wants another run has seen what the first one was to wait for
	j.Failed, j.LastFailure = 0, Failure{}
	j.retry, j.exits, j.snoozes = retry{wake: Never}, 0, 0
	j.target, j.failJob, j.decideAt, j.outOfRange = nil, nil, 0, false
	// Failed indexes get another chance in any case: that is what it is run for.
	j.GivenUp.Clear()
	if !ev.Keep || j.Spec.Completions == None { // a work queue that has had a success is empty
		j.Completed.Clear()
		j.Succeeded = 0
	}
	j.beginIndexes()
}

// beginRun numbers the run. Of earlier ones those are forgotten of which no attempt is
// kept: a job may run every night for years.
func (j *Job) beginRun() {
	// It iterates over the history, once for each run.
	kept := make(map[int]bool)
	for a := range j.All() {
		kept[j.RunOf(a.Seq)] = true
	}
	if j.reruns == nil {
		j.reruns = &reruns{run: 1}
	}
	r := j.reruns
	r.run++
	r.starts = slices.DeleteFunc(r.starts, func(s runStart) bool { return !kept[s.Run] })
	r.starts = append(r.starts, runStart{r.run, j.created})
}

// beginIndexes makes every index that has not succeeded one to be tried. Attempts go on
// being numbered where those of the runs before have ended: no two are ever alike.
func (j *Job) beginIndexes() {
	x := &j.indexes
	x.dropNumbers()
	*x = indexes{highest: x.highest, touched: x.touched}
	if j.tracker != nil && x.touched == nil { // it has rested
		x.touched = make(map[int]struct{})
	}
	if !j.Spec.Indexed {
		return
	}
	if j.created > 0 {
		x.againFrom = x.highest + 1
	}
	j.Completed.Truncate(j.Spec.Completions)
	j.Succeeded = j.Completed.Len()
	if last, ok := j.Completed.Max(); ok {
		x.next = last + 1
	}
	j.findReturned()
}
