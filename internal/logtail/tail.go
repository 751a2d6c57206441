package logtail

import "strings"

// tailSize is how many bytes a [Tail] keeps.
const tailSize = 512

// A Tail keeps the end of what is written to it, for an error's text. It is for one
// goroutine. The zero value is ready to use.
type Tail struct{ end []byte }

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.end = append(t.end, p[max(0, len(p)-tailSize-1):]...)
	if over := len(t.end) - tailSize - 1; over > 0 {
		t.end = append(t.end[:0], t.end[over:]...)
	}
	return len(p), nil
}

// String returns the last lines, in one line. A line that is not whole is left out
// if there is another one.
func (t *Tail) String() string {
	text := strings.ToValidUTF8(string(t.end), "\uFFFD")
	if len(t.end) > tailSize {
		if _, whole, ok := strings.Cut(strings.TrimRight(text, "\r\n"), "\n"); ok {
			text = whole
		}
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " | ")
}
