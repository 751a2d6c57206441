package engine

import (
	"cmp"
	"slices"
)

// Events about attempts are not recorded: they follow from the attempts, and are made
// up when a caller asks. A job with millions of attempts would otherwise pay for each
// of them, and keep only the newest anyway.

// How many events are told: those about single attempts, which come by the
// thousand, do not push out those about the job.
const (
	toldAttemptEvents = 200
	keptJobEvents     = 100
)

// An EventRecord is an entry of a job's event log.
type EventRecord struct {
	At              Time
	Warning         bool
	Reason, Message string
}

// Events returns the newest events in order. Those about attempts are not
// kept: they are told from the attempts that are.
func (j *Job) Events() []EventRecord {
	events := j.attemptEvents()
	events = append(events[max(0, len(events)-toldAttemptEvents):], j.events...)
	slices.SortStableFunc(events, func(a, b EventRecord) int { return cmp.Compare(a.At, b.At) })
	return events
}

// attemptEvents returns the events about attempts, those of one instant in the
// order in which the reference does things.
func (j *Job) attemptEvents() []EventRecord {
	type event struct {
		at      Time
		created bool
		seq     int64
		name    string
	}
	var events []event
	for a := range j.All() {
		name := j.ID.Name(a.Seq, a.Index)
		events = append(events, event{a.CreatedAt, true, a.Seq, name})
		// Only what the job itself has stopped is an event of the job: others who stop an
		// attempt record that themselves.
		if a.DeletedBy == DeletedByController {
			events = append(events, event{a.DeletedAt, false, a.Seq, name})
		}
	}
	slices.SortFunc(events, func(a, b event) int {
		// Deletions come before creations, as the reference stops before it starts.
		return cmp.Or(cmp.Compare(a.at, b.at), compareBool(a.created, b.created), cmp.Compare(a.seq, b.seq))
	})
	records := make([]EventRecord, len(events))
	for i, e := range events {
		records[i] = EventRecord{At: e.at, Reason: "SuccessfulDelete", Message: "Deleted pod: " + e.name}
		if e.created {
			records[i] = EventRecord{At: e.at, Reason: "SuccessfulCreate", Message: "Created pod: " + e.name}
		}
	}
	return records
}

// addEvent records an event about the job.
func (j *Job) addEvent(e EventRecord) {
	if j.tracker != nil {
		j.tracker.events = true
	}
	// The newest are kept: an operator needs to know what a job does now, and its creation
	// is in its status.
	if len(j.events) == keptJobEvents {
		j.events = slices.Delete(j.events, 0, 1)
	}
	j.events = append(j.events, e)
}

// addEndEvents records the events of a job's end.
func (j *Job) addEndEvents(now Time) {
	// A failed job has one event, which is its condition in other words.
	if !j.target.success {
		j.addEvent(EventRecord{At: now, Warning: true, Reason: j.target.reason, Message: j.target.message})
		return
	}
	if j.Spec.Completions != None && j.Succeeded > j.Spec.Completions {
		j.addEvent(EventRecord{At: now, Warning: true, Reason: "TooManySucceededPods",
			Message: "Too many succeeded pods running after completion count reached"})
	}
	j.addEvent(EventRecord{At: now, Reason: "Completed", Message: "Job completed"})
}
