package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	"github.com/runtocompletion/batch/internal/hostname"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// longestURI is how long a request's URI may be: selectors are parsed.
const longestURI = 64 << 10

// probes are the paths that only say that there is somebody.
var probes = []string{"/healthz", "/livez", "/readyz"}

// guard refuses what no client of Kubernetes sends from where it may.
func (a *answer) guard() error {
	r := a.Request
	switch {
	case a.server.config.OpenProbes && slices.Contains(probes, strings.TrimSuffix(r.URL.Path, "/")):
		return nil
	case len(r.URL.Path)+len(r.URL.RawQuery) > longestURI:
		return wire.Error(http.StatusRequestURITooLong, "RequestURITooLong", "the request's URI is too long")
	case !hostname.Allowed(r.Host, a.server.config.Hosts):
		return forbid("the server does not answer to the host name of this request")
	case len(r.Header["Origin"]) > 0 && r.Header.Get("Upgrade") != "": // Python's client says so when it wants to exec
		return wire.Error(http.StatusNotImplemented, "NotImplemented",
			"exec, attach and portforward are not supported by this server: its pods run inside of a process")
	case len(r.Header["Origin"]) > 0 || isCrossSite(r.Header.Get("Sec-Fetch-Site")):
		return forbid("the server does not answer web pages")
	case impersonates(r.Header):
		return forbid("the server does not allow impersonation")
	}
	return a.authenticate()
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
	a.User = "anonymous"
	if a.server.config.Authenticate == nil {
		return nil
	}
	user, err := a.server.config.Authenticate(a.Request)
	if err != nil {
		return apierrors.NewUnauthorized("Unauthorized")
	}
	a.User = user
	return nil
}

// allow refuses to change objects if the server is read-only.
func (a *answer) allow(q *query, verb string) error {
	if a.server.host.Write || slices.Contains(kinds.ReadVerbs, verb) || q.kind.Review != nil {
		return nil
	}
	return apierrors.NewForbidden(q.kind.GroupResource(), q.name, errors.New("the server is read-only"))
}

func forbid(message string) error {
	return wire.Error(http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden: %s", message)
}
