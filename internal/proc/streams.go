package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// strayTime is how long the output of a descendant that has left the group
	// is read after the end of the program.
	strayTime = time.Second

	// pipeSize is the most that a pipe holds, unless root has said otherwise.
	pipeSize = 1 << 20

	copySize = 32 << 10
)

// streams are the pipes between a program and the reader and writers of its
// [Program], with the goroutines that copy. It does what package exec would do,
// except that the end of the program and the end of its output are told apart:
// between the two, the rest of the group is killed.
type streams struct {
	theirs []*os.File // the program's ends of the pipes

	stdin   *os.File // our end; nil if there is nothing to copy
	source  io.Reader
	fed     chan error // the result of the copying to stdin
	outputs []output
	reading sync.WaitGroup // copying of outputs

	mu       sync.Mutex // guards the fields below
	err      error      // of the first output that failed
	panicked any        // what the first panic in a reader or writer was, with its stack
}

type output struct {
	name string
	pipe *os.File // our end
	to   io.Writer
}

// connect gives cmd its standard streams. If it fails, nothing is left open.
func connect(cmd *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) (*streams, error) {
	s := &streams{}
	err := s.connectAll(cmd, stdin, stdout, stderr)
	if err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

func (s *streams) connectAll(cmd *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	if cmd.Stdin, err = s.input(stdin); err != nil {
		return err
	}
	if cmd.Stdout, err = s.output("stdout", stdout); err != nil {
		return err
	}
	if stderr != nil && SameWriter(stdout, stderr) {
		cmd.Stderr = cmd.Stdout
		return nil
	}
	cmd.Stderr, err = s.output("stderr", stderr)
	return err
}

// input returns what the program is to read in order to read from source.
func (s *streams) input(source io.Reader) (io.Reader, error) {
	if _, ok := source.(*os.File); ok || source == nil {
		return source, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, theirs)
	s.stdin, s.source, s.fed = ours, source, make(chan error, 1)
	return theirs, nil
}

// output returns where the program is to print in order to print to w.
func (s *streams) output(name string, w io.Writer) (io.Writer, error) {
	if _, ok := w.(*os.File); ok || w == nil {
		return w, nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, theirs)
	s.outputs = append(s.outputs, output{name: name, pipe: ours, to: w})
	return theirs, nil
}

// SameWriter is a == b for writers of which any type may be incomparable.
func SameWriter(a, b io.Writer) (same bool) {
	defer func() { _ = recover() }()
	return a == b
}

// abandon closes all pipes of a program that has not been started.
func (s *streams) abandon() {
	closeAll(s.theirs)
	for _, out := range s.outputs {
		out.pipe.Close()
	}
	if s.stdin != nil {
		s.stdin.Close()
	}
}

// start begins to copy. The program has been started and has its own ends.
func (s *streams) start() {
	closeAll(s.theirs)
	for _, out := range s.outputs {
		s.reading.Go(func() { s.collect(out) })
	}
	if s.stdin != nil {
		go s.feed()
	}
}

// finish ends the copying, now that the program has ended and its group has
// been killed, and returns the first error there was. It waits for Writes, and
// for a Read of the source no longer than strayTime.
func (s *streams) finish() error {
	deadline := time.Now().Add(strayTime)
	for _, out := range s.outputs {
		if out.pipe.SetReadDeadline(deadline) != nil { // no deadlines on this system, or all read
			defer time.AfterFunc(strayTime, func() { out.pipe.Close() }).Stop()
		}
	}
	s.reading.Wait()
	feedErr := s.endFeed(deadline)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panicked != nil {
		panic(s.panicked)
	}
	if s.err != nil {
		return s.err
	}
	return feedErr
}

// collect copies an output of the program to its writer.
func (s *streams) collect(out output) {
	defer out.pipe.Close() // after a failed Write, the program learns from this
	defer s.catch()
	if err := drain(out.to, out.pipe); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = fmt.Errorf("write %s: %w", out.name, err)
		}
	}
}

// drain copies until the end of r or until its deadline has passed. In that
// case it takes along what r holds already, which the program may have written
// while a Write to w was slow. The error is that of a Write: that there is no
// more to read is none, whatever the reason.
func drain(w io.Writer, r *os.File) error {
	buf := make([]byte, copySize)
	readErr, writeErr := pump(w, r, buf)
	if errors.Is(readErr, os.ErrDeadlineExceeded) {
		rest := &held{pipe: r, patience: strayTime / 4}
		_, writeErr = pump(w, io.LimitReader(rest, pipeSize), buf)
	}
	return writeErr
}

// pump copies until either side fails, and says which one did.
func pump(w io.Writer, r io.Reader, buf []byte) (readErr, writeErr error) {
	for {
		n, err := r.Read(buf)
		if err != nil {
			return err, nil
		}
		written, err := w.Write(buf[:n])
		if err == nil && written < n {
			err = io.ErrShortWrite
		}
		if err != nil {
			return nil, err
		}
	}
}

// A held reads what a pipe holds. As one cannot ask for that everywhere, it
// reads until it has waited too long in total: what is there comes at once.
type held struct {
	pipe     *os.File
	patience time.Duration
}

func (h *held) Read(p []byte) (int, error) {
	start := time.Now()
	if err := h.pipe.SetReadDeadline(start.Add(h.patience)); err != nil {
		return 0, err
	}
	n, err := h.pipe.Read(p)
	h.patience -= time.Since(start)
	return n, err
}

// feed copies the source to the program. That the program does not read all of
// it is no error.
func (s *streams) feed() {
	var err error
	defer func() { s.fed <- err }()
	defer s.stdin.Close()
	defer s.catch()
	if _, err = io.Copy(s.stdin, s.source); err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == s.stdin.Name() {
			err = nil
		} else {
			err = fmt.Errorf("read stdin: %w", err)
		}
	}
}

// endFeed waits for the end of feed, until the deadline.
func (s *streams) endFeed(deadline time.Time) error {
	if s.stdin == nil {
		return nil
	}
	s.stdin.Close() // ends a Write to it; nothing is left to read
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case err := <-s.fed:
		return err
	case <-timer.C:
		return nil
	}
}

// catch, when deferred, keeps a panic for finish to repeat: it must surface
// where the caller of Run can recover from it.
func (s *streams) catch() {
	if v := recover(); v != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.panicked == nil {
			s.panicked = fmt.Sprintf("%v\n\n%s", v, debug.Stack())
		}
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
