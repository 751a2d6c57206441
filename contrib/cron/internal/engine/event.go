package engine

import (
	"slices"
	"strconv"
	"strings"
)

// An Event is something worth to be told.
type Event struct {
	At     Time
	Kind   EventKind
	Job    string // its name, where there is one
	Failed bool   // of SawCompletedJob
	Detail string
	Count  int    // how often it came in a row, the last time At
	Seq    uint64 // of all events, this was the last of that number
}

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	SuccessfulCreate EventKind = iota
	SawCompletedJob
	SuccessfulDelete
	MissingJob
	FailedCreate
	FailedDelete

	// What follows is true for as long as it is true, and told at each look that
	// finds it so.
	JobAlreadyActive
	UnexpectedJob
	TooManyMissedTimes
	InvalidSchedule
	UnparseableSchedule
	UnknownTimeZone
	UnsupportedSchedule
)

// keptEvents is how many events a CronJob keeps.
const keptEvents = 30

// A told event needs not be told again before another one.
type told struct {
	kind EventKind
	job  string
}

// emit adds an event.
func (c *CronJob) emit(at Time, e Event) {
	c.told = c.told[:0]
	c.add(at, e)
}

// tell adds an event that is true at each look, once between other events.
func (c *CronJob) tell(at Time, e Event) {
	if t := (told{e.Kind, e.Job}); !slices.Contains(c.told, t) {
		c.told = append(c.told, t)
		c.add(at, e)
	}
}

func (c *CronJob) add(at Time, e Event) {
	c.emitted++
	e.At, e.Count, e.Seq = at, 1, c.emitted
	if n := len(c.Events); n > 0 {
		last := c.Events[n-1]
		e.Count += last.Count
		last.At, last.Count, last.Seq = e.At, e.Count, e.Seq
		if last == e {
			c.Events = append(slices.Clone(c.Events[:n-1]), e)
			return
		}
		e.Count = 1
	}
	c.Events = append(c.Events[max(0, len(c.Events)-keptEvents+1):], e)
}

// Reason is the event's reason, in Kubernetes' word.
func (e Event) Reason() string { return texts[e.Kind].reason }

// IsWarning reports whether something is to be mended.
func (e Event) IsWarning() bool { return texts[e.Kind].warning }

// PerLook reports whether events of this reason are told again at each look of
// Kubernetes' controller.
func PerLook(reason string) bool {
	for kind := JobAlreadyActive; kind <= UnsupportedSchedule; kind++ {
		if texts[kind].reason == reason {
			return true
		}
	}
	return false
}

// Message is the event's text, in Kubernetes' words.
func (e Event) Message() string {
	detail := e.Detail
	switch e.Kind {
	case SuccessfulCreate, SuccessfulDelete, MissingJob, UnexpectedJob:
		detail = e.Job
	case SawCompletedJob:
		detail = e.Job + ", condition: Complete"
		if e.Failed {
			detail = e.Job + ", condition: Failed"
		}
	case UnknownTimeZone:
		detail = strconv.Quote(e.Detail) + ": unknown time zone " + e.Detail
	case UnsupportedSchedule:
		detail = strconv.Quote(e.Detail)
	}
	return strings.ReplaceAll(texts[e.Kind].text, "%", detail)
}

// texts have the detail in place of %.
var texts = map[EventKind]struct {
	reason  string
	warning bool
	text    string
}{
	SuccessfulCreate: {"SuccessfulCreate", false, "Created job %"},
	SawCompletedJob:  {"SawCompletedJob", false, "Saw completed job: %"},
	SuccessfulDelete: {"SuccessfulDelete", false, "Deleted job %"},
	MissingJob:       {"MissingJob", false, "Active job went missing: %"},
	FailedCreate:     {"FailedCreate", true, "Error creating job: %"},
	FailedDelete:     {"FailedDelete", true, "Deleted job: %"},
	JobAlreadyActive: {"JobAlreadyActive", false,
		"Not starting job because prior execution is running and concurrency policy is Forbid"},
	UnexpectedJob: {"UnexpectedJob", true, "Saw a job that the controller did not create or forgot: %"},
	TooManyMissedTimes: {"TooManyMissedTimes", true,
		"too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"},
	InvalidSchedule: {"InvalidSchedule", true,
		"invalid schedule: % : time difference between two schedules is less than 1 second"},
	UnparseableSchedule: {"UnparseableSchedule", true, "unparseable schedule: %"},
	UnknownTimeZone:     {"UnknownTimeZone", true, "invalid timeZone: %"},
	UnsupportedSchedule: {"UnsupportedSchedule", true, "CRON_TZ or TZ used in schedule % is not officially supported, " +
		"see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"},
}
