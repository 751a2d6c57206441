package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHosts(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://evil.example/api", nil)
	for _, hosts := range [][]string{nil, {"evil.example"}} {
		w := httptest.NewRecorder()
		newWorld(t, Config{Hosts: hosts}).server.ServeHTTP(w, r)
		require.Equal(t, hosts == nil, strings.Contains(w.Body.String(), "the host name of this request"))
	}
}

// TestExecOfPython asks as Python's client does: with the server's own address for
// an origin.
func TestExecOfPython(t *testing.T) {
	w := newWorld(t, Config{})
	status := w.fails(w.do(call{method: "GET", path: podsPath + "/x/exec?command=ls", header: map[string]string{
		"Origin": "http://localhost", "Connection": "Upgrade", "Upgrade": "websocket"}}), http.StatusNotImplemented,
		"NotImplemented")
	require.Contains(t, status.Message, "exec, attach and portforward are not supported by this server")
}

// TestOpenProbes wants probes to be answered to anybody, and nothing else.
func TestOpenProbes(t *testing.T) {
	nobody := func(*http.Request) (string, error) { return "", errors.New("no") }
	for _, open := range []bool{false, true} {
		w := newWorld(t, Config{Authenticate: nobody, OpenProbes: open})
		for _, path := range []string{"/healthz", "/readyz", "/livez/"} {
			want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[open]
			require.Equal(t, want, w.do(call{method: "GET", path: path}).Code)
			require.Equal(t, want, w.do(call{method: "HEAD", path: path}).Code)
		}
		for _, path := range []string{jobsPath, "/version", "/healthz/x", "/api"} {
			require.Equal(t, http.StatusUnauthorized, w.do(call{method: "GET", path: path}).Code)
		}
	}
}

func TestCrossSiteRequests(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	for _, header := range []map[string]string{
		{
			"Origin": "https://evil.example",
		}, {"Origin": "null"}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "cross-site"},
		{"Impersonate-User": "root"}, {"Impersonate-Extra-Scopes": "x"},
	} {
		w.fails(w.do(call{method: "GET", path: jobsPath, header: header}), http.StatusForbidden, metav1.StatusReasonForbidden)
		w.fails(
			w.do(call{method: "GET", path: "/healthz", header: header}), http.StatusForbidden, metav1.StatusReasonForbidden,
		)
	}
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x", "nonsense;;"} {
		for _, c := range []call{{method: "POST", path: jobsPath}, {method: "PATCH", path: jobsPath + "/x"}} {
			c.contentType, c.body = contentType, manifest("a", "hello", "")
			w.fails(w.do(c), http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType)
		}
	}
	require.Empty(t, w.server.host.Cache.List(0, "").Objects)
}

func TestAuthentication(t *testing.T) {
	w := newWorld(t, Config{Authenticate: func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") == "Bearer right" {
			return "me", nil
		}
		return "", errors.New("wrong")
	}})
	for _, path := range []string{jobsPath, "/api", "/healthz", "/nowhere"} {
		w.fails(w.do(call{method: "GET", path: path}), http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	}
	require.Equal(t, http.StatusOK,
		w.do(call{method: "GET", path: jobsPath, header: map[string]string{"Authorization": "Bearer right"}}).Code)
}

func TestReadOnly(t *testing.T) {
	w := newWorld(t, Config{})
	for _, c := range []call{
		{method: "POST", path: jobsPath, body: manifest("a", "hello", "")},
		{method: "POST", path: jobsPath + "?dryRun=All", body: manifest("a", "hello", "")},
		{method: "PUT", path: jobsPath + "/a", body: manifest("a", "hello", "")},
		{method: "PATCH", path: jobsPath + "/a", body: "{}", contentType: "application/merge-patch+json"},
		{method: "PATCH", path: jobsPath + "/a", body: "{}", contentType: "application/apply-patch+yaml"},
		{method: "DELETE", path: jobsPath + "/a"}, {method: "DELETE", path: jobsPath},
		{method: "DELETE", path: podsPath + "/a"}, {method: "DELETE", path: podsPath},
	} {
		status := w.fails(w.do(c), http.StatusForbidden, metav1.StatusReasonForbidden)
		require.Contains(t, status.Message, "the server is read-only")
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	w.fails(w.do(call{method: "GET", path: jobsPath + "?labelSelector=" + strings.Repeat("a", longestURI)}),
		http.StatusRequestURITooLong, "RequestURITooLong")
	w.fails(w.do(call{method: "POST", path: jobsPath, body: strings.Repeat(" ", wire.LargestBody+1)}),
		http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge)
	w.fails(w.do(call{method: "PATCH", path: jobsPath + "/a", body: strings.Repeat(" ", largestPatch+1),
		contentType: "application/merge-patch+json"}), http.StatusRequestEntityTooLarge,
		metav1.StatusReasonRequestEntityTooLarge)
}

func TestPanicIsAnswered(t *testing.T) {
	w := newWorld(t, Config{Authenticate: func(*http.Request) (string, error) { panic("oops") }})
	w.fails(w.do(call{method: "GET", path: jobsPath}), http.StatusInternalServerError, metav1.StatusReasonInternalError)
}
