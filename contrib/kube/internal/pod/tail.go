package pod

import (
	"strings"
	"sync"
)

// How much of the end of a log makes a termination message.
const (
	tailBytes = 2048
	tailLines = 80
)

// A tail keeps the end of what is written to it. It may be used by several
// goroutines at once.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte     // at most twice tailBytes
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-tailBytes):]...)
	if n := len(t.text); n > 2*tailBytes {
		t.text = append(t.text[:0], t.text[n-tailBytes:]...)
	}
	return len(p), nil
}

// String gives the last lines, as many as fit.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := string(t.text[max(0, len(t.text)-tailBytes):])
	lines := strings.SplitAfter(text, "\n")
	ended := 0
	if lines[len(lines)-1] == "" {
		ended = 1
	}
	return strings.Join(lines[max(0, len(lines)-tailLines-ended):], "")
}
