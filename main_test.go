package batch_test

import (
	"testing"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// kindOf is what Kubernetes calls a change.
func kindOf(change batch.Change) string {
	switch {
	case change.Added:
		return "ADDED"
	case change.Deleted:
		return "DELETED"
	}
	return "MODIFIED"
}

// indexes is the set that a text describes.
func indexes(text string) *batch.IndexSet {
	set, err := batch.ParseIndexSet(text)
	if err != nil {
		panic(err)
	}
	return &set
}
