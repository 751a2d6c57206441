package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/proc"
)

// A view is the files that a container sees: those of this machine, on which nothing
// is changed, and its volumes where it wants them. Directories of the machine that a
// mount needs another directory in are made again for the view.
type view struct {
	dir    string            // of the attempt
	again  map[string]string // where directories are made again
	ours   map[string]string // directories of the view that this machine does not have, or volumes
	dirs   []string          // to be made
	files  []string          // likewise
	links  [][2]string       // likewise, with what they lead to
	mounts strings.Builder   // in the form of fstab(5)
}

// newView returns the view of a container, for which nothing is made yet. Volumes that
// hold others are mounted first, and the attempt's directory is shown in any case.
func newView(c *corev1.Container, dir string) (*view, error) {
	v := &view{dir: dir, again: make(map[string]string), ours: make(map[string]string)}
	v.makeAgain("/")
	list := slices.SortedStableFunc(slices.Values(c.VolumeMounts), func(a, b corev1.VolumeMount) int {
		return cmp.Compare(len(filepath.Clean(a.MountPath)), len(filepath.Clean(b.MountPath)))
	})
	type mount struct{ what, at, options string }
	var mounts []mount
	for _, m := range list {
		at, err := v.reach(filepath.Clean(m.MountPath))
		if err != nil {
			return nil, err
		}
		options := ""
		if m.ReadOnly {
			options = ",ro"
		}
		volume := filepath.Join(dir, "volumes", m.Name, m.SubPath)
		v.ours[at], v.dirs = volume, append(v.dirs, volume)
		mounts = append(mounts, mount{volume, at, options})
	}
	for at := dir; at != "/"; at = filepath.Dir(at) {
		if _, hidden := v.ours[at]; hidden {
			_, err := v.reach(dir)
			mounts = append(mounts, mount{dir, dir, ""})
			if err != nil {
				return nil, err
			}
		}
	}
	err := v.copy()
	for _, m := range mounts {
		v.mount(m.what, filepath.Join(v.again["/"], m.at), m.options)
	}
	return v, err
}

// makeAgain plans to make a directory of this machine again.
func (v *view) makeAgain(at string) {
	if v.again[at] == "" {
		v.again[at] = filepath.Join(v.dir, "view", fmt.Sprint(len(v.again)))
		v.dirs = append(v.dirs, v.again[at])
	}
}

// reach plans a directory of the view, if there is none, and returns its path without
// the links of this machine.
func (v *view) reach(path string) (string, error) {
	at, parts := "/", strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		next := filepath.Join(at, part)
		in, inOurs := v.ours[at]
		if _, known := v.ours[next]; known {
			at = next
			continue
		}
		if inOurs {
			v.plan(next, filepath.Join(in, part))
			at = next
			continue
		}
		real, err := filepath.EvalSymlinks(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.makeAgain(at)
			v.plan(next, filepath.Join(v.again[at], part))
		case err != nil:
			return "", err
		case real != next:
			return v.reach(filepath.Join(real, filepath.Join(parts[i+1:]...)))
		case !isDir(next):
			return "", fmt.Errorf("%s is a file of this machine", next)
		}
		at = next
	}
	return at, nil
}

// workingDir is where the program of a container starts. If it does not say so, and a
// volume hides what would be that otherwise, that is the root.
func (v *view) workingDir(c *corev1.Container, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	for at := dir; err == nil && at != "/"; at = filepath.Dir(at) {
		if _, hidden := v.ours[at]; hidden && c.WorkingDir == "" {
			return "/", nil
		} else if hidden {
			return v.reach(dir)
		}
	}
	return dir, err
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// plan plans a directory at a place of the view, which dir is.
func (v *view) plan(at, dir string) {
	v.ours[at], v.dirs = dir, append(v.dirs, dir)
}

// mostEntries is how many files a directory may have that is made again.
const mostEntries = 1000

// copy plans directories that are made again, those that hold others first, and all
// that they show of this machine.
func (v *view) copy() error {
	root := v.again["/"]
	for _, dir := range slices.Sorted(maps.Keys(v.again)) {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > mostEntries {
			err = fmt.Errorf("%s has too many files for one more to be mounted there", dir)
		}
		if err != nil {
			return err
		}
		again := v.again[dir]
		if dir != "/" {
			v.mount(again, filepath.Join(root, dir), "")
		}
		for _, e := range entries {
			v.show(e, filepath.Join(dir, e.Name()), filepath.Join(again, e.Name()))
		}
	}
	return nil
}

// show shows a file of this machine in a directory that is made again.
func (v *view) show(e fs.DirEntry, name, again string) {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		if to, err := os.Readlink(name); err == nil { // else it has just gone
			v.links = append(v.links, [2]string{to, again})
		}
		return
	case e.IsDir():
		v.dirs = append(v.dirs, again)
	default:
		v.files = append(v.files, again)
	}
	v.mount(name, filepath.Join(v.again["/"], name), ",nofail")
}

