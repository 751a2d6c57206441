// Package proc runs one program to its end, the way a kubelet runs a container:
// in a process group of its own, with SIGTERM, a grace period and SIGKILL to
// the whole group, and with the exit codes a pod would show.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Program says what to run. Only Args is required.
type Program struct {
	// Args is the program and its arguments. A name without a slash is looked
	// up as by [exec.LookPath], in the PATH of this process, not of Env; any
	// other relative path starts at Dir.
	Args []string

	// Env is the complete environment, each entry as "key=value". Nil means
	// that of this process; an empty slice means none.
	Env []string

	// Dir is the working directory. Empty means that of this process.
	Dir string

	// Stdin is what the program reads; nil is the null device. An [*os.File] is
	// handed to the program itself. Of any other reader Run may read more than
	// the program does, and if its Read blocks when the program has ended, Run
	// leaves it behind: the goroutine in it ends when that Read returns.
	Stdin io.Reader

	// Stdout and Stderr receive what the program prints; nil is the null
	// device. An [*os.File] is handed to the program itself; other writers are
	// called by one goroutine each, or by the same one if they are equal, and
	// no call outlives Run. A Write that blocks makes first the program wait
	// and then Run. A Write that fails ends the copying: the program gets
	// SIGPIPE when it prints more, and the error is part of that of Run. A
	// panic in Write, or in Read of Stdin, is repeated by Run.
	Stdout, Stderr io.Writer

	// Grace is how long the program has between SIGTERM and SIGKILL. Zero or
	// less means none: the one follows the other at once. Where there are no
	// signals, the program is killed at once whatever Grace says.
	Grace time.Duration
}

// Run runs p to its end and returns nil if it exited with code 0, even if ctx
// was done by then. Any other end, and a program that could not be started, is
// an [*ExitError].
//
// The program gets a process group of its own, so that a Ctrl-C in the terminal
// of this process does not reach it. When ctx is done, SIGTERM goes to the
// group, and SIGKILL when p.Grace has passed. Once the program itself has
// ended, what is left of its group is killed and its output is read to the end.
// A descendant that has left the group is not killed, and it cannot keep Run
// waiting: its output is read for about a second more.
//
// If ctx is done at the call, nothing is started and Run returns the cause.
//
// A running program costs a blocked thread, and a goroutine for each of its
// standard streams that is not an [*os.File].
func Run(ctx context.Context, p Program) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(p.Args) == 0 || p.Args[0] == "" {
		return errors.New("no program to run")
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Env, cmd.Dir = p.Env, p.Dir
	ownGroup(cmd)

	streams, err := connect(cmd, p.Stdin, p.Stdout, p.Stderr)
	if err != nil {
		return startError(cmd, err)
	}
	if err := cmd.Start(); err != nil {
		streams.abandon()
		return startError(cmd, err)
	}
	streams.start()
	waitErr := waitForEnd(ctx, cmd, p.Grace)
	copyErr := streams.finish()

	exitErr := exitError(cmd, waitErr)
	switch {
	case copyErr == nil:
		return exitErr
	case exitErr == nil:
		return fmt.Errorf("%q: %w", cmd.Args[0], copyErr)
	}
	return fmt.Errorf("%w (%w)", exitErr, copyErr)
}

// waitForEnd waits until the program has ended, and stops it when ctx is done.
// When it returns, no signal is under way any more.
func waitForEnd(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	g := groupOf(cmd.Process)
	ended := make(chan struct{})
	stopped := make(chan struct{})
	cancelStop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		g.stop(grace, ended)
	})
	return waitThen(cmd, func() {
		close(ended)
		if !cancelStop() {
			<-stopped
		}
		g.kill()
	})
}

// stop asks the group to end, and kills it unless the program itself has ended
// within grace.
func (g group) stop(grace time.Duration, ended <-chan struct{}) {
	if g.terminate() && grace > 0 {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ended:
			return
		case <-timer.C:
		}
	}
	g.kill()
}
