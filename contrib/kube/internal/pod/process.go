package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// runProcess runs a container's command as [batch.Command] does, and leaves its
// termination message.
func (p *template) runProcess(ctx context.Context, a batch.Attempt, c *corev1.Container, args []string,
	env *environment) error {
	command := batch.Command{Args: args, Env: p.processEnv(a, env), Dir: p.workingDir(c)}
	message, err := newMessage(a, c, &command)
	if err != nil {
		return err
	}
	program := lookPath(command.Args[0], command.Env)
	command.Args[0] = program
	if err := mount(a, c, &command); err != nil {
		return err
	}
	if p.settings.Output != nil {
		stdout, stderr := p.settings.Output(a, c.Name)
		command.Stdout, command.Stderr = alsoTo(stdout, command.Stdout), alsoTo(stderr, command.Stderr)
		defer closeAll(stdout, stderr)
	}
	if p.runsOften() {
		stdout, stderr := new(lineEnd), new(lineEnd)
		command.Stdout, command.Stderr = alsoTo(stdout, command.Stdout), alsoTo(stderr, command.Stderr)
		defer stdout.complete(a.Stdout())
		defer stderr.complete(a.Stderr())
	}
	err = named(command.Execute(ctx, a), program)
	if isInit := c != &p.manifest.Spec.Template.Spec.Containers[0]; isInit && err == nil {
		return nil // what it leaves is not the container's
	}
	if text := message.read(err != nil); text != "" {
		a.SetOutput(text)
	}
	return err
}

// A lineEnd knows whether the last line written to it has an end, so that the
// output of the next run does not go on with it.
type lineEnd struct{ open bool }

func (l *lineEnd) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
	return len(p), nil
}

// complete ends a line in the log.
func (l *lineEnd) complete(log io.Writer) {
	if l.open {
		_, _ = log.Write([]byte{'\n'}) // an attempt that has ended has no next run
	}
}

// alsoTo returns a writer to those of the two that are not nil.
func alsoTo(w, other io.Writer) io.Writer {
	switch {
	case w == nil:
		return other
	case other == nil:
		return w
	}
	return io.MultiWriter(other, w)
}

func closeAll(list ...io.WriteCloser) {
	for _, w := range list {
		if w != nil {
			_ = w.Close() // it was told all there is, and may say so itself
		}
	}
}

// processEnv is what a process gets besides the environment of this one. A host
// name from the template is told, not made; that of an Indexed job's pod is
// always the job's name and the index.
func (p *template) processEnv(a batch.Attempt, env *environment) []string {
	list := slices.Clone(p.settings.Env)
	if hostname := p.manifest.Spec.Template.Spec.Hostname; hostname != "" && a.Index < 0 {
		list = append(list, "HOSTNAME="+hostname)
	}
	return append(list, env.list()...)
}

func (p *template) workingDir(c *corev1.Container) string {
	if c.WorkingDir == "" || filepath.IsAbs(c.WorkingDir) || p.settings.Dir == "" {
		return cmp.Or(c.WorkingDir, p.settings.Dir)
	}
	return filepath.Join(p.settings.Dir, c.WorkingDir)
}

// notFound is where a program is looked for that is nowhere in a container's PATH.
const notFound = "/not-in-the-PATH-of-the-container"

// lookPath finds a program in the PATH that the container is given, and only
// there, as a container's runtime does. Without one, the program is looked for in
// the PATH of this process when it starts.
func lookPath(program string, env []string) string {
	path := lookup(env, "PATH")
	if path == "" || strings.ContainsRune(program, filepath.Separator) {
		return program
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // as package os/exec does
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found
		}
	}
	return filepath.Join(notFound, program)
}

// A message is the termination message of a process: what it writes to a file
// or, if it fails and the container says so, the end of what it prints.
type message struct {
	file string
	logs *tail
}

// newMessage gives the process a file of its own for its termination message.
// It stands wherever the container's terminationMessagePath does in the
// arguments and in the environment: attempts that run at once cannot share one.
func newMessage(a batch.Attempt, c *corev1.Container, command *batch.Command) (*message, error) {
	m := new(message)
	if c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		m.logs = new(tail)
		command.Stdout, command.Stderr = m.logs, m.logs
	}
	if !mentions(slices.Concat(command.Args, command.Env), c.TerminationMessagePath) {
		return m, nil
	}
	dir, err := a.Dir()
	if err != nil {
		return nil, err
	}
	m.file = filepath.Join(dir, "termination-log-"+c.Name)
	replaceIn(command.Args, c.TerminationMessagePath, m.file)
	replaceIn(command.Env, c.TerminationMessagePath, m.file)
	return m, os.WriteFile(m.file, nil, 0o600)
}

// maxMessage is how much of a file is a termination message.
const maxMessage = 4096

// read returns the message of a process that has ended.
func (m *message) read(failed bool) string {
	text := ""
	if m.file != "" {
		text = readMessage(m.file)
	}
	if text == "" && failed && m.logs != nil {
		text = m.logs.String()
	}
	return text
}

// readMessage reads the beginning of a file. One that cannot be read is a message
// about that, as a kubelet has it; one that the process has removed is none.
func readMessage(name string) string {
	text, err := readStart(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "Error on reading termination log: " + err.Error()
	}
	return string(text)
}

// readStart reads a regular file only: to open anything else may take for ever.
func readStart(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxMessage))
}

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

// mentions reports whether a path stands in any of the texts.
func mentions(texts []string, path string) bool {
	for _, text := range texts {
		if replacePath(text, path, "") != text {
			return true
		}
	}
	return false
}

func replaceIn(texts []string, path, by string) {
	for i, text := range texts {
		texts[i] = replacePath(text, path, by)
	}
}

// replacePath replaces a path where it stands alone, that is not as a part of a
// longer one.
func replacePath(text, path, by string) string {
	if path == "" {
		return text
	}
	var b strings.Builder
	last := byte(0) // what comes before text
	for {
		before, after, found := strings.Cut(text, path)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if before != "" {
			last = before[len(before)-1]
		}
		if inPath(last) || after != "" && inPath(after[0]) {
			b.WriteString(path)
		} else {
			b.WriteString(by)
		}
		last, text = path[len(path)-1], after
	}
}

// inPath reports whether a byte may belong to a longer path.
func inPath(c byte) bool {
	return c == '/' || c == '.' || c == '-' || c == '_' || c >= 0x80 ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
