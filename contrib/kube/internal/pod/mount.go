package pod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/proc"
)

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
