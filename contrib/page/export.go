package page

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"html/template"
	"math"
	"net/http"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

// An exported is a job with all that is kept of it.
type exported struct {
	*jobPage
	Rows                 []exportedRow // in order of creation
	Failures, Unfinished int           // of the rows
	Took                 time.Duration
}

// An exportedRow is one attempt.
type exportedRow struct {
	attemptRow
	Log          attemptLog
	Slot         int // the first that was free when it was created, from 0
	End          time.Time
	Exit, Signal int // of a program that was ended by a signal, the exit code is 0
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
	p, err := newJobPage(s.controller, job, r.URL.Query(), math.MaxInt)
	if err == nil && fileTypes[name] == "" {
		err = errAddress
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	e := newExported(s.controller, p)
	w.Header().Set("Content-Disposition", `attachment; filename="`+job+"-"+name+`"`)
	var b bytes.Buffer
	if name == "report.html" {
		style, _ := assets.ReadFile("assets/page.css")
		script, _ := assets.ReadFile("assets/timeline.js")
		s.render(w, r, http.StatusOK, "report", frame{Style: template.CSS(style), Script: template.JS(script), Page: e})
		return
	}
	if err := files.ExecuteTemplate(&b, name+".tmpl", e); err != nil {
		panic(err) // the templates fit
	}
	w.Header().Set("Content-Type", fileTypes[name])
	_, _ = w.Write(b.Bytes())
}

func newExported(c *batch.Controller, p *jobPage) *exported {
	e := &exported{jobPage: p}
	p.Base, p.Logs = "", nil // each attempt has its whole log
	var slots []time.Time    // when each gets free
	for _, a := range slices.Backward(p.Attempts) {
		row := exportedRow{attemptRow: a, End: a.FinishedAt}
		switch {
		case a.FinishedAt.IsZero():
			row.End = p.Now
			e.Unfinished++
		case a.Phase == batch.AttemptFailed:
			e.Failures++
		}
		row.Base = ""
		row.Slot = slices.IndexFunc(slots, func(free time.Time) bool { return !free.After(a.CreatedAt) })
		if row.Slot < 0 {
			row.Slot = len(slots)
			slots = append(slots, time.Time{})
		}
		slots[row.Slot] = row.End
		row.Log = readLog(c, attemptLog{UID: a.UID, Most: logLines}, p.Name)
		row.Exit, row.Signal = exitOf(a.AttemptStatus)
		e.Took = max(e.Took, row.End.Sub(p.CreatedAt))
		e.Rows = append(e.Rows, row)
	}
	for i := range p.Attempts {
		p.Attempts[i].Base = ""
	}
	return e
}

// exitOf gives the exit code and the signal as a shell's wait would.
func exitOf(a batch.AttemptStatus) (code, signal int) {
	if failed, ok := errors.AsType[*exec.ExitError](a.Err); ok {
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 0, int(status.Signal())
		}
	}
	if a.ExitCode == nil {
		return -1, 0
	}
	return *a.ExitCode, 0
}

// escapeXML and escapeJSON make any text fit for the files.
func escapeXML(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // to memory
	return b.String()
}

func escapeJSON(value any) (string, error) {
	data, err := json.Marshal(value)
	return string(data), err
}
