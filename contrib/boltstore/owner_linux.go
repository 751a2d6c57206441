package boltstore

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// owner returns the process that has locked a file, or 0 if it is not known.
func owner(file *os.File) int {
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	name := inLocks(file)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 19862 fe:00:9977952 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == name {
			pid, err := strconv.Atoi(fields[4])
			if err != nil || pid < 0 { // it belongs to another container
				return 0
			}
			return pid
		}
	}
	return 0
}

// inLocks is what a file is called in /proc/locks: by its device and inode.
func inLocks(file *os.File) string {
	info, err := file.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	dev := stat.Dev
	major := dev>>8&0xfff | dev>>32&^0xfff
	minor := dev&0xff | dev>>12&^0xff
	return fmt.Sprintf("%02x:%02x:%d", major, minor, stat.Ino)
}
