package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/runtocompletion/batch"
)

// Changes that not all controllers can make, found by their methods.
type (
	canceler interface {
		Cancel(ctx context.Context, name string, cause error) error
	}
	repeater interface {
		Again(ctx context.Context, name string) error
	}
)

var errUnable = errors.New("page: the controller cannot do that")

// makeChange asks the controller for a change of a job.
func (s *Server) makeChange(ctx context.Context, name, job, value string) error {
	switch name {
	case "suspend":
		return s.controller.Suspend(ctx, job)
	case "resume":
		return s.controller.Resume(ctx, job)
	case "delete":
		return s.controller.Delete(ctx, job, batch.DeleteBackground)
	case "stop":
		return s.controller.DeleteAttempt(ctx, job, value)
	case "parallelism":
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("parallelism %q: must be a number", value)
		}
		return s.controller.Update(ctx, job, func(j *batch.Job) { j.Parallelism = &n })
	case "cancel":
		if c, ok := s.able.(canceler); ok {
			return c.Cancel(ctx, job, errors.New("cancelled on the page"))
		}
	case "again":
		if c, ok := s.able.(repeater); ok {
			return c.Again(ctx, job)
		}
	}
	return errUnable
}

// can says which of the changes that not all controllers can make this one can.
func (s *Server) can() map[string]bool {
	_, cancels := s.able.(canceler)
	_, repeats := s.able.(repeater)
	return map[string]bool{"cancel": cancels, "again": repeats}
}

// A changePage asks for a change, or says what came of it.
type changePage struct {
	Job, Name, Token, Value string
	Answer                  error // of the controller
	Asked                   bool  // it was
}

// ask answers with the form that asks whether to change the job.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	p := changePage{Job: r.PathValue("job"), Name: r.PathValue("change"), Value: r.URL.Query().Get("value"), Token: s.token}
	if _, err := s.controller.Get(p.Job); err != nil || execute("question", p) == "" {
		s.fail(w, r, cmp.Or(err, errAddress))
		return
	}
	s.render(w, r, http.StatusOK, "change-page", frame{Page: p})
}

// change makes a change, and answers with what the controller said. The guard has
// seen to it that the request may.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	p := changePage{Job: r.PathValue("job"), Name: r.PathValue("change"), Value: r.PostFormValue("value"), Asked: true}
	p.Answer = s.makeChange(r.Context(), p.Name, p.Job, p.Value)
	status := http.StatusOK
	if p.Answer != nil {
		status = statusOf(p.Answer)
	}
	s.render(w, r, status, "change-page", frame{Page: p})
}
