package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
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
	jobRow
	Job      batch.Job
	Notice   error
	Index    int // of the attempts that are shown; -1: all
	Attempts []attemptRow
	Others   int // attempts that are kept, and not shown
	Events   []batch.Event
	Map      *indexMap
	Logs     []attemptLog
	Deadline time.Time // zero if there is none
	Now      time.Time
	Write    bool
	Can      map[string]bool // see Server.can
}

// An attemptRow is an attempt as the page of its job shows it.
type attemptRow struct {
	batch.AttemptStatus
	Base    string `json:"-"`
	Job     string `json:"-"`
	Outcome string `json:"outcome"`
}

// Address is that of the attempt's page, or its place in a file that has it all.
func (a attemptRow) Address() string {
	if a.Base == "" {
		return "#d-" + a.UID
	}
	return a.Base + "job/" + a.Job + "/attempt/" + a.UID
}

// newJobPage looks at a job, with at most so many attempts. Its status comes
// first: the rest is at least as new.
func newJobPage(c *batch.Controller, name string, q url.Values, most int) (*jobPage, error) {
	status, err := c.Get(name)
	if err != nil {
		return nil, err
	}
	p := &jobPage{Now: time.Now(), Index: -1}
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
	p.jobRow = newJobRow("../", status, p.Job.Labels)
	if index, err := strconv.Atoi(q.Get("index")); err == nil {
		p.Index = index
	}
	if p.Job.ActiveDeadline != nil && !status.StartTime.IsZero() && !status.Finished() {
		p.Deadline = status.StartTime.Add(*p.Job.ActiveDeadline)
	}
	if p.Job.CompletionMode == batch.Indexed {
		p.Map = newIndexMap(status, attempts, q)
	}
	p.choose(attempts, most)
	return p, nil
}

// attemptsOf is how many attempts a page shows.
func attemptsOf(q url.Values) int {
	if q.Has("all") {
		return math.MaxInt
	}
	return mostAttempts
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
				p.Attempts = append(p.Attempts, attemptRow{a, p.Base, p.Name, outcomeOf(a)})
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

// jobContent is the page of a job as a view.
type jobContent struct {
	controller *batch.Controller
	name       string
	query      url.Values
	rows       map[string]part // of attempts that have ended, by UID
	followers  followers
}

func newJobContent(c *batch.Controller, name string, q url.Values, changed func()) *jobContent {
	return &jobContent{controller: c, name: name, query: q, followers: newFollowers(c, name, tailLines, changed)}
}

func (j *jobContent) shows(job string) bool { return job == j.name }
func (j *jobContent) close()                { j.followers.keep(nil) }

func (j *jobContent) parts() ([]part, error) {
	p, err := newJobPage(j.controller, j.name, j.query, attemptsOf(j.query))
	if err != nil {
		return nil, err
	}
	list := []part{notice(p.Notice)}
	for _, name := range []string{"summary", "facts", "scale", "map", "conditions", "others"} {
		list = append(list, part{ID: name, HTML: execute(name, p)})
	}
	rows := make(map[string]part)
	for _, a := range p.Attempts {
		row, ok := j.rows[a.UID]
		if !ok {
			row = part{ID: "a-" + a.UID, In: "attempts", HTML: execute("attempt", a)}
		}
		if !a.FinishedAt.IsZero() {
			rows[a.UID] = row
		}
		list = append(list, row)
	}
	j.rows = rows
	for _, e := range p.Events {
		list = append(list, part{ID: eventID(e), In: "events", HTML: execute("event", e)})
	}
	return append(list, j.followers.parts(logged(p.Attempts))...), nil
}

// eventID tells an event from the others of its job.
func eventID(e batch.Event) string {
	return fmt.Sprintf("e-%x-%d", digest(e.Reason+e.Message), e.At.UnixNano())
}

// logged chooses the attempts whose logs the page of a job shows: those that run,
// before those that failed, before others, the newest of each.
func logged(list []attemptRow) (logs []attemptLog) {
	chosen := make(map[string]bool)
	for _, outcome := range []string{"Running", "Failed", ""} {
		for _, a := range list {
			if len(logs) < mostTails && !chosen[a.UID] && (outcome == "" || a.Outcome == outcome) {
				chosen[a.UID] = true
				logs = append(logs, attemptLog{Address: a.Address(), Name: a.Name, UID: a.UID})
			}
		}
	}
	return logs
}

// showJob answers with the page of a job.
func (s *Server) showJob(w http.ResponseWriter, r *http.Request) {
	p, err := newJobPage(s.controller, r.PathValue("job"), r.URL.Query(), attemptsOf(r.URL.Query()))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Write, p.Can = s.options.Write, s.can()
	for _, log := range logged(p.Attempts) {
		p.Logs = append(p.Logs, readLog(r.Context(), s.controller, log, p.Name, tailLines))
	}
	s.answer(w, r, "job-page", p, map[string]any{
		"status": p.jobRow, "spec": p.Job, "attempts": p.Attempts, "events": p.Events,
	})
}
