package kube

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCredentials_SurviveARestart keeps a client, with its kubeconfig of before,
// over a restart that has changed the names of the server.
func TestCredentials_SurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	const host = "127.55.4.3" // where no other test looks for a port
	first := serve(t, ListenOptions{Credentials: file, Addr: host + ":0"}, nil)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, first.stop())

	_, port, err := net.SplitHostPort(first.listener.listener.Addr().String())
	require.NoError(t, err)
	second := serve(
		t, ListenOptions{Credentials: file, Addr: net.JoinHostPort(host, port), Hosts: []string{"jobs.test"}}, nil,
	)
	require.NotEqual(t, first.listener.certificate.Certificate, second.listener.certificate.Certificate)
	response, err := first.get(t.Context(), first.listener.URL()+"/api", "Bearer "+first.listener.token)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	stranger := serve(t, ListenOptions{}, nil)
	_, err = stranger.get(t.Context(), second.listener.URL()+"/api", "")
	require.ErrorContains(t, err, "certificate")
}

func TestCredentials_RefusesOpenAndOtherFiles(t *testing.T) {
	good, err := newCredentials()
	require.NoError(t, err)
	text, err := good.encode()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text    string
		mode    os.FileMode
		message string
	}{
		"others may read it": {
			text: string(text), mode: 0o640, message: "others than its owner have access to it (mode 0640, must be 0600)",
		},
		"nothing in it": {mode: 0o600, message: "has no BATCH TOKEN and PRIVATE KEY"},
		"half of it":    {text: string(text[:len(text)/3]), mode: 0o600, message: "has no BATCH TOKEN and PRIVATE KEY"},
		"another key": {
			text: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", mode: 0o600, message: "asn1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			require.NoError(t, os.WriteFile(file, []byte(c.text), c.mode))
			require.NoError(t, os.Chmod(file, c.mode))
			_, err := Listen(newController(t), Options{}, ListenOptions{Credentials: file})
			require.ErrorContains(t, err, "kube: Credentials: ")
			require.ErrorContains(t, err, c.message)
		})
	}
	again, err := decodeCredentials(text)
	require.NoError(t, err)
	require.Equal(t, good, again)
}
