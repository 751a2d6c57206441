package engine

import (
	"cmp"
	"slices"
)

// An EventRecord is an entry of a job's event log (section 22).
type EventRecord struct {
	At              Time
	Warning         bool
	Reason, Message string
}

// eventRecord is one event in the form in which it is kept: its text is made
// when somebody reads it.
type eventRecord struct {
	kind  eventKind
	at    Time
	order int64
	seq   int64
	index int
}

type eventKind uint8

const (
	eventCreated eventKind = iota
	eventDeleted
	eventSuspended
	eventResumed
	eventTooMany
	eventEnded
)

// How many events are kept: those about single attempts, which come by the
// thousand, do not push out those about the job.
const (
	keptAttemptEvents = 200
	keptJobEvents     = 100
)

type eventLog struct {
	next          int64
	attempts, job ring
}

// A ring holds the last records; it grows up to its limit only.
type ring struct {
	records []eventRecord
	oldest  int
}

func (r *ring) add(e eventRecord, limit int) {
	if len(r.records) < limit {
		r.records = append(r.records, e)
		return
	}
	r.records[r.oldest] = e
	r.oldest++
	if r.oldest == limit {
		r.oldest = 0
	}
}

func (l *eventLog) add(e eventRecord) {
	e.order = l.next
	l.next++
	if e.kind <= eventDeleted {
		l.attempts.add(e, keptAttemptEvents)
	} else {
		l.job.add(e, keptJobEvents)
	}
}

// logEnd records the events of a job's end (R303 to R305).
func (j *Job) logEnd(now Time) {
	if j.target.success && j.Spec.Completions != None && j.Succeeded > j.Spec.Completions {
		j.events.add(eventRecord{kind: eventTooMany, at: now})
	}
	j.events.add(eventRecord{kind: eventEnded, at: now})
}

// Events returns the kept events in order.
func (j *Job) Events() []EventRecord {
	records := slices.Concat(j.events.attempts.records, j.events.job.records)
	slices.SortFunc(records, func(a, b eventRecord) int { return cmp.Compare(a.order, b.order) })
	events := make([]EventRecord, len(records))
	for i, r := range records {
		events[i] = j.describe(r)
	}
	return events
}

func (j *Job) describe(r eventRecord) EventRecord {
	e := EventRecord{At: r.at}
	switch r.kind {
	case eventCreated:
		e.Reason, e.Message = "SuccessfulCreate", "Created pod: "+j.ID.Name(r.seq, r.index)
	case eventDeleted:
		e.Reason, e.Message = "SuccessfulDelete", "Deleted pod: "+j.ID.Name(r.seq, r.index)
	case eventSuspended:
		e.Reason, e.Message = "Suspended", "Job suspended"
	case eventResumed:
		e.Reason, e.Message = "Resumed", "Job resumed"
	case eventTooMany:
		e.Warning = true
		e.Reason, e.Message = "TooManySucceededPods", "Too many succeeded pods running after completion count reached"
	case eventEnded:
		e.Reason, e.Message = "Completed", "Job completed"
		if !j.target.success {
			e.Warning, e.Reason, e.Message = true, j.target.reason, j.target.message
		}
	}
	return e
}
