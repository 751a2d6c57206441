package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/pgtest"
)

// processVariable makes a process the program itself.
const processVariable = "SERVICE_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(processVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// A process is the program, run by the system.
type process struct {
	cmd *exec.Cmd
	url string
}

func startProcess(t *testing.T, postgres string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-postgres", postgres, "-addr", "127.0.0.1:0", "-root", t.TempDir())
	cmd.Env, cmd.Stderr = append(os.Environ(), processVariable+"=1"), t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the service says where it listens")
	go io.Copy(io.Discard, out)
	return &process{cmd, strings.TrimPrefix(lines.Text(), "listening on ")}
}

// create asks for a countdown, and returns the status of the answer and its text.
func (p *process) create(t *testing.T, name string) (int, string) {
	t.Helper()
	body := `{"kind":"countdown","name":"` + name + `","seconds":2}`
	res, err := http.Post(p.url+"/jobs", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// waitFor waits until a job is in a state, as this process shows it.
func (p *process) waitFor(t *testing.T, name, state string) {
	t.Helper()
	for {
		res, err := http.Get(p.url + "/jobs/" + name)
		require.NoError(t, err)
		var job struct{ State, Explain string }
		if res.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(res.Body).Decode(&job))
		}
		require.NoError(t, res.Body.Close())
		if job.State == state {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			require.Fail(t, "the job is not "+state, job.Explain)
		}
	}
}

// Three processes, of which one works: the others show its jobs, and name it when they
// are asked to change one. When it is killed, another one does them.
func TestReplicas(t *testing.T) {
	folder, err := os.MkdirTemp("", "replicas-") // that of the test is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	server, err := pgtest.Start(folder)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop("immediate")) })
	var all []*process
	for range 3 {
		all = append(all, startProcess(t, server.URL()))
	}
	code, text := all[0].create(t, "first")
	require.Equal(t, http.StatusCreated, code, text)
	for _, p := range all[1:] {
		p.waitFor(t, "first", "Running")
		code, text := p.create(t, "second")
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.Contains(t, text, "store is in use by another controller: process ")
	}
	require.NoError(t, all[0].cmd.Process.Kill())
	for _, p := range all[1:] {
		p.waitFor(t, "first", "Complete")
	}
	for _, p := range all[1:] {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.cmd.Wait())
	}
}
