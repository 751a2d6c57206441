package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// An attemptPage is what the page of an attempt shows.
type attemptPage struct {
	attemptRow
	Notice error
	Errors []errorRow
	Log    attemptLog
	Stack  string // empty if it was not asked for, or there is none
	Now    bool   // it was asked for
	Write  bool
}

// An errorRow is one error of a chain; those that it wraps follow, one deeper.
type errorRow struct {
	Depth             int
	Type, Text, Stack string
}

// mostErrors is how many errors of a chain a page shows.
const mostErrors = 50

// errorChain lists err and what it wraps. What user code says of itself may panic.
func errorChain(err error, depth int, list []errorRow) (chain []errorRow) {
	chain = list
	defer func() {
		if p := recover(); p != nil {
			chain = append(chain, errorRow{depth, fmt.Sprintf("%T", err), fmt.Sprintf("panic: %v", p), ""})
		}
	}()
	if err == nil || len(list) >= mostErrors {
		return list
	}
	row := errorRow{Depth: depth, Type: fmt.Sprintf("%T", err), Text: err.Error()}
	if p, ok := err.(*batch.PanicError); ok {
		row.Stack = string(p.Stack)
	}
	chain = append(list, row)
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return errorChain(e.Unwrap(), depth+1, chain)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			chain = errorChain(err, depth+1, chain)
		}
	}
	return chain
}

// newAttemptPage looks at an attempt, given by its name or UID.
func newAttemptPage(c *batch.Controller, job, attempt string) (*attemptPage, error) {
	list, err := c.Attempts(context.Background(), job)
	i := slices.IndexFunc(list, func(a batch.AttemptStatus) bool { return a.Name == attempt || a.UID == attempt })
	if i < 0 {
		return nil, cmp.Or(err, fmt.Errorf("%w: attempt %q of job %q", batch.ErrNotFound, attempt, job))
	}
	a := list[i]
	return &attemptPage{
		attemptRow: attemptRow{a, "../../../", job, outcomeOf(a)}, Notice: err, Errors: errorChain(a.Err, 0, nil),
	}, nil
}

// attemptContent is the page of an attempt as a view.
type attemptContent struct {
	controller   *batch.Controller
	job, attempt string
	followers    followers
}

func newAttemptContent(c *batch.Controller, job, attempt string, changed func()) *attemptContent {
	return &attemptContent{c, job, attempt, newFollowers(c, job, logLines, changed)}
}

func (a *attemptContent) shows(job string) bool { return job == a.job }
func (a *attemptContent) close()                { a.followers.keep(nil) }

func (a *attemptContent) parts() ([]part, error) {
	p, err := newAttemptPage(a.controller, a.job, a.attempt)
	if err != nil {
		return nil, err
	}
	list := []part{notice(p.Notice)}
	for _, name := range []string{"attempt-summary", "attempt-facts", "errors", "runs"} {
		list = append(list, part{ID: name, HTML: execute(name, p)})
	}
	return append(list, a.followers.parts([]attemptLog{{UID: p.UID}})...), nil
}

// showAttempt answers with the page of an attempt, with ?stack also with where
// its goroutine stands.
func (s *Server) showAttempt(w http.ResponseWriter, r *http.Request) {
	p, err := newAttemptPage(s.controller, r.PathValue("job"), r.PathValue("attempt"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Write, p.Now = s.options.Write, r.URL.Query().Has("stack")
	if p.Now {
		p.Stack, err = s.controller.Stack(p.Job, p.UID)
		p.Notice = errors.Join(p.Notice, err)
	}
	p.Log = readLog(r.Context(), s.controller, attemptLog{UID: p.UID}, p.Job, logLines)
	s.answer(w, r, "attempt-page", p, map[string]any{
		"status": p.attemptRow, "errors": p.Errors, "log": p.Log.Lines, "stack": p.Stack,
	})
}

// readLog adds the last lines of an attempt's log.
func readLog(ctx context.Context, c *batch.Controller, log attemptLog, job string, lines int) attemptLog {
	for line, err := range c.Logs(ctx, job, log.UID, batch.LogOptions{Tail: &lines}) {
		if err != nil {
			break // it is no longer kept
		}
		log.Lines = append(log.Lines, newLogRow(log.UID, len(log.Lines), line))
	}
	return log
}

// logLines is how many lines of its log the page of an attempt shows.
const logLines = 500

// An attemptLog is the end of an attempt's log.
type attemptLog struct {
	Address, Name, UID string // of the attempt; no address: the page is its own
	Lines              []logRow
}

// A logRow is a line of a log on a page.
type logRow struct {
	batch.LogLine
	ID string
}

func newLogRow(uid string, n int, line batch.LogLine) logRow {
	return logRow{line, fmt.Sprintf("n-%s-%d", uid, n)}
}

// Followers follow the logs of attempts that a page shows.
type followers struct {
	controller *batch.Controller
	job        string
	lines      int // that are shown of each
	changed    func()
	byUID      map[string]*follower
}

// A follower has the last lines of a log that grows.
type follower struct {
	stop func() // and waits

	mu    sync.Mutex // guards the fields below
	count int        // lines so far
	parts []part
}

func newFollowers(c *batch.Controller, job string, lines int, changed func()) followers {
	return followers{c, job, lines, changed, make(map[string]*follower)}
}

// parts are the given logs. Those that were not followed are from now on.
func (f *followers) parts(logs []attemptLog) (list []part) {
	f.keep(logs)
	for _, log := range logs {
		list = append(list, part{ID: "log-" + log.UID, In: "logs", HTML: execute("log", log)})
		if f.byUID[log.UID] == nil {
			f.byUID[log.UID] = f.follow(log.UID)
		}
		follower := f.byUID[log.UID]
		follower.mu.Lock()
		list = append(list, follower.parts...)
		follower.mu.Unlock()
	}
	return list
}

// keep stops to follow other logs.
func (f *followers) keep(logs []attemptLog) {
	for uid, follower := range f.byUID {
		if !slices.ContainsFunc(logs, func(l attemptLog) bool { return l.UID == uid }) {
			follower.stop()
			delete(f.byUID, uid)
		}
	}
}

// follow starts to follow a log.
func (f *followers) follow(uid string) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	l := new(follower)
	done := make(chan struct{})
	l.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		begin, taken := time.Now(), 0
		for line, err := range f.controller.Logs(ctx, f.job, uid, batch.LogOptions{Follow: true, Tail: &f.lines}) {
			if err != nil {
				return // it is no longer kept, or nobody looks
			}
			l.add(uid, line, f.lines)
			f.changed()
			if taken++; taken > f.lines {
				pause(ctx, updateTime-time.Since(begin)) // more than a page can show
				begin, taken = time.Now(), 0
			}
		}
	}()
	return l
}

// add takes in a line.
func (l *follower) add(uid string, line batch.LogLine, most int) {
	row := newLogRow(uid, l.count, line)
	p := part{ID: row.ID, In: "lines-" + uid, HTML: execute("line", row)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	l.parts = append(l.parts[max(0, len(l.parts)+1-most):], p)
}
