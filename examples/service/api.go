package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"strconv"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// An api answers HTTP requests about the jobs of a controller.
type api struct {
	jobs     *batch.Controller
	cronJobs func() (*cron.Controller, error) // that of this process, if it works
	root     fs.FS                            // what jobs may read
}

// newHandler returns the whole API.
func newHandler(c *batch.Controller, cronJobs func() (*cron.Controller, error), root fs.FS) http.Handler {
	a := api{jobs: c, cronJobs: cronJobs, root: root}
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"POST /jobs":                a.create,
		"GET /jobs":                 a.list,
		"GET /jobs/{name}":          a.get,
		"DELETE /jobs/{name}":       a.delete,
		"POST /jobs/{name}/suspend": a.suspend,
		"POST /jobs/{name}/resume":  a.resume,
		"POST /jobs/{name}/cancel":  a.cancel,
		"POST /jobs/{name}/again":   a.again,
		"GET /jobs/{name}/attempts": a.attempts,
		"GET /jobs/{name}/results":  a.results,
		"GET /jobs/{name}/failures": a.failures,
		"GET /jobs/{name}/events":   a.events,
		"GET /jobs/{name}/logs":     a.logs,
		"GET /cronjobs":             a.listCronJobs,
		"POST /cronjobs/{name}/run": a.runCronJob,
	} {
		mux.Handle(pattern, h)
	}
	return http.NewCrossOriginProtection().Handler(mux)
}

// A handler answers a request, or returns an error to be answered instead.
type handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP calls h.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		writeError(w, err)
	}
}

// A view is a job as clients see it: its status, and what the status says of
// itself.
type view struct {
	batch.Status
	State   string `json:"state"`
	Explain string `json:"explain"`
}

func viewOf(s batch.Status) view {
	return view{Status: s, State: s.State(), Explain: s.Explain()}
}

func (a api) create(w http.ResponseWriter, r *http.Request) error {
	var req request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&req); err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	job, err := req.job(a.root)
	if err != nil {
		return err
	}
	if err := a.jobs.Create(r.Context(), job); err != nil {
		return err
	}
	w.Header().Set("Location", "/jobs/"+job.Name)
	err = a.writeJob(w, http.StatusCreated, job.Name)
	if errors.Is(err, batch.ErrNotFound) { // keepSeconds is 0: it is over and gone
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	return err
}

func (a api) list(w http.ResponseWriter, _ *http.Request) error {
	views := []view{} // encodes as [], not null, if there is no job
	for s := range a.jobs.All() {
		views = append(views, viewOf(s))
	}
	return writeJSON(w, http.StatusOK, views)
}

func (a api) get(w http.ResponseWriter, r *http.Request) error {
	return a.writeJob(w, http.StatusOK, r.PathValue("name"))
}

func (a api) delete(w http.ResponseWriter, r *http.Request) error {
	p := string(r.FormValue("propagation"))
	switch p {
	case "":
		p = batch.DeleteBackground
	case batch.DeleteBackground, batch.DeleteForeground, batch.DeleteOrphan:
	default:
		return fmt.Errorf("%w: no propagation %q", errBadRequest, p)
	}
	if err := a.jobs.Delete(r.Context(), r.PathValue("name"), p); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a api) suspend(w http.ResponseWriter, r *http.Request) error {
	if err := a.jobs.Suspend(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return a.get(w, r)
}

func (a api) resume(w http.ResponseWriter, r *http.Request) error {
	if err := a.jobs.Resume(r.Context(), r.PathValue("name")); err != nil {
		return err
	}
	return a.get(w, r)
}

// errOnRequest is the cause of what a client cancels, unless the query gives a reason.
var errOnRequest = errors.New("cancelled on request")

// cancel fails a job, or the one index that the query names, and keeps it.
func (a api) cancel(w http.ResponseWriter, r *http.Request) error {
	var indexes []int
	if text := r.FormValue("index"); text != "" {
		index, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%w: index: %w", errBadRequest, err)
		}
		indexes = append(indexes, index)
	}
	cause := errOnRequest
	if reason := r.FormValue("reason"); reason != "" {
		cause = errors.New(reason)
	}
	if err := a.jobs.Cancel(r.Context(), r.PathValue("name"), cause, indexes...); err != nil {
		return err
	}
	return a.get(w, r)
}

// again runs a finished job once more, or with ?failed=1 what has not succeeded of it.
func (a api) again(w http.ResponseWriter, r *http.Request) error {
	failedOnly, err := flagOf(r, "failed")
	if err != nil {
		return err
	}
	s, err := a.jobs.Again(r.Context(), r.PathValue("name"), failedOnly)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, viewOf(s))
}

