package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// A containerSpec is what a process needs to know to become a container.
type containerSpec struct {
	Argv, Env     []string
	Dir, Hostname string
	Overlay       string // a folder for its file system
	Mounts        []containerMount
}

type containerMount struct {
	From, To string
	ReadOnly bool
}

// becomeContainer runs in new namespaces, makes the container's file system, and
// becomes its program. The spec is its standard input.
func becomeContainer() error {
	runtime.LockOSThread()
	var s containerSpec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("hostname %q: %w", s.Hostname, err)
	}
	root, err := s.makeRoot()
	if err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if err := m.bindIn(root); err != nil {
			return err
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir(cmp.Or(s.Dir, "/")); err != nil {
		return err
	}
	return s.exec()
}

// makeRoot makes a copy of this machine's file system that is written to in memory.
func (s *containerSpec) makeRoot() (string, error) {
	if err := mountAt("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", err
	}
	root, upper, work := filepath.Join(s.Overlay, "root"), filepath.Join(s.Overlay, "upper"), filepath.Join(s.Overlay,
		"work")
	if err := os.MkdirAll(s.Overlay, 0o700); err != nil {
		return "", err
	}
	if err := mountAt("tmpfs", s.Overlay, "tmpfs", 0, ""); err != nil {
		return "", err
	}
	for _, dir := range []string{root, upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := mountAt("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return "", err
	}
	if err := mountAt("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return "", err
	}
	// Folders of its own, in which mount points can be made.
	for _, dir := range []string{"dev", "run", "tmp"} {
		if err := mountAt("tmpfs", filepath.Join(root, dir), "tmpfs", 0, "mode=755"); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := (containerMount{From: "/dev/" + name, To: "/dev/" + name}).bindIn(root); err != nil {
			return "", err
		}
	}
	return root, os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky)
}

func mountAt(from, to, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(from, to, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s at %s: %w", cmp.Or(from, kind, "nothing"), to, err)
	}
	return nil
}

func (m containerMount) bindIn(root string) error {
	inside := m.To
	if rest, ok := strings.CutPrefix(inside, "/var/run/"); ok { // a link to /run
		inside = "/run/" + rest
	}
	to := filepath.Join(root, inside)
	if err := makePoint(m.From, to); err != nil {
		return err
	}
	if err := mountAt(m.From, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if m.ReadOnly {
		return mountAt("", to, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	return nil
}

// makePoint makes a file or folder to mount another one at.
func makePoint(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(to, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func (s *containerSpec) exec() error {
	for _, e := range s.Env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return err
			}
		}
	}
	path, err := exec.LookPath(s.Argv[0])
	if err != nil {
		return err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(null.Fd()), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(path, s.Argv, s.Env)
}
