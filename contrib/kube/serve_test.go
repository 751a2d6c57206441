package kube

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
)

// Types of a kubeconfig, which is what package clientcmd of client-go reads.
type (
	kubeconfig struct {
		APIVersion     string         `json:"apiVersion"`
		Kind           string         `json:"kind"`
		Clusters       []namedCluster `json:"clusters"`
		Users          []namedUser    `json:"users"`
		Contexts       []namedContext `json:"contexts"`
		CurrentContext string         `json:"current-context"`
	}
	namedCluster struct {
		Name    string  `json:"name"`
		Cluster cluster `json:"cluster"`
	}
	cluster struct {
		Server    string `json:"server"`
		Authority []byte `json:"certificate-authority-data"`
	}
	namedUser struct {
		Name string `json:"name"`
		User user   `json:"user"`
	}
	user struct {
		Token string `json:"token"`
	}
	namedContext struct {
		Name    string         `json:"name"`
		Context contextOptions `json:"context"`
	}
	contextOptions struct {
		Cluster   string `json:"cluster"`
		User      string `json:"user"`
		Namespace string `json:"namespace"`
	}
)

// A service is a controller and a listener that serves it.
type service struct {
	testing.TB
	controller *batch.Controller
	listener   *Listener
	client     *http.Client
	stop       func() error // ends Serve, and returns what it does
}

func newController(t testing.TB) *batch.Controller {
	t.Helper()
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, c.Shutdown(ctx))
	})
	return c
}

// serve serves. Adjust may change the server before.
func serve(t testing.TB, l ListenOptions, adjust func(*http.Server)) *service {
	t.Helper()
	c := newController(t)
	listener, err := Listen(c, Options{}, l)
	require.NoError(t, err)
	if adjust != nil {
		adjust(listener.server)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- listener.Serve(ctx) }()
	stopped := false
	s := &service{TB: t, controller: c, listener: listener, client: clientOf(t, listener.Kubeconfig())}
	s.stop = func() error {
		cancel()
		stopped = true
		return <-result
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if !stopped {
			require.NoError(t, s.stop())
		}
	})
	return s
}

// clientOf is a client that trusts the certificate of a kubeconfig, and no other.
func clientOf(t testing.TB, text []byte) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(parseKubeconfig(t, text).Clusters[0].Cluster.Authority))
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
}

func parseKubeconfig(t testing.TB, text []byte) (config kubeconfig) {
	t.Helper()
	require.NoError(t, yaml.UnmarshalStrict(text, &config))
	return config
}

// get asks with some Authorization.
func (s *service) get(ctx context.Context, url, authorization string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(s, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return s.client.Do(r)
}

func TestListen_LetsInWhoHasTheToken(t *testing.T) {
	s := serve(t, ListenOptions{}, nil)
	other := strings.Repeat("A", len(s.listener.token))
	for name, c := range map[string]struct {
		authorization string
		code          int
	}{
		"the token":                       {authorization: "Bearer " + s.listener.token, code: http.StatusOK},
		"the scheme in other case":        {authorization: "bearer " + s.listener.token, code: http.StatusOK},
		"no token":                        {code: http.StatusUnauthorized},
		"an empty one":                    {authorization: "Bearer ", code: http.StatusUnauthorized},
		"another one":                     {authorization: "Bearer " + other, code: http.StatusUnauthorized},
		"a part of it":                    {authorization: "Bearer " + s.listener.token[1:], code: http.StatusUnauthorized},
		"more than it":                    {authorization: "Bearer " + s.listener.token + "A", code: http.StatusUnauthorized},
		"the token without a scheme":      {authorization: s.listener.token, code: http.StatusUnauthorized},
		"the token in the form of Basic":  {authorization: "Basic " + s.listener.token, code: http.StatusUnauthorized},
		"the token behind two white ones": {authorization: "Bearer  " + s.listener.token, code: http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := s.get(t.Context(), s.listener.URL()+"/api", c.authorization)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, c.code, response.StatusCode)
			require.Equal(t, "HTTP/2.0", response.Proto)
		})
	}
}

func TestListen_TokensAreLongAndNew(t *testing.T) {
	one, err := newCredentials()
	require.NoError(t, err)
	two, err := newCredentials()
	require.NoError(t, err)
	require.NotEqual(t, one.token, two.token)
	require.Len(t, one.token, 43) // 256 bits, 6 a character
}

