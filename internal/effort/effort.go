// Package effort says how much a test is to try, and what becomes of one that this machine
// cannot run.
//
// A run of all tests takes a few minutes on a small machine. What takes longer, such as
// hundreds of kills, is done in full with BATCH_TEST=all, as in CI, and in part without it.
package effort

import (
	"os"
	"testing"
)

// Full reports whether tests are to try everything.
func Full() bool { return os.Getenv("BATCH_TEST") == "all" }

// Of is full, if tests are to try everything, and else part.
func Of(part, full int) int {
	if Full() {
		return full
	}
	return part
}

// IsCI reports whether a test that this machine cannot run is an error.
func IsCI() bool { return os.Getenv("CI") != "" }

// Need ends a test that this machine cannot run, if there is such an error: it fails in CI,
// and is skipped elsewhere. The error says what is needed.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case IsCI():
		t.Fatalf("CI runs all tests: %v", err)
	default:
		t.Skip(err)
	}
}
