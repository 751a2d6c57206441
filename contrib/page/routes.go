package page

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

func (s *Server) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.showList)
	mux.HandleFunc("GET /stream", s.stream)
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /job/{job}", s.showJob)
	mux.HandleFunc("GET /job/{job}/attempt/{attempt}", s.showAttempt)
	mux.HandleFunc("GET /job/{job}/file/{file}", s.export)
	mux.HandleFunc("GET /job/{job}/change/{change}", s.ask)
	mux.HandleFunc("POST /job/{job}/change/{change}", s.change)
	return mux
}

// A frame is what stands around every page.
type frame struct {
	Base, Nonce, Title string
	Name               string // of the page
	View               string // the address of the page's view
	Live               bool   // it has one
	Style              template.CSS
	Script             template.JS // of a file that has all of it; empty in a page
	Page               any
}

// answer answers with a page that has a view, or with JSON if that is asked for.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, name string, page, data any) {
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, data)
		return
	}
	f := frame{Name: cmp.Or(r.PathValue("attempt"), r.PathValue("job")), View: strings.TrimSuffix(r.URL.Path[1:]+"?"+r.URL.RawQuery, "?"), Live: true, Page: page}
	s.render(w, r, http.StatusOK, name, f)
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, f frame) {
	f.Base, f.Nonce, f.Title = requestOf(r).base, requestOf(r).nonce, s.options.Title
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept")
	html := execute(name, f)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(html)) // a browser that is gone needs no answer
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if wantsJSON(r) {
		writeJSON(w, statusOf(err), map[string]string{"error": err.Error()})
		return
	}
	s.render(w, r, statusOf(err), "error-page", frame{Page: err})
}

// statusOf is the status of an answer with an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, batch.ErrNotFound), errors.Is(err, errAddress):
		return http.StatusNotFound
	case errors.Is(err, batch.ErrFinished), errors.Is(err, batch.ErrExists):
		return http.StatusConflict
	case errors.Is(err, batch.ErrShutdown), errors.Is(err, errShut):
		return http.StatusServiceUnavailable
	}
	if _, ok := errors.AsType[*batch.StoreError](err); ok {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // of types of this package and of batch
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// asset answers with a file of the pages. The browser asks whether it has changed.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	data, err := assets.ReadFile("assets/" + name)
	if err != nil || !strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, ".css") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'") // of the worker
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", `"`+strconv.FormatUint(digest(string(data)), 36)+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
