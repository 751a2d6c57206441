package cluster

import (
	"os"
	"testing"

	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER_TEST_ROLE") == "start" {
		startAndHang()
	}
	leaktest.Main(m)
}
