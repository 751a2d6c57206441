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
	attemptRow
	Notice error
	Log    attemptLog
	Stack  string // empty if it was not asked for, or there is none
	Now    bool   // it was asked for
}

// An errorRow is one error of a chain; those that it wraps follow, one deeper.
type errorRow struct {
	Depth             int
	Type, Text, Stack string
}

// mostErrors is how many errors of a chain a page shows.
const mostErrors = 50

// errorChain lists err and what it wraps.
func errorChain(err error) []errorRow { return addErrors(nil, err, 0) }

// addErrors adds an error, and one deeper those that it wraps. What user code says of
// itself may panic.
func addErrors(list []errorRow, err error, depth int) (chain []errorRow) {
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
		return addErrors(chain, e.Unwrap(), depth+1)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			chain = addErrors(chain, err, depth+1)
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
		attemptRow: attemptRow{a, "../../../", job, outcomeOf(a), false}, Notice: err,
		Log: readLog(c, attemptLog{UID: a.UID, Most: logLines}, job),
	}, nil
}

// standing looks where the attempt's goroutine stands.
func (p *attemptPage) standing(c *batch.Controller) {
	var err error
	p.Now = true
	p.Stack, err = c.Stack(p.Job, p.UID)
	p.Notice = errors.Join(p.Notice, err)
}

func (p *attemptPage) logs() []attemptLog { return []attemptLog{p.Log} }

func (p *attemptPage) json() any {
	return map[string]any{"status": p.attemptRow, "errors": errorChain(p.Err), "log": p.Log.Lines, "stack": p.Stack}
}

func (p *attemptPage) parts(*kept) []part {
	list := newParts(p.Notice, p, "attempt-summary", "attempt-facts", "errors", "runs")
	return append(list, logParts(p.logs())...)
}
