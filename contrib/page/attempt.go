package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/runtocompletion/batch"
)

// An attemptPage is what the page of an attempt shows.
type attemptPage struct {
	attemptRow `json:"status"`
	Notice     error      `json:"-"`
	Errors     []errorRow `json:"errors"`
	Log        attemptLog `json:"-"`
	Lines      []logRow   `json:"log"`   // of the log
	Stack      string     `json:"stack"` // empty if it was not asked for, or there is none
	Now        bool       `json:"-"`     // it was asked for
}

// An errorRow is one error of a chain; those that it wraps follow, one deeper.
type errorRow struct {
	Depth             int
	Type, Text, Stack string
}

// mostErrors is how many errors of a chain a page shows.
const mostErrors = 50

// errorChain lists err, and one deeper what it wraps. What user code says of itself may
// panic.
func errorChain(err error) (chain []errorRow) {
	var add func(err error, depth int)
	add = func(err error, depth int) {
		i := len(chain)
		if err == nil || i >= mostErrors {
			return
		}
		defer func() {
			if p := recover(); p != nil {
				chain[i].Text += fmt.Sprint("panic: ", p)
			}
		}()
		chain = append(chain, errorRow{Depth: depth, Type: fmt.Sprintf("%T", err)})
		chain[i].Text = err.Error()
		if p, ok := err.(*batch.PanicError); ok {
			chain[i].Stack = string(p.Stack)
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			add(e.Unwrap(), depth+1)
		case interface{ Unwrap() []error }:
			for _, wrapped := range e.Unwrap() {
				add(wrapped, depth+1)
			}
		}
	}
	add(err, 0)
	return chain
}

// newAttemptPage looks at an attempt, given by its name or UID, and where its goroutine
// stands if that is asked for.
func newAttemptPage(c *batch.Controller, job, attempt string, stack bool) (*attemptPage, error) {
	list, err := c.Attempts(context.Background(), job)
	i := slices.IndexFunc(list, func(a batch.AttemptStatus) bool { return a.Name == attempt || a.UID == attempt })
	if i < 0 {
		return nil, cmp.Or(err, fmt.Errorf("%w: attempt %q of job %q", batch.ErrNotFound, attempt, job))
	}
	a := list[i]
	p := &attemptPage{
		attemptRow: attemptRow{a, "../../../", job, outcomeOf(a), false}, Notice: err, Now: stack, Errors: errorChain(a.Err),
		Log: readLog(c, attemptLog{UID: a.UID, Most: logLines}, job),
	}
	if p.Lines = p.Log.Lines; stack {
		p.Stack, err = c.Stack(job, a.UID)
		p.Notice = errors.Join(p.Notice, err)
	}
	return p, nil
}

func (p *attemptPage) logs() []attemptLog { return []attemptLog{p.Log} }

func (p *attemptPage) parts(keep) []part {
	list := newParts(p.Notice, p, "attempt-summary", "attempt-facts", "errors", "runs")
	return append(list, logParts(p.logs())...)
}