// mount plans a mount. The root of the view is where it is made.
func (v *view) mount(what, at, options string) {
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
	fmt.Fprintf(&v.mounts, "%s %s none rbind%s 0 0\n", escaped.Replace(what), escaped.Replace(at), options)
}

func (v *view) table() string { return filepath.Join(v.dir, "fstab") }

// make makes all that was planned. A container that is restarted finds it again.
func (v *view) make() error {
	if err := os.RemoveAll(filepath.Join(v.dir, "view")); err != nil {
		return err
	}
	for _, dir := range v.dirs {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	for _, name := range v.files {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
	}
	for _, link := range v.links {
		if err := os.Symlink(link[0], link[1]); err != nil {
			return err
		}
	}
	return os.WriteFile(v.table(), []byte(v.mounts.String()), 0o600)
}

// runs are the arguments of a mounter that runs a program in the view.
func (v *view) runs(wd string, program []string) []string {
	root := cmp.Or(v.again["/"], "/")
	return slices.Concat([]string{v.table(), "--root=" + root, "--wd=" + wd, "--"}, program)
}

// probeTime is how long the system may take to say whether it lets us mount.
const probeTime = 10 * time.Second

// A mounter is the command that runs a program with mounts of its own. The arguments
// of a view follow it.
type mounter []string

// newMounter finds out what this system lets us do: mount as root, or as the same user
// in a namespace of users. The error says why it is neither.
var newMounter = sync.OnceValues(func() (m mounter, err error) {
	dir, err := os.MkdirTemp("", "batch-mount-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	v := &view{dir: dir}
	v.mount("/", dir, "")
	if err := v.make(); err != nil {
		return nil, err
	}
	for _, flags := range [][]string{{"--mount"}, {"--map-current-user", "--keep-caps", "--mount"}} {
		if m, err = tryMounter(flags, v.runs("/", []string{"true"})); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("this system lets nobody mount it: %w", err)
})

func tryMounter(flags, args []string) (mounter, error) {
	unshare, err := exec.LookPath("unshare")
	mount, failed := exec.LookPath("mount")
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	const script = `"$1" -a -T "$2" || exit 126; shift 2; exec "$0" "$@"`
	m := slices.Concat(mounter{unshare}, flags, []string{"/bin/sh", "-c", script, unshare, mount})
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, m[0], append(m[1:], args...)...).CombinedOutput(); err != nil {
		return nil, errors.New(cmp.Or(strings.TrimSpace(string(out)), err.Error()))
	}
	return m, nil
}

// CheckMounts says why the volumes of a container cannot be mounted; nil if they can.
func CheckMounts(c *corev1.Container) error {
	if _, err := newMounter(); err != nil {
		return err
	}
	_, err := newView(c, os.TempDir())
	return err
}

// mount makes a command run where a container's volumes are mounted. These are
// directories of the attempt, which its containers share, and are removed with it.
func mount(a batch.Attempt, c *corev1.Container, command *batch.Command) error {
	if len(c.VolumeMounts) == 0 {
		return nil
	}
	m, err := newMounter()
	if err != nil {
		return err
	}
	dir, err := a.Dir()
	if err != nil {
		return err
	}
	v, err := newView(c, dir)
	if err != nil {
		return err
	}
	wd, err := v.workingDir(c, command.Dir)
	if err != nil {
		return err
	}
	command.Args, command.Dir = slices.Concat(m, v.runs(wd, command.Args)), ""
	return v.make()
}

// named is the error of a program that another one has run.
func named(err error, program string) error {
	if exit, ok := errors.AsType[*proc.ExitError](err); ok {
		exit.Program = program
	}
	return err
}