func (a api) attempts(w http.ResponseWriter, r *http.Request) error {
	attempts, err := a.jobs.Attempts(context.Background(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, attempts)
}

// results writes the result of each index that has succeeded so far.
func (a api) results(w http.ResponseWriter, r *http.Request) error {
	results, err := batch.Results[json.RawMessage](r.Context(), a.jobs, r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, maps.Collect(results))
}

// failures writes the last error of each index that has failed.
func (a api) failures(w http.ResponseWriter, r *http.Request) error {
	failures, err := a.jobs.Failures(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, maps.Collect(failures))
}

func (a api) events(w http.ResponseWriter, r *http.Request) error {
	events, err := a.jobs.Events(context.Background(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, events)
}

// logs writes the log of one attempt as plain text: of the one that the query
// names, or else of the newest.
func (a api) logs(w http.ResponseWriter, r *http.Request) error {
	job, attempt := r.PathValue("name"), r.FormValue("attempt")
	tail, follow, err := logOptions(r)
	if err != nil {
		return err
	}
	if attempt == "" {
		if attempt, err = a.newest(job); err != nil {
			return err
		}
	}
	out := http.NewResponseController(w)
	begun := false
	for line, err := range a.jobs.Logs(r.Context(), job, attempt, tail, follow) {
		if err != nil && begun {
			return nil // the status is sent; there is no way to tell
		}
		if err != nil {
			return err
		}
		begun = true
		if line.Dropped > 0 {
			fmt.Fprintf(w, "(%d lines are not kept)\n", line.Dropped)
		}
		fmt.Fprintln(w, line.Text)
		if follow {
			out.Flush()
		}
	}
	return nil
}

// logOptions reads ?follow=1 and ?tail=20.
func logOptions(r *http.Request) (tail int, follow bool, err error) {
	follow, err = flagOf(r, "follow")
	if text := r.FormValue("tail"); err == nil && text != "" {
		last, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, false, fmt.Errorf("%w: tail: %w", errBadRequest, err)
		}
		return int(last), follow, nil
	}
	return -1, follow, err
}

// flagOf reads a flag of the query, such as ?follow=1. It is false if it is not there.
func flagOf(r *http.Request, name string) (bool, error) {
	text := r.FormValue(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", errBadRequest, name, err)
	}
	return value, nil
}

// newest is the name of a job's newest attempt.
func (a api) newest(job string) (string, error) {
	attempts, err := a.jobs.Attempts(context.Background(), job)
	if err != nil {
		return "", err
	}
	if len(attempts) == 0 {
		return "", fmt.Errorf("job %q has no attempts yet: %w", job, batch.ErrNotFound)
	}
	return attempts[len(attempts)-1].Name, nil
}

func (a api) writeJob(w http.ResponseWriter, code int, name string) error {
	s, err := a.jobs.Get(name)
	if err != nil {
		return err
	}
	return writeJSON(w, code, viewOf(s))
}

func writeJSON(w http.ResponseWriter, code int, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n')) // an error here means that the client is gone
	return nil
}

// errBadRequest: the request is not what the API understands.
var errBadRequest = errors.New("bad request")

// An answer to a failed request.
type problem struct {
	Error  string         `json:"error"`
	Fields []problemField `json:"fields,omitempty"`
}

// A problemField is one thing that is wrong with a job.
type problemField struct {
	Field   string `json:"field"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func writeError(w http.ResponseWriter, err error) {
	p := problem{Error: err.Error()}
	if invalid, ok := errors.AsType[*batch.ValidationError](err); ok {
		for _, f := range invalid.Fields {
			p.Fields = append(p.Fields, problemField{f.Field, f.Kind, f.Error()})
		}
	}
	writeJSON(w, statusOf(err), p)
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	if _, ok := errors.AsType[*batch.ValidationError](err); ok {
		return http.StatusUnprocessableEntity
	}
	if _, ok := errors.AsType[*batch.JobError](err); ok {
		return http.StatusConflict // it has not finished
	}
	for _, known := range []struct {
		err  error
		code int
	}{
		{errBadRequest, http.StatusBadRequest},
		{batch.ErrNotFound, http.StatusNotFound},
		{cron.ErrNotFound, http.StatusNotFound},
		{batch.ErrExists, http.StatusConflict},
		{batch.ErrJobFinished, http.StatusConflict},
		{batch.ErrStoreInUse, http.StatusServiceUnavailable}, // another process works
		{batch.ErrShutdown, http.StatusServiceUnavailable},
		{cron.ErrShutdown, http.StatusServiceUnavailable},
		{context.Canceled, http.StatusServiceUnavailable}, // the server stops
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return http.StatusInternalServerError
}
