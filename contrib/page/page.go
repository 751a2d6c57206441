// Package page serves web pages that show the jobs of a controller while they run:
// see [Handler].
package page

import (
	"cmp"
	"crypto/rand"
	"embed"
	"html/template"
	"iter"
	"net/http"
	"net/url"
	"sync/atomic"
	text "text/template"

	"github.com/runtocompletion/batch"
)

// Options configure a [Handler]. The zero value shows the jobs of a controller
// to browsers on the same machine, and changes nothing.
type Options struct {
	// Title is the heading of the list; empty means "Jobs".
	Title string
	// Write opens what changes jobs: suspend, resume, parallelism, delete, and
	// stopping an attempt. Without it such requests are answered 403 Forbidden.
	// Whoever gets to the page can then do all of it.
	Write bool
	// Hosts are the host names by which browsers address the service, other than
	// localhost and the addresses of the loopback interface, which are always
	// answered; "*" stands for any. Requests to other names are refused, as a
	// web page that leads its own name here would send.
	Hosts []string
	// MaxStreams is how many streams of updates may be open at once: one for each
	// browser. Further ones are answered 429 Too Many Requests, and their pages
	// do not move. Zero means 1000. A negative value means none.
	MaxStreams int
	// CronJobs are shown above the list, which walks over them each time that it is
	// made, also by several goroutines at once: see [CronJobsOf]. Nil means none.
	CronJobs iter.Seq[CronJob]
}

//go:embed assets
var assets embed.FS

var (
	templates = template.Must(template.New("").Funcs(templateFuncs).ParseFS(assets, "assets/*.html"))
	files     = text.Must(text.New("").Funcs(templateFuncs).ParseFS(assets, "assets/*.tmpl"))
)

// A Server is what [Handler] returns.
type Server struct {
	controller *batch.Controller
	options    Options
	token      string // that of forms
	routes     *http.ServeMux
	hub        *hub
	streams    atomic.Int64 // that are open
}

// Handler serves web pages that show the jobs of a controller while they run: a
// list of all jobs, and for each job its timeline, a map of its indexes, its
// attempts, events and logs. They can be read without JavaScript, and move with
// it. One line mounts them:
//
//	mux.Handle("/jobs/", page.Handler(controller, page.Options{}))
//
// In a mux of net/http any prefix will do; elsewhere use [http.StripPrefix]. The
// handler shows every job to whoever gets to it, so it belongs behind the
// service's own authentication.
//
// The same addresses answer with JSON if ?format=json or the header Accept asks
// for it. It costs nothing while no page is open. Open pages share one
// [batch.Controller.Watch] and are updated four times a second at most; an update
// that takes long is followed by a pause forty times as long, or of three seconds.
func Handler(c *batch.Controller, o Options) *Server {
	o.Title = cmp.Or(o.Title, "Jobs")
	o.MaxStreams = cmp.Or(o.MaxStreams, 1000)
	s := &Server{controller: c, options: o, token: rand.Text()}
	s.hub = &hub{controller: c, content: s.content}
	s.routes = s.newRoutes()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	rest, ok := below(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if text := s.refusal(r); text != "" {
		http.Error(w, text, http.StatusForbidden)
		return
	}
	routed := r.WithContext(r.Context())
	routed.URL = &url.URL{Path: "/" + rest, RawQuery: r.URL.RawQuery}
	s.routes.ServeHTTP(w, routed)
}

// Close ends the streams of all open pages, and lets no further ones open. An
// [http.Server] waits for them when it shuts down, so close this before it, or
// shut down the controller, which ends them too. Pages can still be loaded.
func (s *Server) Close() { s.hub.close() }
