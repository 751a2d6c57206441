package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/runtocompletion/batch"
)

const (
	mostAttempts = 200 // that a page of a job shows
	mostTails    = 3   // logs that a page of a job follows
	tailLines    = 15  // of each
)

// A jobPage is what the page of a job shows.
type jobPage struct {
	jobRow   `json:"status"`
	Job      batch.Job     `json:"spec"`
	Notice   error         `json:"-"`
	Index    int           `json:"-"` // of the attempts that are shown; -1: all
	Attempts []attemptRow  `json:"attempts"`
	Others   int           `json:"-"` // attempts that are kept, and not shown
	Events   []batch.Event `json:"events"`
	Map      *indexMap     `json:"-"`
	Logs     []attemptLog  `json:"-"`
	Deadline time.Time     `json:"-"` // zero if there is none
	Now      time.Time     `json:"-"`
}

// An attemptRow is an attempt as the page of its job shows it.
type attemptRow struct {
	batch.AttemptStatus
	Base    string `json:"-"`
	Job     string `json:"-"`
	Outcome string `json:"outcome"`
	Over    bool   `json:"-"` // its index was given up: no attempt follows
}

// Address is that of the attempt's page, or its place in a file that has it all.
func (a attemptRow) Address() string {
	if a.Base == "" {
		return "#d-" + a.UID
	}
	return a.Base + "job/" + a.Job + "/attempt/" + a.UID
}

// newJobPage looks at a job. Its status comes first: the rest is at least as new.
func newJobPage(c *batch.Controller, name, base string, q url.Values) (*jobPage, error) {
	status, err := c.Get(name)
	if err != nil {
		return nil, err
	}
	p, most := &jobPage{Now: time.Now(), Index: -1}, mostAttempts
	var failed [3]error
	var attempts []batch.AttemptStatus
	p.Job, failed[0] = c.Job(name)
	attempts, failed[1] = c.Attempts(context.Background(), name)
	p.Events, failed[2] = c.Events(context.Background(), name)
	slices.Reverse(p.Events)
	p.Events = slices.Compact(p.Events)
	if p.Notice = errors.Join(failed[:]...); errors.Is(p.Notice, batch.ErrNotFound) {
		return nil, p.Notice
	}
	p.jobRow = newJobRow(base, status, p.Job.Labels)
	if index, err := strconv.Atoi(q.Get("index")); err == nil {
		p.Index = index
	}
	if q.Has("all") {
		most = math.MaxInt
	}
	if p.Job.ActiveDeadline != nil && !status.StartTime.IsZero() {
		p.Deadline = status.StartTime.Add(*p.Job.ActiveDeadline)
	}
	if p.Job.CompletionMode == batch.Indexed {
		p.Map = newIndexMap(status, attempts, q)
	}
	p.choose(attempts, most)
	for _, a := range logged(p.Attempts) {
		p.Logs = append(p.Logs, readLog(c, attemptLog{Address: a.Address(), Name: a.Name, UID: a.UID, Most: tailLines}, name))
	}
	return p, nil
}

// choose takes the attempts to show, the newest first: those that have not ended
// before those that have.
func (p *jobPage) choose(attempts []batch.AttemptStatus, most int) {
	room := most
	for _, ended := range []bool{false, true} {
		for _, a := range slices.Backward(attempts) {
			if a.FinishedAt.IsZero() == ended || p.Index >= 0 && a.Index != p.Index {
				continue
			}
			if room--; room >= 0 {
				over := p.FailedIndexes != nil && p.FailedIndexes.Contains(a.Index)
				p.Attempts = append(p.Attempts, attemptRow{a, p.Base, p.Name, outcomeOf(a), over})
			}
		}
	}
	p.Others = max(0, -room)
	slices.SortStableFunc(p.Attempts, func(a, b attemptRow) int { return b.CreatedAt.Compare(a.CreatedAt) })
}

// outcomeOf says in one word how an attempt goes, or went.
func outcomeOf(a batch.AttemptStatus) string {
	disrupted := slices.ContainsFunc(a.Conditions, func(c batch.Condition) bool {
		return c.Type == batch.ConditionDisruptionTarget && c.Status == "True"
	})
	switch {
	case a.Phase == batch.AttemptFailed && disrupted:
		return "Disrupted"
	case a.Phase == batch.AttemptFailed && a.DeletedBy != "" && a.DeletedBy != "timeout":
		return "Stopped"
	case a.Phase == batch.AttemptFailed || a.Phase == batch.AttemptSucceeded:
		return a.Phase
	case a.Abandoned:
		return "Abandoned"
	case !a.DeletedAt.IsZero():
		return "Terminating"
	case !a.RestartAt.IsZero():
		return "Waiting"
	}
	return a.Phase
}

func (p *jobPage) logs() []attemptLog { return p.Logs }

func (p *jobPage) parts(keep keep) []part {
	list := newParts(p.Notice, p, "summary", "facts", "scale", "map", "conditions", "others")
	for _, a := range p.Attempts {
		row := func() part { return newPart("a-"+a.UID, "attempts", "attempt", a) }
		if a.FinishedAt.IsZero() {
			list = append(list, row())
		} else {
			list = append(list, keep(fmt.Sprint(a.UID, a.Over), row))
		}
	}
	for _, e := range p.Events {
		list = append(list, newPart(eventID(e), "events", "event", e))
	}
	return append(list, logParts(p.Logs)...)
}

// eventID tells an event from the others of its job.
func eventID(e batch.Event) string {
	return fmt.Sprintf("e-%x-%d", digest(e.Reason+e.Message), e.At.UnixNano())
}

// logged chooses the attempts whose logs the page of a job shows: those that run,
// before those that failed, before others, the newest of each.
func logged(list []attemptRow) []attemptRow {
	rank := func(a attemptRow) int { return slices.Index([]string{"Failed", "Running"}, a.Outcome) }
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b attemptRow) int { return rank(b) - rank(a) })
	return list[:min(mostTails, len(list))]
}
