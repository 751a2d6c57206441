package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Exit codes of programs that did not run, as shells and container runtimes
// have them.
const (
	codeNotStarted = 126
	codeNotFound   = 127
	codeSignal     = 128 // plus the number of the signal
)

// An ExitError reports a program that ended otherwise than with code 0, or that
// did not start.
type ExitError struct {
	Program string // as it was called: the first of the arguments

	// Code is the program's own exit code; 128+n if signal n ended it, such as
	// 137 for SIGKILL and 143 for SIGTERM; 127 if it was not found; 126 if it
	// was found and could not be started.
	Code int

	// Signal is the signal that ended the program, 0 if none did.
	Signal int

	// Err is an [*exec.ExitError] if the program ran, otherwise why it did not
	// start.
	Err error
}

// ExitCode returns e.Code.
func (e *ExitError) ExitCode() int { return e.Code }

// Unwrap returns e.Err.
func (e *ExitError) Unwrap() error { return e.Err }

// Error names the program, the code, and the signal or why it did not start.
func (e *ExitError) Error() string {
	switch {
	case e.Signal != 0:
		return fmt.Sprintf("%q: exit code %d, killed by signal %d (%s)", e.Program, e.Code, e.Signal, signalName(e.Signal))
	case e.ran():
		return fmt.Sprintf("%q: exit code %d", e.Program, e.Code)
	}
	return fmt.Sprintf("%q: exit code %d, not started: %v", e.Program, e.Code, e.Err)
}

func (e *ExitError) ran() bool {
	_, ran := errors.AsType[*exec.ExitError](e.Err)
	return ran
}

// exitError returns what err, from waiting for the program, means to a caller.
func exitError(cmd *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok { // such as a status taken by other code that waits for all children
		return fmt.Errorf("%q: wait for its end: %w", cmd.Args[0], err)
	}
	e := &ExitError{Program: cmd.Args[0], Code: exit.ExitCode(), Err: exit}
	if e.Signal = endedBy(exit.ProcessState); e.Signal != 0 {
		e.Code = codeSignal + e.Signal
	}
	return e
}

// startError returns the error of a program that did not start because of err.
func startError(cmd *exec.Cmd, err error) error {
	e := &ExitError{Program: cmd.Args[0], Code: codeNotStarted, Err: err}
	if dirErr := checkDir(cmd.Dir); dirErr != nil {
		// The system reports a missing directory as a missing program.
		e.Err = fmt.Errorf("working directory: %w", dirErr)
	} else if errors.Is(err, exec.ErrNotFound) || missing(cmd) {
		e.Code = codeNotFound
	}
	return e
}

func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	return err
}

// missing reports whether there is no file where the program should be. A
// script whose interpreter is missing fails to start with the same error.
func missing(cmd *exec.Cmd) bool {
	path := cmd.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(cmd.Dir, path)
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
