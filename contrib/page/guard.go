package page

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// setHeaders sets what holds for every answer, and returns the nonce of its
// scripts and styles: nothing else runs, and nothing is loaded from elsewhere.
func setHeaders(h http.Header) (nonce string) {
	nonce = rand.Text()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "+
		"require-trusted-types-for 'script'; trusted-types page")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	return nonce
}

// guard refuses what no page of this handler sends. A status of 0 lets it in.
func (s *Server) guard(r *http.Request) (status int, text string) {
	if !s.isNamed(r.Host) {
		return http.StatusForbidden, "This page does not answer to the host name of the request. " +
			"Names other than localhost belong in page.Options.Hosts."
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return 0, ""
	}
	if !s.options.Write {
		return http.StatusForbidden, "This page changes nothing: page.Options.Write is not set."
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return http.StatusForbidden, "This request comes from another site."
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	if subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.token)) != 1 {
		return http.StatusForbidden, "The form is older than this process. Load its page again."
	}
	return 0, ""
}

// isNamed reports whether host, with or without a port, is a name of the server.
// A web page whose own name was made to lead here is refused by that.
func (s *Server) isNamed(host string) bool {
	if slices.Contains(s.options.Hosts, "*") {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if ip := net.ParseIP(name); strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
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
	clean := path.Clean("/" + rest)
	return rest, clean == "/"+rest
}

type requestKey struct{}

// A request is what the handlers need to know of one besides the request.
type request struct {
	base  string // the relative address of the list
	nonce string
}

// relative is r as the routes want it, its path without the prefix.
func relative(r *http.Request, rest, nonce string) *http.Request {
	base := cmp.Or(strings.Repeat("../", strings.Count(rest, "/")), "./")
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, request{base: base, nonce: nonce}))
	r.URL = &url.URL{Path: "/" + rest, RawQuery: r.URL.RawQuery}
	return r
}

func requestOf(r *http.Request) request { return r.Context().Value(requestKey{}).(request) }
