// Package disktest has disks that are small enough to be full.
package disktest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A Disk is a folder that is a small disk of its own, in memory. Only root can have one.
type Disk struct {
	Folder string
	size   int64
}

// New returns a disk of that many bytes, in a new folder.
func New(size int64) (*Disk, error) {
	folder, err := os.MkdirTemp("", "disktest-")
	if err != nil {
		return nil, err
	}
	d := &Disk{folder, size}
	if err := d.mount(0, size); err != nil {
		return nil, errors.Join(fmt.Errorf("a disk in memory: mount: %w", err), os.Remove(folder))
	}
	return d, nil
}

func (d *Disk) mount(flags uintptr, size int64) error {
	return syscall.Mount("none", d.Folder, "tmpfs", flags, fmt.Sprintf("size=%d", size))
}

// Fill leaves not a byte free: the disk becomes as small as what is on it.
func (d *Disk) Fill() error {
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(d.Folder, &s); err != nil {
			return err
		}
		err := d.mount(syscall.MS_REMOUNT, int64(s.Blocks-s.Bfree)*s.Bsize)
		if !errors.Is(err, syscall.EINVAL) { // otherwise there is more on it now
			return err
		}
	}
}

// Free undoes Fill.
func (d *Disk) Free() error { return d.mount(syscall.MS_REMOUNT, d.size) }

// Close removes the disk, with all that is on it, though processes may still be about to
// end that use it.
func (d *Disk) Close() error {
	return errors.Join(syscall.Unmount(d.Folder, syscall.MNT_DETACH), os.Remove(d.Folder))
}
