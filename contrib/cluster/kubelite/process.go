package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is that of a container.
type process struct {
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process and its output have ended
	exitCode int32         // set before
}

const signalled = 128 // plus the signal is the exit code

func startProcess(spec containerSpec, logPath string) (*process, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", "container")
	cmd.Stdin = bytes.NewReader(text)
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	to := &containerLog{file: log}
	var copies sync.WaitGroup
	copies.Go(func() { to.copyFrom("stdout", stdout) })
	copies.Go(func() { to.copyFrom("stderr", stderr) })
	go p.await(&copies, log, spec.Overlay)
	return p, nil
}

func (p *process) await(copies *sync.WaitGroup, log *os.File, overlay string) {
	copies.Wait()
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		p.exitCode = exitCodeOf(exit)
	} else if err != nil {
		p.exitCode = exitCannotStart
	}
	if err := errors.Join(log.Close(), os.RemoveAll(overlay)); err != nil {
		fmt.Fprintln(os.Stderr, "end of a container:", err)
	}
	close(p.ended)
}

func exitCodeOf(exit *exec.ExitError) int32 {
	status := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return signalled + int32(status.Signal())
	}
	return int32(status.ExitStatus())
}

// stop asks the process to end, waits for that, and kills it.
func (p *process) stop(ctx context.Context, grace time.Duration) error {
	if grace > 0 && p.signal(syscall.SIGTERM) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.ended:
			return nil
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// A containerLog is a log file in the format of the CRI.
type containerLog struct {
	mu   sync.Mutex // guards the file
	file *os.File
}

const longestLine = 16 << 10

func (l *containerLog) copyFrom(stream string, from io.Reader) {
	b := bufio.NewReaderSize(from, longestLine)
	for {
		line, err := b.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 {
			l.write(stream, full, string(line))
		}
		if err != nil && !full {
			return
		}
	}
}

func (l *containerLog) write(stream string, partial bool, line string) {
	tag := "F"
	if partial {
		tag = "P"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.file, "%s %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream, tag,
		strings.TrimSuffix(line, "\n"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "log of a container:", err)
	}
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
