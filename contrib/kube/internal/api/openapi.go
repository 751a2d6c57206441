package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch/contrib/kube/internal/openapi"
)

// documents are the OpenAPI documents of the group versions, made when one is
// first asked for.
type documents struct {
	once   sync.Once
	bodies map[string][]byte // by the paths of the group versions, without a slash
	err    error
}

func (s *Server) documents() (map[string][]byte, error) {
	d := &s.docs
	d.once.Do(func() {
		d.bodies = make(map[string][]byte)
		for _, gv := range s.groupVersions() {
			path := strings.TrimPrefix(versionPath(gv), "/")
			if d.bodies[path], d.err = json.Marshal(openapi.New(s.described(gv))); d.err != nil {
				return
			}
		}
	})
	return d.bodies, d.err
}

// described are the resources of a group version as OpenAPI is to show them.
func (s *Server) described(gv schema.GroupVersion) []openapi.Resource {
	var list []openapi.Resource
	for _, r := range s.resources {
		if r.groupVersion() != gv || r.empty == nil {
			continue
		}
		path := versionPath(gv) + "/" + r.name + "/{name}"
		if r.namespaced {
			path = versionPath(gv) + "/namespaces/{namespace}/" + r.name + "/{name}"
		}
		list = append(list, openapi.Resource{Path: path, Kind: gv.WithKind(r.kind), Object: r.empty, Patch: r.can("patch")})
	}
	return list
}

// openAPIIndex lists the documents. Their addresses have hashes, so that clients
// can keep them.
func (a *answer) openAPIIndex() error {
	bodies, err := a.server.documents()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	type entry struct {
		ServerRelativeURL string `json:"serverRelativeURL"`
	}
	paths := make(map[string]entry)
	for path, body := range bodies {
		paths[path] = entry{fmt.Sprintf("%s/openapi/v3/%s?hash=%X", a.prefix(), path, hashOf(body))}
	}
	return a.writeJSON(http.StatusOK, jsonType, map[string]any{"paths": paths})
}

func hashOf(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}

// prefix is what was stripped off the path on the way here.
func (a *answer) prefix() string {
	path, _, _ := strings.Cut(a.r.RequestURI, "?")
	if prefix, ok := strings.CutSuffix(path, a.r.URL.Path); ok && strings.HasPrefix(prefix, "/") {
		return prefix
	}
	return ""
}

func (a *answer) openAPIDocument(path string) error {
	bodies, err := a.server.documents()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	body, ok := bodies[path]
	if !ok {
		return errNoResource()
	}
	if a.r.URL.Query().Get("hash") != "" {
		a.w.Header().Set("Cache-Control", "public, immutable")
		a.w.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	a.w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%X", hashOf(body))))
	return a.write(http.StatusOK, jsonType, body)
}
