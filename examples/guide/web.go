package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
	"github.com/runtocompletion/batch/contrib/page"
)

//go:embed web
var webFiles embed.FS

// A web draws the pictures in a browser. The jobs are real: whoever looks at the
// page starts them, and the pages of all jobs are below /jobs/.
type web struct {
	controller *batch.Controller
	kube       http.Handler // by which kubectl would see the jobs
	mux        *http.ServeMux

	mu   sync.Mutex          // guards the fields below
	runs int                 // so far
	jobs map[string][]string // of the last run of each picture
}

func newWeb(c *batch.Controller, pages *page.Server) *web {
	w := &web{
		controller: c, kube: kube.Handler(c, kube.Options{}),
		mux: http.NewServeMux(), jobs: make(map[string][]string),
	}
	w.mux.Handle("/jobs/", pages)
	w.mux.HandleFunc("GET /{$}", w.file)
	w.mux.HandleFunc("GET /web/{file}", w.file)
	w.mux.HandleFunc("POST /run", w.run)
	w.mux.HandleFunc("GET /beside/{job}", w.beside)
	return w
}

// serve serves the pictures until ctx ends, to this machine only if the address
// names no other.
func serve(ctx context.Context, addr string, stdout io.Writer) (err error) {
	controller, err := batch.New(ctx, batch.Options{})
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel()
	defer func() { err = errors.Join(err, controller.Shutdown(ended)) }()
	if strings.HasPrefix(addr, ":") {
		addr = "localhost" + addr
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("-http %q: %w", addr, err)
	}
	pages := page.Handler(controller, page.Options{Title: "The jobs of the guide", Write: true})
	defer pages.Close()
	server := &http.Server{Handler: newWeb(controller, pages), ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(pages.Close)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	fmt.Fprintf(stdout, "The guide is at http://localhost:%s/\n", port)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return errors.Join(server.Shutdown(context.WithoutCancel(ctx)), stopped(<-failed))
}

// stopped is err unless that says that the server was shut down.
func stopped(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP answers requests that a browser on this machine sends for the guide
// itself, and not for another site.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !isLocal(r.Host) {
		http.Error(rw, "The guide answers to localhost only.", http.StatusForbidden)
		return
	}
	http.NewCrossOriginProtection().Handler(w.mux).ServeHTTP(rw, r)
}

func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// file answers with the page, or one of its files.
func (w *web) file(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	http.ServeFileFS(rw, r, webFiles, "web/"+name)
}

// run starts a picture's jobs, in place of those that it had.
func (w *web) run(rw http.ResponseWriter, r *http.Request) {
	var s settings
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<16)).Decode(&s); err != nil {
		http.Error(rw, "The settings: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.check(); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	names, err := w.start(r.Context(), s)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(rw, names)
}

// start replaces the jobs of a picture. One start comes after another.
func (w *web) start(ctx context.Context, s settings) (names []string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.jobs[s.Picture] {
		if err := w.controller.Delete(ctx, name, batch.DeleteBackground); err != nil && !errors.Is(err, batch.ErrNotFound) {
			return nil, err
		}
	}
	w.runs++
	w.jobs[s.Picture] = nil
	for _, job := range s.jobs(w.runs) {
		if err := w.controller.Create(ctx, job); err != nil {
			return nil, err
		}
		w.jobs[s.Picture] = append(w.jobs[s.Picture], job.Name)
	}
	return w.jobs[s.Picture], nil
}

func answer(rw http.ResponseWriter, value any) {
	rw.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(rw).Encode(value); err != nil {
		panic(http.ErrAbortHandler) // the browser is gone
	}
}
