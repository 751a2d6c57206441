//go:build !unix

package proc

import (
	"os"
	"os/exec"
)

// There are no process groups and no signals here: the program is killed
// alone, and only it.

func ownGroup(*exec.Cmd) {}

type group struct{ leader *os.Process }

func groupOf(leader *os.Process) group { return group{leader} }

// terminate reports false: no process was signalled.
func (g group) terminate() bool { return false }

func (g group) kill() { _ = g.leader.Kill() }

func endedBy(*os.ProcessState) int { return 0 }

func signalName(int) string { return "unknown" }
