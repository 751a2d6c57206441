package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtocompletion/batch/contrib/kube/internal/openapi"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
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
	for _, r := range s.kinds {
		if r.GroupVersion() != gv || r.Empty == nil {
			continue
		}
		path := versionPath(gv) + "/" + r.Plural + "/{name}"
		if r.Namespaced {
			path = versionPath(gv) + "/namespaces/{namespace}/" + r.Plural + "/{name}"
		}
		list = append(list, openapi.Resource{Path: path, Kind: gv.WithKind(r.Kind), Object: r.Empty, Patch: r.Can("patch")})
	}
	return list
}

// openAPIv2Accept is the form in which clients ask for the older document, and
// openAPIv2Type how servers call it, as the other one is no media type.
const (
	openAPIv2Accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
	openAPIv2Type   = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
)

// openAPIv2 answers with a document that describes nothing. Clients that know the
// newer documents look here for kinds that those do not have, and send what they
// do not find anywhere unseen.
func (a *answer) openAPIv2() error {
	const title, version = "Kubernetes", "v1.37.2"
	if !strings.Contains(strings.Join(a.Request.Header["Accept"], ","), openAPIv2Accept) {
		return a.WriteJSON(http.StatusOK, wire.JSON, map[string]any{"swagger": "2.0", "paths": map[string]any{},
			"info": map[string]string{"title": title, "version": version}})
	}
	field := func(number byte, value []byte) []byte {
		return append([]byte{number<<3 | 2, byte(len(value))}, value...)
	}
	info := slices.Concat(field(1, []byte(title)), field(2, []byte(version)))
	const swagger, infos, paths, definitions = 1, 2, 8, 9
	return a.Write(http.StatusOK, openAPIv2Type, slices.Concat(field(swagger, []byte("2.0")), field(infos, info),
		field(paths, nil), field(definitions, nil)))
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
	return a.WriteJSON(http.StatusOK, wire.JSON, map[string]any{"paths": paths})
}

func hashOf(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}

// prefix is what was stripped off the path on the way here.
func (a *answer) prefix() string {
	path, _, _ := strings.Cut(a.Request.RequestURI, "?")
	if prefix, ok := strings.CutSuffix(path, a.Request.URL.Path); ok && strings.HasPrefix(prefix, "/") {
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
		return wire.NoResource()
	}
	if a.Request.URL.Query().Get("hash") != "" {
		a.Writer.Header().Set("Cache-Control", "public, immutable")
		a.Writer.Header().Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
	}
	a.Writer.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%X", hashOf(body))))
	return a.Write(http.StatusOK, wire.JSON, body)
}
