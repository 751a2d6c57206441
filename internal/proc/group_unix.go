//go:build unix

package proc

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes the program the leader of a process group of its own.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// A group is a running program and the process group that it leads.
type group struct {
	leader *os.Process
	id     int // kept from before the leader is waited for
}

func groupOf(leader *os.Process) group { return group{leader, leader.Pid} }

// terminate asks the group to end, and reports true. Each process is asked
// once: many programs take a second SIGTERM for impatience.
func (g group) terminate() bool {
	// That there is no process to signal any more is no error, here and below.
	_ = syscall.Kill(-g.id, syscall.SIGTERM)
	if id, err := syscall.Getpgid(g.id); err == nil && id != g.id {
		_ = g.leader.Signal(syscall.SIGTERM) // it has joined another group
	}
	return true
}

// kill kills the group, and its leader wherever that is.
func (g group) kill() {
	_ = syscall.Kill(-g.id, syscall.SIGKILL)
	_ = g.leader.Kill()
}

// endedBy returns the signal that ended the process, or 0.
func endedBy(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}

func signalName(n int) string { return syscall.Signal(n).String() }
