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

// ErrCancelled is why a job was cancelled on a page.
var errCancelled = errors.New("cancelled on the page")

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
		return s.controller.Cancel(ctx, job, errCancelled)
	case "again":
		_, err := s.controller.Again(ctx, job, false)
		return err
	}
	return errAddress
}

// A changePage asks for a change, or says what came of it.
type changePage struct {
	Job, Name, Token, Value string
	Answer                  error // of the controller
	Asked                   bool  // it was
}

// change answers with the form that asks whether to change the job, or makes the change
// and says what the controller said. The guard has seen to it that the request may.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	p := changePage{Job: r.PathValue("job"), Name: r.PathValue("change"), Value: r.FormValue("value"),
		Token: s.token, Asked: r.Method == http.MethodPost}
	status := http.StatusOK
	if p.Asked {
		if p.Answer = s.makeChange(r.Context(), p.Name, p.Job, p.Value); p.Answer != nil {
			status = statusOf(p.Answer)
		}
	} else if _, err := s.controller.Get(p.Job); err != nil || execute("question", p) == "" {
		s.fail(w, r, cmp.Or(err, errAddress))
		return
	}
	s.render(w, r, status, "change-page", frame{Page: p})
}
