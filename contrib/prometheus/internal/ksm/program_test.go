package ksm

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long anything that the program does may take.
const patience = 2 * time.Minute

// build builds kube-state-metrics, from the cache if it can.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kube-state-metrics")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "k8s.io/kube-state-metrics/v2")
	cmd.Dir = filepath.Join("testdata", "program")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		effort.Need(t, fmt.Errorf("kube-state-metrics cannot be built: %w\n%s", err, output))
	}
	return program
}

// A program is a kube-state-metrics that runs until the test ends.
type program struct {
	testing.TB
	log logBuffer
}

func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{TB: t}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, append(args, "--host=127.0.0.1", "--port=0",
		"--telemetry-host=127.0.0.1", "--telemetry-port=0")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("kube-state-metrics: %v\n%s", err, p.log.text())
		}
	})
	return p
}

// A logBuffer is what a program has said so far.
type logBuffer struct {
	mu   sync.Mutex // guards the field below
	data bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *logBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

var listening = regexp.MustCompile(`address="?(127\.0\.0\.1:[1-9][0-9]*)`)

// families are the metrics of jobs that the program shows now; nil if it does not
// show any yet. It listens for its own metrics, too.
func (p *program) families() map[string]*dto.MetricFamily {
	for _, m := range listening.FindAllStringSubmatch(p.log.text(), -1) {
		response, err := http.Get("http://" + m[1] + "/metrics")
		if err != nil {
			continue
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(response.Body)
		require.NoError(p, err)
		require.NoError(p, response.Body.Close())
		if families["kube_job_info"] != nil {
			return families
		}
	}
	return nil
}
