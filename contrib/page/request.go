package page

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/hostname"
)

// setHeaders sets what holds for every answer: nothing runs, and nothing is loaded.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'") // of the worker
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// refusal says why a request is none that a page of this handler sends; empty lets it in.
func (s *Server) refusal(r *http.Request) string {
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	switch {
	case !hostname.Allowed(r.Host, s.options.Hosts):
		return "This page does not answer to the host name of the request. " +
			"Names other than localhost belong in page.Options.Hosts."
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return ""
	case !s.options.Write:
		return "This page changes nothing: page.Options.Write is not set."
	case http.NewCrossOriginProtection().Check(r) != nil:
		return "This request comes from another site."
	case subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.token)) != 1:
		return "The form is older than this process. Load its page again."
	}
	return ""
}

// below returns the path of a request below the handler's own prefix. That is
// what the pattern says under which a mux of net/http has found the handler,
// unless something has stripped the path since.
func below(r *http.Request) (rest string, ok bool) {
	rest = strings.TrimPrefix(r.URL.Path, "/")
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	if sent == r.URL.EscapedPath() {
		_, pattern, found := strings.Cut(r.Pattern, "/")
		for range strings.Count(pattern, "/") {
			if _, rest, ok = strings.Cut(rest, "/"); !ok {
				return "", false
			}
		}
		if found && !strings.HasSuffix(r.Pattern, "/") && !strings.HasSuffix(r.Pattern, "...}") {
			return "", false // a pattern for one page leaves no room for the others
		}
	}
	return rest, path.Clean("/"+rest) == "/"+rest
}

// baseOf is the relative address of the list.
func baseOf(r *http.Request) string {
	return cmp.Or(strings.Repeat("../", strings.Count(r.URL.Path[1:], "/")), "./")
}

func (s *Server) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.show)
	mux.HandleFunc("GET /stream", s.stream)
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /job/{job}", s.show)
	mux.HandleFunc("GET /job/{job}/attempt/{attempt}", s.show)
	mux.HandleFunc("GET /job/{job}/file/{file}", s.export)
	mux.HandleFunc("GET /job/{job}/change/{change}", s.change)
	mux.HandleFunc("POST /job/{job}/change/{change}", s.change)
	return mux
}

// A frame is what stands around every page.
type frame struct {
	Base, Nonce, Title string
	Name               string // of the page
	View               string // the address of the page's view
	Live               bool   // it has one
	Write              bool
	Style              template.CSS
	Script             template.JS // of a file that has all of it; empty in a page
	Page               any
}

// render answers with a page. Only its own scripts and styles run, which have its
// nonce, and nothing is loaded from elsewhere.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, name string, f frame) {
	f.Base, f.Nonce, f.Title = baseOf(r), rand.Text(), s.options.Title
	f.Write = s.options.Write
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+f.Nonce+"'; style-src 'nonce-"+
		f.Nonce+"'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "+
		"require-trusted-types-for 'script'; trusted-types page")
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
	case errors.Is(err, batch.ErrAttemptEnded), errors.Is(err, batch.ErrExists), errors.Is(err, batch.ErrJobFinished):
		return http.StatusConflict
	case errors.Is(err, batch.ErrShutdown), errors.Is(err, errShut), errors.Is(err, batch.ErrStore):
		return http.StatusServiceUnavailable
	}
	if _, ok := errors.AsType[*batch.JobError](err); ok { // it has not finished
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a browser that is gone needs no answer
}

// asset answers with a file of the pages. The browser asks whether it has changed.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if data, _ := assets.ReadFile("assets/" + name); path.Ext(name) == ".js" || path.Ext(name) == ".css" {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, digest(string(data))))
		http.ServeFileFS(w, r, assets, "assets/"+name)
		return
	}
	http.NotFound(w, r)
}