func TestListen_RefusesAddressesThatOthersCanReach(t *testing.T) {
	for name, c := range map[string]struct {
		options ListenOptions
		message string // of the error; empty: there is none
	}{
		"nothing said":           {options: ListenOptions{}},
		"loopback":               {options: ListenOptions{Addr: "127.0.0.1:0"}},
		"all of 127 is loopback": {options: ListenOptions{Addr: "127.9.9.9:0"}},
		"a name of loopback":     {options: ListenOptions{Addr: "localhost:0"}},
		"no host is all": {
			options: ListenOptions{Addr: ":0"},
			message: `kube: Addr ":0" can be reached from other machines, and AllowRemote is not set`,
		},
		"all of IPv4":            {options: ListenOptions{Addr: "0.0.0.0:0"}, message: "AllowRemote is not set"},
		"all of IPv6":            {options: ListenOptions{Addr: "[::]:0"}, message: "AllowRemote is not set"},
		"another address":        {options: ListenOptions{Addr: "192.0.2.1:0"}, message: "AllowRemote is not set"},
		"all, if that is wanted": {options: ListenOptions{Addr: ":0", AllowRemote: true}},
		"no port":                {options: ListenOptions{Addr: "127.0.0.1"}, message: `kube: Addr "127.0.0.1": `},
		"an address of no machine": {
			options: ListenOptions{Addr: "192.0.2.1:0", AllowRemote: true}, message: "kube: listen tcp 192.0.2.1:0: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := Listen(newController(t), Options{}, c.options)
			if c.message != "" {
				require.ErrorContains(t, err, c.message)
				return
			}
			require.NoError(t, err)
			require.NoError(t, listener.Close())
		})
	}
}

func TestListen_AuthenticatesAlone(t *testing.T) {
	_, err := Listen(
		newController(t), Options{Authenticate: func(*http.Request) (string, error) { return "", nil }}, ListenOptions{},
	)
	require.ErrorContains(t, err, "Options.Authenticate must be nil")
}

func TestListen_CertificateIsForEveryNameOfTheServer(t *testing.T) {
	s := serve(t, ListenOptions{Hosts: []string{"jobs.example", "192.0.2.7"}}, nil)
	leaf := s.listener.certificate.Leaf
	require.Equal(t, x509.ECDSA, leaf.PublicKeyAlgorithm)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "jobs.example", "192.0.2.7"} {
		require.NoError(t, leaf.VerifyHostname(name), name)
	}
	require.Error(t, leaf.VerifyHostname("other.example"))

	_, port, err := net.SplitHostPort(s.listener.listener.Addr().String())
	require.NoError(t, err)
	response, err := s.get(t.Context(), "https://localhost:"+port+"/api", "Bearer "+s.listener.token)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func TestListen_ClientsDialAHostTheyCanReach(t *testing.T) {
	for name, c := range map[string]struct {
		options ListenOptions
		prefix  string
	}{
		"the host of the address": {options: ListenOptions{Addr: "127.0.0.5:0"}, prefix: "https://127.0.0.5:"},
		"loopback if all are listened on": {
			options: ListenOptions{Addr: ":0", AllowRemote: true}, prefix: "https://127.0.0.1:",
		},
		"the first host of those on offer": {
			options: ListenOptions{Addr: ":0", AllowRemote: true, Hosts: []string{"a.example", "b.example"}},
			prefix:  "https://a.example:",
		},
		"not a host if the address has one": {
			options: ListenOptions{Addr: "127.0.0.1:0", Hosts: []string{"a.example"}}, prefix: "https://127.0.0.1:",
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := Listen(newController(t), Options{}, c.options)
			require.NoError(t, err)
			defer listener.Close()
			require.True(t, strings.HasPrefix(listener.URL(), c.prefix), listener.URL())
		})
	}
}

func TestWriteKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	listener, err := Listen(newController(t), Options{Namespace: "night"}, ListenOptions{Kubeconfig: path})
	require.NoError(t, err)
	defer listener.Close()

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(listener.Kubeconfig()), string(text))
	config := parseKubeconfig(t, text)
	require.Equal(t, listener.URL(), config.Clusters[0].Cluster.Server)
	require.Equal(t, listener.token, config.Users[0].User.Token)
	require.Equal(t, contextOptions{"batch", "batch", "night"}, config.Contexts[0].Context)
	require.Equal(t, config.Contexts[0].Name, config.CurrentContext)
}

