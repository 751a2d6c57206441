// Package leaktest fails a test binary that leaves goroutines behind.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines that are on their way out may take.
const patience = 5 * time.Second

// Main runs the tests, and exits. It fails if a goroutine is left that
// runs code of this module, or was started by it.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := Left(patience); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// module is what the names of this module's functions begin with.
const module = "github.com/runtocompletion/batch"

// Left returns the stacks of the goroutines, other than the caller's, that run
// code of this module or were started by it. It gives them some time to end.
func Left(patience time.Duration) []string {
	deadline := time.Now().Add(patience)
	for {
		left := running()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

func running() []string {
	stacks := strings.Split(allStacks(), "\n\n")
	others := stacks[1:] // the first is the caller's
	return slices.DeleteFunc(others, func(stack string) bool {
		return !strings.Contains(stack, module) || strings.Contains(stack, "\ntesting.(*M).Run(")
	})
}

// allStacks returns the stacks of all goroutines, the caller's first.
func allStacks() string {
	for size := 1 << 20; ; size *= 2 {
		text := make([]byte, size)
		if n := runtime.Stack(text, true); n < size {
			return strings.TrimSpace(string(text[:n]))
		}
	}
}
