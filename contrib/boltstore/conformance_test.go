package boltstore_test

import (
	"path/filepath"
	"testing"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

func TestStore(t *testing.T) {
	batchtest.TestStore(t, func(dir string) (batch.Store, error) {
		return boltstore.Open(filepath.Join(dir, "jobs.db"), boltstore.Options{})
	})
}