func TestWriteKubeconfig_ReplacesOnlyItsOwn(t *testing.T) {
	c := newController(t)
	path := filepath.Join(t.TempDir(), "config")
	for range 2 {
		listener, err := Listen(c, Options{}, ListenOptions{Kubeconfig: path})
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(listener.Kubeconfig()), string(text))
		require.NoError(t, listener.Close())
	}

	const theirs = "apiVersion: v1\nkind: Config\n"
	require.NoError(t, os.WriteFile(path, []byte(theirs), 0o600))
	_, err := Listen(c, Options{}, ListenOptions{Kubeconfig: path})
	require.ErrorIs(t, err, fs.ErrExist)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, theirs, string(text))
}

func TestWriteKubeconfig_LeavesNothingIfItCannot(t *testing.T) {
	dir := t.TempDir()
	_, err := Listen(newController(t), Options{}, ListenOptions{Kubeconfig: filepath.Join(dir, "missing", "config")})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "kube: write kubeconfig: ")

	require.Error(t, replaceFile(dir, nil)) // a folder is not replaced
	left, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	for _, file := range left {
		require.False(t, strings.HasPrefix(file.Name(), ".kubeconfig-"), file.Name())
	}
}

func TestServe_EndsWatchesAndLetsGoOfThePort(t *testing.T) {
	s := serve(t, ListenOptions{}, nil)
	response, err := s.get(t.Context(), s.listener.URL()+"/apis/batch/v1/jobs?watch=true", "Bearer "+s.listener.token)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	start := time.Now()
	require.NoError(t, s.stop())
	require.Less(t, time.Since(start), goodbyeTime)
	_, err = io.ReadAll(response.Body)
	require.NoError(t, err, "the watch has an end, not a break")
	_, err = net.Dial("tcp", s.listener.listener.Addr().String())
	require.Error(t, err)
}

func TestServe_ListensAndServes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Serve(ctx, newController(t), Options{}, ListenOptions{Kubeconfig: path}) }()
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, 2*time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-result)

	require.ErrorContains(t, Serve(t.Context(), newController(t), Options{}, ListenOptions{Addr: ":0"}), "AllowRemote")
}

func TestServe_TellsWhyItGaveUp(t *testing.T) {
	listener, err := Listen(newController(t), Options{}, ListenOptions{})
	require.NoError(t, err)
	broken := errors.New("broken")
	require.NoError(t, listener.listener.Close())
	listener.listener = brokenListener{listener.listener, broken}
	require.ErrorIs(t, listener.Serve(t.Context()), broken)
}

// A brokenListener cannot accept.
type brokenListener struct {
	net.Listener
	err error
}

func (l brokenListener) Accept() (net.Conn, error) { return nil, l.err }

func TestServe_LimitsTheTimeAndTheSizeOfHeaders(t *testing.T) {
	s := serve(t, ListenOptions{}, func(server *http.Server) {
		require.Equal(t, headerTime, server.ReadHeaderTimeout)
		server.ReadHeaderTimeout = 100 * time.Millisecond
	})
	dial := func() *tls.Conn {
		config := s.client.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.NextProtos = []string{"http/1.1"}
		conn, err := tls.Dial("tcp", s.listener.listener.Addr().String(), config)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
		return conn
	}

	t.Run("a header without an end", func(t *testing.T) {
		conn := dial()
		_, err := io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: localhost\r\n")
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.NoError(t, err, "the server hangs up")
	})
	t.Run("a header that is too large", func(t *testing.T) {
		response, err := s.get(t.Context(), s.listener.URL()+"/api", "Bearer "+strings.Repeat("A", 2*largestHead))
		if err != nil {
			return // hung up while the header was still being sent
		}
		defer response.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	})
	t.Run("clients without TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.listener.listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.0 400 Bad Request\r\n", line)
	})
}

func TestLimitBodies(t *testing.T) {
	seen := make(chan time.Time, 1)
	h := limitBodies(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func(body io.Reader) bool {
		begun := time.Now()
		h.ServeHTTP(deadlines{seen: seen}, httptest.NewRequest(http.MethodPost, "/", body))
		select {
		case deadline := <-seen:
			require.WithinRange(t, deadline, begun.Add(bodyTime), time.Now().Add(bodyTime))
			return true
		default:
			return false
		}
	}
	require.True(t, ask(strings.NewReader("{}")), "a body")
	require.True(t, ask(io.MultiReader(strings.NewReader("{}"))), "a body of unknown length")
	require.False(t, ask(nil), "no body: it may be a watch")
}

// deadlines is a response that tells which deadline is set for reading.
type deadlines struct {
	http.ResponseWriter
	seen chan time.Time
}

func (d deadlines) SetReadDeadline(t time.Time) error { d.seen <- t; return nil }
