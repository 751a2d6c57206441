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

// A change is what a page may ask of the controller.
type change struct {
	Question, Done string // with the job's name, and the value if there is one
	Input          string // what value to ask for; empty for none
	do             func(ctx context.Context, c any, job, value string) error
}

// The changes that some controllers can make, found by their methods.
type (
	changer interface {
		Suspend(ctx context.Context, name string) error
		Resume(ctx context.Context, name string) error
		Update(ctx context.Context, name string, change func(*batch.Job)) error
		Delete(ctx context.Context, name string, p batch.Propagation) error
		DeleteAttempt(ctx context.Context, job, attempt string) error
	}
	canceler interface {
		Cancel(ctx context.Context, name string, cause error) error
	}
	repeater interface {
		Again(ctx context.Context, name string) error
	}
)

var errUnable = errors.New("page: the controller cannot do that")

var changes = map[string]change{
	"suspend": {"Suspend job %s? Its attempts are stopped, uncounted.", "Job %s is suspended.", "",
		func(ctx context.Context, c any, job, _ string) error { return c.(changer).Suspend(ctx, job) }},
	"resume": {"Resume job %s?", "Job %s goes on.", "",
		func(ctx context.Context, c any, job, _ string) error { return c.(changer).Resume(ctx, job) }},
	"parallelism": {"Change the parallelism of job %s?", "The parallelism of job %s is %s.", "Parallelism", setParallelism},
	"delete": {"Delete job %s? Its attempts are stopped, and nothing of it is kept.", "Job %s is deleted.", "",
		func(ctx context.Context, c any, job, _ string) error {
			return c.(changer).Delete(ctx, job, batch.Background)
		}},
	"stop": {"Stop an attempt of job %s? The job's policies say whether it counts as failed, and is replaced.",
		"The attempt of job %s was asked to stop: %s.", "Attempt",
		func(ctx context.Context, c any, job, uid string) error {
			return c.(changer).DeleteAttempt(ctx, job, uid)
		}},
	"cancel": {"Cancel job %s? It fails, and its attempts are stopped.", "Job %s is cancelled.", "", cancelJob},
	"again":  {"Run job %s again?", "Job %s runs again.", "", runAgain},
}

func setParallelism(ctx context.Context, c any, job, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("parallelism %q: must be a number", value)
	}
	return c.(changer).Update(ctx, job, func(j *batch.Job) { j.Parallelism = &n })
}

func cancelJob(ctx context.Context, c any, job, _ string) error {
	if c, ok := c.(canceler); ok {
		return c.Cancel(ctx, job, errors.New("cancelled on the page"))
	}
	return errUnable
}

func runAgain(ctx context.Context, c any, job, _ string) error {
	if c, ok := c.(repeater); ok {
		return c.Again(ctx, job)
	}
	return errUnable
}

// possible are the changes that make sense for a job, and that the controller can make.
func (s *Server) possible(status batch.Status) (names []string) {
	_, cancels := s.changer.(canceler)
	_, repeats := s.changer.(repeater)
	for _, c := range []struct {
		name string
		is   bool
	}{
		{"suspend", !status.Finished() && !status.Suspend}, {"resume", !status.Finished() && status.Suspend},
		{"parallelism", !status.Finished()}, {"cancel", cancels && !status.Finished()},
		{"again", repeats && status.Finished()}, {"delete", true},
	} {
		if c.is {
			names = append(names, c.name)
		}
	}
	return names
}

// A changePage asks for a change, and says what came of it.
type changePage struct {
	change
	Base, Job, Name, Token, Value string
	Answer                        string // of the controller; empty if it was not asked
	Failed                        bool
}

// ask answers with the form that asks whether to change the job.
func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	s.showChange(w, r, http.StatusOK, changePage{Value: r.URL.Query().Get("value")})
}

// change makes a change, and answers with what the controller said. The guard has
// seen to it that the request may.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	p := changePage{Value: r.PostFormValue("value")}
	change, ok := changes[r.PathValue("change")]
	if !ok {
		s.fail(w, r, errAddress)
		return
	}
	job, status := r.PathValue("job"), http.StatusOK
	err := change.do(r.Context(), s.changer, job, p.Value)
	p.Answer, p.Failed = fmt.Sprintf(change.Done, job), err != nil
	if change.Input != "" {
		p.Answer = fmt.Sprintf(change.Done, job, p.Value)
	}
	if err != nil {
		p.Answer, status = cmp.Or(err.Error(), "failed"), statusOf(err)
	}
	s.showChange(w, r, status, p)
}

func (s *Server) showChange(w http.ResponseWriter, r *http.Request, status int, p changePage) {
	p.Base, p.Job, p.Name, p.Token = requestOf(r).base, r.PathValue("job"), r.PathValue("change"), s.token
	var ok bool
	p.change, ok = changes[p.Name]
	if _, err := s.controller.Get(p.Job); !ok || err != nil && p.Answer == "" {
		s.fail(w, r, cmp.Or(err, errAddress))
		return
	}
	p.Question = fmt.Sprintf(p.Question, p.Job)
	s.render(w, r, status, "change-page", frame{Page: p})
}
