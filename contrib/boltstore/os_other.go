//go:build !unix || solaris || aix

package boltstore

import "os"

// lock does nothing: bbolt locks the file in its own way, and the lock cannot
// be taken twice.
func lock(*os.File) (held bool, err error) { return false, nil }

// syncFolder does nothing: there is no such thing here.
func syncFolder(string) error { return nil }
