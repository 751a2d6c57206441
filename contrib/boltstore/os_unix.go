//go:build unix && !solaris && !aix

package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock locks a file against other processes, and other files of this one, until
// it is closed. It does not wait: if the file is locked, held is true. bbolt
// takes the same lock on the same file again, which changes nothing.
func lock(file *os.File) (held bool, err error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return true, nil
		}
		return false, err
	}
}

// unlock lets others lock the file.
func unlock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

// isUnlinked reports whether a file has no name at all.
func isUnlinked(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
