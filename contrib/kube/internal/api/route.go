package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A query is what a request wants of a resource.
type query struct {
	resource    *resource
	namespace   string // empty: all
	name        string // empty: the collection
	subresource string
	params      url.Values
}

// verb is the query's verb as authorization knows it.
func (a *answer) verb(q *query) string {
	switch a.r.Method {
	case http.MethodGet:
		switch {
		case q.name != "":
			return "get"
		case isTrue(q.params, "watch"):
			return "watch"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if q.name == "" {
			return "deletecollection"
		}
		return "delete"
	}
	return ""
}

// isTrue reads a boolean of a query string as an API server does: absent, "0"
// and "false" are false, and all else is true.
func isTrue(params url.Values, name string) bool {
	values, ok := params[name]
	return ok && len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

// route reads the path of a request: /api/v1/... or /apis/GROUP/VERSION/..., and
// there [namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]].
func (s *Server) route(path string) (*query, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	group := ""
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[1:]
	case len(parts) >= 4 && parts[0] == "apis":
		group, parts = parts[1], parts[2:]
	default:
		return nil, errNoResource()
	}
	if slices.Contains(parts, "") {
		return nil, errNoResource()
	}
	version, parts := parts[0], parts[1:]
	q := new(query)
	if len(parts) >= 3 && parts[0] == "namespaces" && !slices.Contains(namespaceParts, parts[2]) {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.resource = s.find(group, version, parts[0])
	if q.resource == nil || len(parts) > 3 || q.namespace != "" && !q.resource.namespaced {
		return nil, errNoResource()
	}
	if len(parts) > 1 {
		q.name = parts[1]
	}
	if len(parts) > 2 {
		q.subresource = parts[2]
	}
	if q.name != "" && q.resource.namespaced && q.namespace == "" {
		return nil, errNoResource()
	}
	return q, nil
}

// namespaceParts are the subresources of namespaces.
var namespaceParts = []string{"status", "finalize"}

// serveResource answers a request about a resource.
func (a *answer) serveResource() error {
	q, err := a.server.route(a.r.URL.Path)
	if err != nil {
		return err
	}
	if q.params, err = url.ParseQuery(a.r.URL.RawQuery); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	verb := a.verb(q)
	switch {
	case q.subresource != "":
		return a.serveSubresource(q, verb)
	case !q.resource.can(verb), (verb == "create") != (q.name == "") && slices.Contains(namedVerbs, verb):
		return notAllowed()
	}
	switch verb {
	case "get":
		return a.get(q)
	case "list":
		return a.list(q)
	case "watch":
		return a.watch(q)
	case "create":
		return a.create(q)
	case "update":
		return a.update(q)
	case "patch":
		return a.patch(q)
	case "delete":
		return a.delete(q)
	}
	return a.deleteCollection(q)
}

// namedVerbs are those that must have a name in the path, or in the case of
// create must not.
var namedVerbs = []string{"create", "update", "patch"}

// serveSubresource answers a request about a part of an object, if only to say
// why it is not served.
func (a *answer) serveSubresource(q *query, verb string) error {
	kind := q.resource.name + "/" + q.subresource
	switch {
	case kind == "jobs/status" && verb == "get", kind == "namespaces/status" && verb == "get":
		return a.get(q)
	case kind == "pods/log" && verb == "get":
		return a.logs(q)
	case kind == "pods/status" && verb == "get":
		return a.get(q)
	case slices.Contains(ownStatus, kind):
		return refuse(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
			"the status of %s is set by this server alone", q.resource.name)
	case slices.Contains(unsupportedParts, kind):
		return refuse(http.StatusNotImplemented, "NotImplemented",
			"%s is not supported by this server: its pods run inside of a process", q.subresource)
	}
	return errNoResource()
}

// ownStatus are subresources that can only be read, and unsupportedParts those
// that clients ask for, and that are not there.
var (
	ownStatus        = []string{"jobs/status", "pods/status", "namespaces/status", "namespaces/finalize"}
	unsupportedParts = []string{"jobs/scale", "pods/attach", "pods/binding", "pods/ephemeralcontainers", "pods/eviction",
		"pods/exec", "pods/portforward", "pods/proxy", "pods/resize"}
)

func refuse(code int, reason metav1.StatusReason, format string, args ...any) error {
	return newError(code, reason, fmt.Sprintf(format, args...))
}

func notAllowed() error {
	err := newError(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed,
		"the server does not allow this method on the requested resource")
	err.ErrStatus.Details = &metav1.StatusDetails{}
	return err
}
