package prometheus_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
	"github.com/runtocompletion/batch/internal/picture"
)

// TestPicture draws the alerts of a Prometheus, as doc/ has them, while a job has failed
// and another one does not end.
func TestPicture(t *testing.T) {
	m := newMetrics(t, prometheus.Options{})
	c := batchtest.NewController(t, batch.Options{})
	create(t, c,
		batch.Job{Name: "schema-migration", BackoffLimit: new(0), Executor: batchtest.Exit(1)},
		batch.Job{Name: "nightly-report", Executor: batchtest.Hang()})
	rules, err := os.ReadFile("testdata/rules.yml")
	require.NoError(t, err)
	quick := strings.NewReplacer("for: 15m", "for: 1s", "> 43200", "> 3").Replace(string(rules))
	p := startServer(t, serve(t, registry(t, m.Collector(c))).Listener.Addr().String(), quick)
	p.eventually("KubeJobFailed schema-migration", "KubeJobNotCompleted nightly-report")
	picture.Take(t, p.url+"/classic/alerts", "alerts", 1000, 350)
}
