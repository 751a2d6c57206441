//go:build !linux

package proc

import "os/exec"

// waitThen waits for the end of the program, calls ended, and returns the
// program's status.
func waitThen(cmd *exec.Cmd, ended func()) error {
	err := cmd.Wait()
	ended()
	return err
}
