//go:build !unix || solaris || aix

package boltstore

import (
	"io/fs"
	"os"
)

// lock does nothing: bbolt locks the file in its own way, and the lock cannot
// be taken twice.
func lock(*os.File) (held bool, err error) { return false, nil }

// unlock does nothing: bbolt unlocks the file.
func unlock(*os.File) error { return nil }

// isUnlinked returns false: a file that is open keeps its name here.
func isUnlinked(fs.FileInfo) bool { return false }

// syncFolder does nothing: there is no such thing here.
func syncFolder(string) error { return nil }
