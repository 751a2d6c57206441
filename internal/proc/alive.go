package proc

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Started says when a process did, in a form of its own that no later process of that
// number has. It is empty where the system does not tell.
func Started(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	const fromState = 19 // place of the time among the fields after the name, which may have any bytes
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) <= fromState {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[fromState]
}

// IsAlive reports whether there is a process of that number that has started then.
// Where that is not known, the number decides.
func IsAlive(pid int, started string) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	if errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) {
		return false
	}
	now := Started(pid)
	return started == "" || now == "" || now == started
}
