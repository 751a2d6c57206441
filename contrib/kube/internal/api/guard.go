package api

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// longestURI is how long a request's URI may be: selectors are parsed.
const longestURI = 64 << 10

// guard refuses what no client of Kubernetes sends from where it may.
func (a *answer) guard() error {
	r := a.r
	switch {
	case len(r.URL.Path)+len(r.URL.RawQuery) > longestURI:
		return newError(http.StatusRequestURITooLong, "RequestURITooLong", "the request's URI is too long")
	case !a.server.isNamed(r.Host):
		return forbid("the server does not answer to the host name of this request")
	case len(r.Header["Origin"]) > 0 || isCrossSite(r.Header.Get("Sec-Fetch-Site")):
		return forbid("the server does not answer web pages")
	case impersonates(r.Header):
		return forbid("the server does not allow impersonation")
	}
	return a.authenticate()
}

// isNamed reports whether host, with or without a port, is a name of the server.
// A web page whose own name was made to lead here is refused by that.
func (s *Server) isNamed(host string) bool {
	if slices.Contains(s.config.Hosts, "*") {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if ip := net.ParseIP(name); name == "localhost" || ip != nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(s.config.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

func isCrossSite(site string) bool { return site == "cross-site" || site == "same-site" }

func impersonates(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}

func (a *answer) authenticate() error {
	a.user = "anonymous"
	if a.server.config.Authenticate == nil {
		return nil
	}
	user, err := a.server.config.Authenticate(a.r)
	if err != nil {
		return apierrors.NewUnauthorized("Unauthorized")
	}
	a.user = user
	return nil
}

// allowWrites refuses to change a resource if the server is read-only.
func (a *answer) allowWrites(q *query) error {
	if a.server.config.Write {
		return nil
	}
	return apierrors.NewForbidden(q.resource.groupResource(), q.name, errors.New("the server is read-only"))
}

func forbid(message string) error {
	return newError(http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden: "+message)
}

// newError is an error that has no constructor of its own.
func newError(code int, reason metav1.StatusReason, message string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	}}
}

// errNoResource is the answer to a path that leads nowhere.
func errNoResource() error {
	return apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{}, "", "", 0, false)
}
