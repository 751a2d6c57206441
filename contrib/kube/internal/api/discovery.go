package api

import (
	"net/http"
	"runtime"
	"strings"

	discoveryv2 "k8s.io/api/apidiscovery/v2"
	discoveryv2beta1 "k8s.io/api/apidiscovery/v2beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// aggregatedType is the content type by which clients recognize the aggregated
// form of discovery.
const aggregatedType = jsonType + ";g=apidiscovery.k8s.io;as=APIGroupDiscoveryList;v="

// plain returns what answers a GET of a path that is no resource; nil if there
// is none.
func (s *Server) plain(path string) func(*answer) error {
	path = strings.TrimSuffix(path, "/")
	switch path {
	case "/healthz", "/livez", "/readyz":
		return func(a *answer) error { return a.write(http.StatusOK, "text/plain; charset=utf-8", []byte("ok")) }
	case "/version":
		return func(a *answer) error { return a.writeJSON(http.StatusOK, jsonType, serverVersion) }
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
			return func(a *answer) error { return a.writeJSON(http.StatusOK, jsonType, s.resourceList(gv)) }
		case "/apis/" + gv.Group:
			return func(a *answer) error {
				group := apiGroup(gv)
				group.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
				return a.writeJSON(http.StatusOK, jsonType, group)
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
	if a.r.Method != http.MethodGet && a.r.Method != http.MethodHead {
		return notAllowed()
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
	for _, r := range s.resources {
		if gv := r.groupVersion(); len(list) == 0 || list[len(list)-1] != gv {
			list = append(list, gv)
		}
	}
	return list
}

// discover answers /api and /apis, in the form that the client prefers.
func (a *answer) discover(groups bool) error {
	a.w.Header().Set("Vary", "Accept")
	form, err := negotiate(a.r, asDiscovery2, asDiscovery2beta1)
	if err != nil {
		return err
	}
	switch form {
	case asDiscovery2:
		return a.writeJSON(http.StatusOK, aggregatedType+"v2", a.server.aggregated(groups))
	case asDiscovery2beta1:
		return a.writeJSON(http.StatusOK, aggregatedType+"v2beta1", olderForm(a.server.aggregated(groups)))
	}
	if !groups {
		return a.writeJSON(http.StatusOK, jsonType, metav1.APIVersions{
			TypeMeta:                   metav1.TypeMeta{Kind: "APIVersions"},
			Versions:                   []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: a.r.Host}},
		})
	}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for _, gv := range a.server.groupVersions() {
		if gv.Group != "" {
			list.Groups = append(list.Groups, apiGroup(gv))
		}
	}
	return a.writeJSON(http.StatusOK, jsonType, list)
}

func apiGroup(gv schema.GroupVersion) metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	return metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
}

func (s *Server) resourceList(gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, r := range s.resources {
		if r.groupVersion() != gv {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.name, SingularName: r.singular,
			Namespaced: r.namespaced, Kind: r.kind, Verbs: r.verbs, ShortNames: r.shortNames, Categories: r.categories})
		for _, sub := range r.subresources {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.name + "/" + sub.name,
				Namespaced: r.namespaced, Kind: r.kind, Verbs: sub.verbs})
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
		for _, r := range s.resources {
			if r.groupVersion() == gv {
				v.Resources = append(v.Resources, r.discovery())
			}
		}
		list.Items = append(list.Items, discoveryv2.APIGroupDiscovery{
			ObjectMeta: metav1.ObjectMeta{Name: gv.Group}, Versions: []discoveryv2.APIVersionDiscovery{v}})
	}
	return list
}

func (r *resource) discovery() discoveryv2.APIResourceDiscovery {
	scope := discoveryv2.ScopeCluster
	if r.namespaced {
		scope = discoveryv2.ScopeNamespace
	}
	kind := &metav1.GroupVersionKind{Group: r.group, Version: r.version, Kind: r.kind}
	d := discoveryv2.APIResourceDiscovery{Resource: r.name, ResponseKind: kind, Scope: scope, SingularResource: r.singular,
		Verbs: r.verbs, ShortNames: r.shortNames, Categories: r.categories}
	for _, sub := range r.subresources {
		d.Subresources = append(d.Subresources, discoveryv2.APISubresourceDiscovery{
			Subresource: sub.name, ResponseKind: kind, Verbs: sub.verbs})
	}
	return d
}

// olderForm is the document as kubectl before 1.30 reads it.
func olderForm(list discoveryv2.APIGroupDiscoveryList) discoveryv2beta1.APIGroupDiscoveryList {
	older := discoveryv2beta1.APIGroupDiscoveryList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupDiscoveryList", APIVersion: "apidiscovery.k8s.io/v2beta1"}}
	for _, group := range list.Items {
		g := discoveryv2beta1.APIGroupDiscovery{ObjectMeta: group.ObjectMeta}
		for _, v := range group.Versions {
			g.Versions = append(g.Versions, olderVersion(v))
		}
		older.Items = append(older.Items, g)
	}
	return older
}

func olderVersion(v discoveryv2.APIVersionDiscovery) discoveryv2beta1.APIVersionDiscovery {
	older := discoveryv2beta1.APIVersionDiscovery{Version: v.Version, Freshness: discoveryv2beta1.DiscoveryFreshnessCurrent}
	for _, r := range v.Resources {
		o := discoveryv2beta1.APIResourceDiscovery{Resource: r.Resource, ResponseKind: r.ResponseKind,
			Scope: discoveryv2beta1.ResourceScope(r.Scope), SingularResource: r.SingularResource,
			Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories}
		for _, sub := range r.Subresources {
			o.Subresources = append(o.Subresources, discoveryv2beta1.APISubresourceDiscovery{
				Subresource: sub.Subresource, ResponseKind: sub.ResponseKind, Verbs: sub.Verbs})
		}
		older.Resources = append(older.Resources, o)
	}
	return older
}
