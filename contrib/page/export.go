package page

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

// An exported is a job with all that is kept of it.
type exported struct {
	*jobPage
	Rows []exportedRow // in order of creation
}

// An exportedRow is one attempt.
type exportedRow struct {
	attemptRow
	Log  attemptLog
	Slot int       // the first that was free when it was created, from 0
	End  time.Time // or now
	Exit string    // its exit code, and the number of the signal
}

// fileTypes are what a job may be downloaded as, with their types.
var fileTypes = map[string]string{
	"report.html": "text/html; charset=utf-8", // the whole page in one file
	"trace.json":  "application/json",         // the timeline for ui.perfetto.dev and chrome://tracing
	"junit.xml":   "application/xml",          // for continuous integration
	"joblog.tsv":  "text/tab-separated-values; charset=utf-8",
}

// export answers with a job as a file.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	name, job := r.PathValue("file"), r.PathValue("job")
	p, err := newJobPage(s.controller, job, "", url.Values{"all": nil})
	if err == nil && fileTypes[name] == "" {
		err = errAddress
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	e := newExported(s.controller, p)
	w.Header().Set("Content-Disposition", `attachment; filename="`+job+"-"+name+`"`)
	if name == "report.html" {
		style, _ := assets.ReadFile("assets/page.css")
		script, _ := assets.ReadFile("assets/timeline.js")
		s.render(w, r, http.StatusOK, "report", frame{Style: template.CSS(style), Script: template.JS(script), Page: e})
		return
	}
	w.Header().Set("Content-Type", fileTypes[name])
	_ = files.ExecuteTemplate(w, name+".tmpl", e) // a browser that is gone needs no answer
}

func newExported(c *batch.Controller, p *jobPage) *exported {
	e := &exported{jobPage: p}
	p.Logs = nil          // each attempt has its whole log
	var slots []time.Time // when each gets free
	for _, a := range slices.Backward(p.Attempts) {
		row := exportedRow{attemptRow: a, End: a.FinishedAt, Exit: exitOf(a.AttemptStatus)}
		if a.FinishedAt.IsZero() {
			row.End = p.Now
		}
		row.Slot = slices.IndexFunc(slots, func(free time.Time) bool { return !free.After(a.CreatedAt) })
		if row.Slot < 0 {
			row.Slot = len(slots)
			slots = append(slots, time.Time{})
		}
		slots[row.Slot] = row.End
		row.Log = readLog(c, attemptLog{UID: a.UID, Most: logLines}, p.Name)
		e.Rows = append(e.Rows, row)
	}
	return e
}

// exitOf gives the exit code and the signal as GNU parallel does in its job log.
func exitOf(a batch.AttemptStatus) string {
	if failed, ok := errors.AsType[*exec.ExitError](a.Err); ok {
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return fmt.Sprintf("0\t%d", status.Signal())
		}
	}
	code := -1
	if a.ExitCode != nil {
		code = *a.ExitCode
	}
	return fmt.Sprintf("%d\t0", code)
}
