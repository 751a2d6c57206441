package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A query is what a request wants of a kind.
type query struct {
	kind      *kinds.Kind
	namespace string // empty: all
	name      string // empty: the collection
	part      string // empty: the whole object
	params    url.Values
}

// verb is the query's verb as authorization knows it.
func (a *answer) verb(q *query) string {
	switch a.Request.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case q.name != "":
			return "get"
		case wire.IsTrue(q.params, "watch") && a.Request.Method == http.MethodGet:
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
		return nil, wire.NoResource()
	}
	if slices.Contains(parts, "") {
		return nil, wire.NoResource()
	}
	version, parts := parts[0], parts[1:]
	q := new(query)
	if len(parts) >= 3 && parts[0] == "namespaces" && !slices.Contains(namespaceParts, parts[2]) {
		q.namespace, parts = parts[1], parts[2:]
	}
	q.kind = s.find(schema.GroupVersion{Group: group, Version: version}, parts[0])
	if q.kind == nil && len(parts) <= 3 {
		return nil, wire.NotServed(parts[0])
	}
	if q.kind == nil || len(parts) > 3 || q.namespace != "" && !q.kind.Namespaced {
		return nil, wire.NoResource()
	}
	if len(parts) > 1 {
		q.name = parts[1]
	}
	if len(parts) > 2 {
		q.part = parts[2]
	}
	if q.name != "" && q.kind.Namespaced && q.namespace == "" {
		return nil, wire.NoResource()
	}
	return q, nil
}

// namespaceParts are the subresources of namespaces.
var namespaceParts = []string{"status", "finalize"}

// serveKind answers a request about a kind.
func (a *answer) serveKind() error {
	q, err := a.server.route(a.Request.URL.Path)
	if err != nil {
		return err
	}
	if q.params, err = url.ParseQuery(a.Request.URL.RawQuery); err != nil {
		return wire.BadRequest("%v", err)
	}
	verb := a.verb(q)
	serve := a.verbs()[verb]
	switch {
	case q.part != "":
		return a.servePart(q, verb)
	case serve == nil || !q.kind.Can(verb) || (verb == "create") != (q.name == "") && slices.Contains(namedVerbs, verb):
		return wire.NotAllowed(fmt.Sprintf("of %s it has the verbs %s", q.kind.Plural, strings.Join(q.kind.Verbs, ", ")))
	}
	if err := a.allow(q, verb); err != nil {
		return err
	}
	return serve(q)
}

func (a *answer) verbs() map[string]func(*query) error {
	return map[string]func(*query) error{"get": a.get, "list": a.list, "watch": a.watch, "create": a.create,
		"update": a.update, "patch": a.patch, "delete": a.delete, "deletecollection": a.deleteCollection}
}

// namedVerbs are those that must have a name in the path, or in the case of
// create must not.
var namedVerbs = []string{"create", "update", "patch"}

// servePart answers a request about a part of an object, if only to say why it is
// not served.
func (a *answer) servePart(q *query, verb string) error {
	part := q.kind.Part(q.part)
	switch {
	case part == nil:
		return wire.NoResource()
	case len(part.Verbs) == 0:
		return wire.Error(http.StatusNotImplemented, "NotImplemented",
			"%s is not supported by this server: %s", part.Name, part.Instead)
	case !slices.Contains(part.Verbs, verb):
		return wire.NotAllowed(cmp.Or(part.Instead,
			fmt.Sprintf("%s/%s has the verbs %s", q.kind.Plural, part.Name, strings.Join(part.Verbs, ", "))))
	}
	if err := a.allow(q, verb); err != nil {
		return err
	}
	o, err := a.find(q)
	if err != nil {
		return err
	}
	if part.Serve == nil {
		if verb != "get" && part.Refuse != nil {
			if err := part.Refuse(o); err != nil {
				return err
			}
		}
		ofPart := *q.kind
		ofPart.Writer, q.kind = part.Writer, &ofPart
		return a.verbs()[verb](q)
	}
	if a.Request.Method == http.MethodHead {
		q.params.Del("follow")
	}
	return part.Serve(a.Answer, o, q.params)
}
