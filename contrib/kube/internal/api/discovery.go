package api

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// aggregatedType is the content type by which clients recognize the aggregated
// form of discovery. Older ones ask for v2beta1 and, without it, for the plain one.
const aggregatedType = wire.JSON + ";g=apidiscovery.k8s.io;as=APIGroupDiscoveryList;v=v2"

// plain returns what answers a GET of a path that is no resource; nil if there
// is none.
func (s *Server) plain(path string) func(*answer) error {
	path = strings.TrimSuffix(path, "/")
	if slices.Contains(probes, path) {
		return func(a *answer) error { return a.Write(http.StatusOK, "text/plain; charset=utf-8", []byte("ok")) }
	}
	switch path {
	case "/version":
		return func(a *answer) error { return a.WriteJSON(http.StatusOK, wire.JSON, serverVersion) }
	case "/openapi/v2":
		return (*answer).openAPIv2
	case "/openapi/v3":
		return (*answer).openAPIIndex
	case "/api":
		return func(a *answer) error { return a.discover(false) }
	case "/apis":
		return func(a *answer) error { return a.discover(true) }
	}
	if gv, ok := strings.CutPrefix(path, "/openapi/v3/"); ok {
		return func(a *answer) error { return a.openAPIDocument(gv) }
	}
	return s.plainGroup(path)
}

// plainGroup returns what answers /apis/GROUP and the paths of group versions.
func (s *Server) plainGroup(path string) func(*answer) error {
	for _, gv := range s.groupVersions() {
		switch path {
		case versionPath(gv):
			return func(a *answer) error { return a.WriteJSON(http.StatusOK, wire.JSON, s.resourceList(gv)) }
		case "/apis/" + gv.Group:
			return func(a *answer) error {
				group := apiGroup(gv)
				group.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
				return a.WriteJSON(http.StatusOK, wire.JSON, group)
			}
		}
	}
	return nil
}

// versionPath is below which a group version's resources are.
func versionPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return "/apis/" + gv.String()
}

func (a *answer) servePlain(handler func(*answer) error) error {
	if a.Request.Method != http.MethodGet && a.Request.Method != http.MethodHead {
		return wire.NotAllowed("it can be read")
	}
	return handler(a)
}

// serverVersion is the version of the API that is served. It is what kubectl
// compares its own with.
var serverVersion = version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.2+batch", GitTreeState: "clean",
	GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH}

// groupVersions are in the order of the table of resources; there is one version
// of each group.
func (s *Server) groupVersions() []schema.GroupVersion {
	var list []schema.GroupVersion
	for _, r := range s.kinds {
		if gv := r.GroupVersion(); len(list) == 0 || list[len(list)-1] != gv {
			list = append(list, gv)
		}
	}
	return list
}

// discover answers /api and /apis, in the form that the client prefers.
func (a *answer) discover(groups bool) error {
	a.Writer.Header().Set("Vary", "Accept")
	form, err := wire.Negotiate(a.Request, wire.AsDiscovery2)
	if err != nil {
		return err
	}
	if form == wire.AsDiscovery2 {
		return a.WriteJSON(http.StatusOK, aggregatedType, a.server.aggregated(groups))
	}
	if !groups {
		return a.WriteJSON(http.StatusOK, wire.JSON, metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"},
			Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{
				ClientCIDR: "0.0.0.0/0", ServerAddress: a.Request.Host,
			}},
		})
	}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, gv := range a.server.groupVersions() {
		if gv.Group != "" {
			list.Groups = append(list.Groups, apiGroup(gv))
		}
	}
	return a.WriteJSON(http.StatusOK, wire.JSON, list)
}

func apiGroup(gv schema.GroupVersion) metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	return metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
}

func (s *Server) resourceList(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String(),
	}
	for _, r := range s.kinds {
		if r.GroupVersion() != gv {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.Plural, SingularName: r.Singular,
			Namespaced: r.Namespaced, Kind: r.Kind, Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories})
		for _, sub := range shownParts(r) {
			kind := cmp.Or(sub.Kind, schema.GroupVersionKind{Kind: r.Kind})
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.Plural + "/" + sub.Name,
				Namespaced: r.Namespaced, Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Verbs: sub.Verbs})
		}
	}
	return list
}

// aggregated is all of discovery in one document: that of the core group, or of
// the others.
func (s *Server) aggregated(groups bool) discoveryv2.APIGroupDiscoveryList {
	list := discoveryv2.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2"}}
	for _, gv := range s.groupVersions() {
		if (gv.Group != "") != groups {
			continue
		}
		v := discoveryv2.APIVersionDiscovery{Version: gv.Version, Freshness: discoveryv2.DiscoveryFreshnessCurrent}
		for _, r := range s.kinds {
			if r.GroupVersion() == gv {
				v.Resources = append(v.Resources, discoveryOf(r))
			}
		}
		list.Items = append(list.Items, discoveryv2.APIGroupDiscovery{
			ObjectMeta: metav1.ObjectMeta{Name: gv.Group}, Versions: []discoveryv2.APIVersionDiscovery{v}})
	}
	return list
}

// shownParts are the parts that are served.
func shownParts(r *kinds.Kind) []kinds.Part {
	return slices.DeleteFunc(slices.Clone(r.Parts), func(p kinds.Part) bool { return len(p.Verbs) == 0 })
}

func discoveryOf(r *kinds.Kind) discoveryv2.APIResourceDiscovery {
	scope := discoveryv2.ScopeCluster
	if r.Namespaced {
		scope = discoveryv2.ScopeNamespace
	}
	kind := &metav1.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
	d := discoveryv2.APIResourceDiscovery{Resource: r.Plural, ResponseKind: kind, Scope: scope,
		SingularResource: r.Singular,
		Verbs:            r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories}
	for _, sub := range shownParts(r) {
		d.Subresources = append(d.Subresources, discoveryv2.APISubresourceDiscovery{Subresource: sub.Name,
			ResponseKind: new(metav1.GroupVersionKind(cmp.Or(sub.Kind, r.GroupVersionKind))), Verbs: sub.Verbs})
	}
	return d
}
