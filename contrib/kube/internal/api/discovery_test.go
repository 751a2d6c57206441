package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	discoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

const (
	acceptV2      = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	acceptV2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
)

func TestAggregatedDiscovery(t *testing.T) {
	w := newWorld(t, Config{})
	var resources []string
	for _, path := range []string{"/api", "/apis"} {
		rec := w.do(call{
			method: "GET", path: path + "?timeout=32s", accept: acceptV2 + "," + acceptV2beta1 + ",application/json",
		})
		var list discoveryv2.APIGroupDiscoveryList
		w.read(rec, http.StatusOK, &list)
		require.Equal(
			t, "application/json;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList;v=v2", rec.Header().Get("Content-Type"),
		)
		require.Equal(t, "Accept", rec.Header().Get("Vary"))
		for _, group := range list.Items {
			for _, v := range group.Versions {
				require.Equal(t, discoveryv2.DiscoveryFreshnessCurrent, v.Freshness)
				for _, r := range v.Resources {
					resources = append(resources, strings.Trim(group.Name+"/"+v.Version+"/"+r.Resource, "/"))
				}
			}
		}

		var plain metav1.TypeMeta
		w.read(w.do(call{method: "GET", path: path, accept: acceptV2beta1 + ",application/json"}), http.StatusOK, &plain)
		require.NotEqual(t, "APIGroupDiscoveryList", plain.Kind, "kubectl up to 1.29 then asks for one group after the other")
	}
	require.Equal(t, []string{"v1/events", "v1/namespaces", "v1/pods", "batch/v1/jobs", "events.k8s.io/v1/events",
		"authentication.k8s.io/v1/selfsubjectreviews", "authorization.k8s.io/v1/selfsubjectaccessreviews",
		"authorization.k8s.io/v1/selfsubjectrulesreviews"}, resources)
}

func TestPlainDiscovery(t *testing.T) {
	w := newWorld(t, Config{})
	var versions metav1.APIVersions
	w.get("/api", &versions)
	require.Equal(t, []string{"v1"}, versions.Versions)
	var groups metav1.APIGroupList
	w.get("/apis", &groups)
	require.Len(t, groups.Groups, 4)
	for _, g := range groups.Groups {
		var group metav1.APIGroup
		w.get("/apis/"+g.Name, &group)
		require.Equal(t, g.Name, group.Name)
		require.Equal(t, g.PreferredVersion, group.PreferredVersion)
		var list metav1.APIResourceList
		w.get("/apis/"+g.PreferredVersion.GroupVersion, &list)
		require.Equal(t, g.PreferredVersion.GroupVersion, list.GroupVersion)
		require.NotEmpty(t, list.APIResources)
	}
	var core metav1.APIResourceList
	w.get("/api/v1", &core)
	var names []string
	for _, r := range core.APIResources {
		names = append(names, r.Name)
	}
	require.Equal(
		t, []string{"events", "namespaces", "namespaces/status", "pods", "pods/eviction", "pods/log", "pods/status"}, names,
	)
}

func TestProbes(t *testing.T) {
	w := newWorld(t, Config{})
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/healthz/"} {
		rec := w.do(call{method: "GET", path: path})
		require.Equal(t, http.StatusOK, rec.Code)
		require.Equal(t, "ok", rec.Body.String())
		w.fails(w.do(call{method: "POST", path: path}), http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	}
	for _, path := range []string{"/version", "/version/"} {
		var v version.Info
		w.get(path, &v)
		require.Equal(t, "1", v.Major)
	}
}

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	for _, path := range []string{"/", "/api/v2", "/apis/batch/v2", "/apis/apps/v1", "/apis/batch/v1/cronjobs",
		"/api/v1/nodes",
		"/api/v1/namespaces/default/jobs", "/api/v1/namespaces/default/pods/p/log/x", "/api/v1/namespaces//pods",
		"/apis/batch/v1/jobs/x", "/apis/batch/v1/namespaces/default/jobs/x/unknown", "/openapi/v3/apis/apps/v1",
		"/apis/batch/v1/namespaces/default", "/apis/authorization.k8s.io/v1/namespaces/default/selfsubjectaccessreviews"} {
		status := w.fails(w.do(call{method: "GET", path: path}), http.StatusNotFound, metav1.StatusReasonNotFound)
		require.True(t, strings.HasPrefix(status.Message, "the server could not find the requested resource"), path)
	}
	for _, path := range []string{"/api/v1/namespaces/default/secrets",
		"/apis/coordination.k8s.io/v1/namespaces/default/leases/x"} {
		status := w.fails(w.do(call{method: "GET", path: path}), http.StatusNotFound, metav1.StatusReasonNotFound)
		require.Regexp(
			t, "(secrets|leases) are not served here, there are only jobs, their pods and their events$", status.Message,
		)
	}
}

func TestRefusedVerbs(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	for _, c := range []call{
		{method: "POST", path: podsPath}, {method: "PUT", path: podsPath + "/x"}, {
			method: "PATCH", path: "/api/v1/namespaces/default/events/x",
		},
		{method: "DELETE", path: "/api/v1/namespaces/default"}, {method: "POST", path: "/api/v1/namespaces"},
		{method: "OPTIONS", path: jobsPath}, {method: "TRACE", path: jobsPath},
		{method: "GET", path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"},
		{method: "PUT", path: jobsPath}, {method: "PATCH", path: jobsPath},
		{method: "POST", path: jobsPath + "/x/status"}, {method: "PATCH", path: podsPath + "/x/status"},
	} {
		w.fails(w.do(c), http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed)
	}
	for _, part := range []string{"exec", "attach", "portforward", "ephemeralcontainers", "proxy"} {
		status := w.fails(
			w.do(call{method: "POST", path: podsPath + "/x/" + part}), http.StatusNotImplemented, "NotImplemented",
		)
		require.Contains(t, status.Message, part+" is not supported by this server")
	}
	w.fails(w.do(call{method: "PATCH", path: jobsPath + "/x/scale"}), http.StatusNotImplemented, "NotImplemented")
}
