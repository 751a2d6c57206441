package prometheus_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runtocompletion/batch/internal/effort"
	"github.com/stretchr/testify/require"
)

// tool finds a program of Debian's package prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	effort.Need(t, err)
	return path
}

// promtool runs promtool and returns what it says.
func promtool(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, "promtool"), args...)
	cmd.Stdin = strings.NewReader(input)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return string(output)
}

// patience is how long anything that a Prometheus does may take.
const patience = 2 * time.Minute

// A server is a Prometheus that scrapes a service five times a second.
type server struct {
	testing.TB
	url string
}

// startServer starts a Prometheus, which runs until the test ends.
func startServer(t *testing.T, target, rules string) server {
	t.Helper()
	program, dir := tool(t, "prometheus"), t.TempDir()
	write(t, filepath.Join(dir, "rules.yml"), rules)
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: service, static_configs: [{targets: [%q]}]}
`, target))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address, read := make(chan string, 1), make(chan string, 1)
	go func() { read <- findAddress(log, address) }()
	t.Cleanup(func() {
		cancel()
		text := <-read
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("prometheus: %v\n%s", err, text)
		}
	})
	select {
	case found := <-address:
		return server{t, "http://" + found}
	case text := <-read:
		read <- text
		require.FailNow(t, "prometheus has ended")
	case <-time.After(patience):
		require.FailNow(t, "prometheus does not listen")
	}
	return server{}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

var listening = regexp.MustCompile(`address=(127\.0\.0\.1:[1-9][0-9]*)`)

// findAddress reads the log to its end, which it returns, and gives the address
// that the server listens on as soon as the log has it.
func findAddress(log interface{ Read([]byte) (int, error) }, address chan<- string) string {
	var text bytes.Buffer
	lines := bufio.NewScanner(log)
	isFound := false
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && !isFound {
			isFound = true
			address <- m[1]
		}
	}
	return text.String()
}

// alerts are the alerts that fire, as "KubeJobFailed nightly".
func (s server) alerts() []string {
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if !s.get("/api/v1/alerts", &answer) {
		return nil
	}
	firing := []string{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			firing = append(firing, a.Labels["alertname"]+" "+a.Labels["job_name"])
		}
	}
	return firing
}

// get reports whether there was an answer: the server may not be ready yet.
func (s server) get(path string, answer any) bool {
	response, err := http.Get(s.url + path)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(answer) == nil
}

// eventually waits until exactly these alerts fire.
func (s server) eventually(want ...string) {
	s.Helper()
	last := []string(nil)
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if last = s.alerts(); last != nil && equalSets(last, want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.ElementsMatch(s, want, last)
}

func equalSets(a, b []string) bool {
	count := make(map[string]int)
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
