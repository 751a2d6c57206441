// Package effort says how much a test is to try.
//
// A run of all tests takes a few minutes on a small machine. What takes longer, such as
// hundreds of kills or every page in a browser, is done in full with BATCH_TEST=all, as in
// CI, and in part without it.
package effort

import "os"

// Full reports whether tests are to try everything.
func Full() bool { return os.Getenv("BATCH_TEST") == "all" }

// Of is full, if tests are to try everything, and else part.
func Of(part, full int) int {
	if Full() {
		return full
	}
	return part
}
