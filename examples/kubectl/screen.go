package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// A screen is where the output of all attempts goes, line by line. Programs print
// to it themselves, so that they wait for it; what functions print comes from
// their logs.
type screen struct {
	named    bool            // lines begin with the attempt's name
	programs map[string]bool // names of the jobs that have programs only

	mu             sync.Mutex // guards the writers
	stdout, stderr io.Writer
}

// newScreen returns a screen for all attempts of some jobs.
func newScreen(manifests []*batchv1.Job, stdout, stderr io.Writer) *screen {
	s := &screen{named: len(manifests) > 1, programs: make(map[string]bool), stdout: stdout, stderr: stderr}
	for _, m := range manifests {
		pod := &m.Spec.Template.Spec
		s.programs[m.Name] = !slices.ContainsFunc(slices.Concat(pod.InitContainers, pod.Containers), isFunction)
		s.named = s.named || valueOr(m.Spec.Parallelism, 1) > 1 || valueOr(m.Spec.Completions, 1) > 1
	}
	return s
}

func isFunction(c corev1.Container) bool { return strings.HasPrefix(c.Image, "func/") }

func valueOr(n *int32, unset int32) int32 {
	if n == nil {
		return unset
	}
	return *n
}

// printsItself reports whether the output of a job needs nobody to bring it.
func (s *screen) printsItself(job string) bool { return s.programs[job] }

// output is that of a kube.Runner.
func (s *screen) output(a batch.Attempt, _ string) (stdout, stderr io.WriteCloser) {
	if !s.printsItself(a.Job) {
		return nil, nil
	}
	return &lines{
		screen: s, to: s.stdout, prefix: s.prefix(a.Name()),
	}, &lines{screen: s, to: s.stderr, prefix: s.prefix(a.Name())}
}

func (s *screen) prefix(attempt string) string {
	if !s.named {
		return ""
	}
	return "[pod/" + attempt + "] "
}

// write writes whole lines. If it cannot, there is nowhere to say so.
func (s *screen) write(w io.Writer, prefix string, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if prefix == "" {
		w.Write(text)
		return
	}
	for line := range bytes.Lines(text) {
		fmt.Fprintf(w, "%s%s", prefix, line)
	}
}

func (s *screen) say(format string, args ...any) {
	s.write(s.stderr, "", fmt.Appendf(nil, format, args...))
}

// lines takes what a program prints apart into lines. Longer ones than longest are
// broken.
type lines struct {
	screen *screen
	to     io.Writer
	prefix string
	rest   []byte // the beginning of a line
}

const longest = 1 << 20

func (l *lines) Write(data []byte) (int, error) {
	l.rest = append(l.rest, data...)
	if end := bytes.LastIndexByte(l.rest, '\n') + 1; end > 0 {
		l.screen.write(l.to, l.prefix, l.rest[:end])
		l.rest = append(l.rest[:0], l.rest[end:]...)
	}
	if len(l.rest) > longest {
		return len(data), l.Close()
	}
	return len(data), nil
}

// Close ends the last line, if the program has not.
func (l *lines) Close() error {
	if len(l.rest) > 0 {
		l.screen.write(l.to, l.prefix, append(l.rest, '\n'))
		l.rest = l.rest[:0]
	}
	return nil
}
