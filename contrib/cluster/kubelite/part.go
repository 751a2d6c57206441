package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// The parts of a cluster that are no nodes.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	schedulerName     = "kube-scheduler"
)

// A part is a program of the cluster.
type part struct {
	name string
	node string   // the name of the node that it is, if it is one
	args []string // after the name of the program
	log  string

	cmd    *exec.Cmd // nil unless it runs
	exited chan struct{}
}

// start starts a part. It is called by one thread, which outlasts the part.
func (p *part) start() error {
	if p.cmd != nil {
		return fmt.Errorf("%s runs", p.name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	program := p.name
	p.cmd = &exec.Cmd{Path: "/proc/self/exe", Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}}
	if p.node != "" {
		program = "node"
		// Its containers end with it, and what the kubelet mounts.
		p.cmd.SysProcAttr.Cloneflags, p.cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWPID, syscall.CLONE_NEWNS
	}
	p.cmd.Args = append([]string{"kubelite", program}, p.args...)
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("%s: %w", p.name, err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its ProcessState is looked at
	}()
	return nil
}

// kill ends a part as a crash does.
func (p *part) kill() error {
	if p.cmd == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	err := p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
	if err == os.ErrProcessDone {
		return fmt.Errorf("%s had ended: %s", p.name, p.lastLines())
	}
	return err
}

// lastLines is the end of the log.
func (p *part) lastLines() string {
	const most = 2000
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(len(data)-most, 0):]))
}
