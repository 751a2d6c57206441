package proc

import (
	"os/exec"
	"syscall"
)

// waitThen waits for the end of the program, calls ended, and returns the
// program's status.
//
// The status is taken after the call, so that during it the process is a
// zombie: its number, and with it that of its group, cannot belong to another process
// else when ended kills the group.
func waitThen(cmd *exec.Cmd, ended func()) error {
	if awaitZombie(cmd.Process.Pid) {
		ended()
		return cmd.Wait()
	}
	err := cmd.Wait()
	ended()
	return err
}

// awaitZombie waits until the process has ended. It reports false, perhaps too
// early, where the system does not offer that.
func awaitZombie(pid int) bool {
	const onePID = 1 // P_PID, an idtype_t of waitid(2)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, onePID, uintptr(pid), 0, syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno == 0
		}
	}
}
