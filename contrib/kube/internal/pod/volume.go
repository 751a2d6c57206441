package pod

import (
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// Mentions reports whether a container would find a volume: nothing is mounted, so
// its path must stand somewhere in what the container is given.
func Mentions(c *corev1.Container, mountPath string) bool {
	texts := slices.Concat(c.Command, c.Args, []string{c.WorkingDir})
	for i := range c.Env {
		texts = append(texts, c.Env[i].Value)
	}
	return mentions(texts, filepath.Clean(mountPath), true)
}

// mount makes the paths of volumes in the texts those of directories of the
// attempt, which its containers share, and which are removed with it. Longer paths
// come first, as a volume may be mounted within another one.
func mount(a batch.Attempt, c *corev1.Container, texts ...[]string) error {
	if len(c.VolumeMounts) == 0 {
		return nil
	}
	dir, err := a.Dir()
	if err != nil {
		return err
	}
	mounts := slices.SortedFunc(slices.Values(c.VolumeMounts), func(a, b corev1.VolumeMount) int {
		return len(b.MountPath) - len(a.MountPath)
	})
	for _, m := range mounts {
		volume := filepath.Join(dir, "volumes", m.Name, m.SubPath)
		if err := os.MkdirAll(volume, 0o700); err != nil {
			return err
		}
		for _, list := range texts {
			replaceIn(list, filepath.Clean(m.MountPath), volume, true)
		}
	}
	return nil
}
