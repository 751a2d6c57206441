//go:build !linux

// Package disktest has disks that are small enough to be full.
package disktest

import "errors"

// A Disk is a folder that is a small disk of its own, in memory. Only Linux has them.
type Disk struct{ Folder string }

// New returns an error.
func New(int64) (*Disk, error) { return nil, errors.New("a disk in memory: only on Linux") }

// Fill does nothing.
func (*Disk) Fill() error { return nil }

// Free undoes Fill.
func (*Disk) Free() error { return nil }

// Close does nothing.
func (*Disk) Close() error { return nil }
