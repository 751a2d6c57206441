package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stern/stern/cmd"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/runtocompletion/batch/contrib/kube"
)

// stern does what stern's own main function does.
func stern() {
	command, err := cmd.NewSternCmd(genericclioptions.IOStreams{Out: os.Stdout, ErrOut: os.Stderr})
	if err == nil {
		err = command.Execute()
	}
	if err != nil {
		os.Exit(1)
	}
}

// TestStern wants the lines of all containers from stern, with their names: of pods that
// run while it watches, and of those that have ended.
func TestStern(t *testing.T) {
	w := newWorld(t, kube.Options{Write: true})
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "stern")
	require.NoError(t, os.Symlink(self, program))
	run := func(arguments ...string) (*exec.Cmd, *buffer) {
		c := exec.CommandContext(t.Context(), program, append(arguments, "--color=never", "tailed")...)
		c.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig, "HOME="+t.TempDir())
		output := new(buffer)
		c.Stdout, c.Stderr = output, output
		require.NoError(t, c.Start())
		return c, output
	}
	following, output := run()
	m := job("tailed", "wait")
	m.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "func/hello"}}
	_, err = w.clientset().BatchV1().Jobs(namespace).Create(t.Context(), m, metav1.CreateOptions{})
	require.NoError(t, err)
	w.eventually(func() bool { return strings.Contains(output.String(), " main waiting") })
	w.release()
	w.eventually(func() bool { return strings.Contains(output.String(), " main released") })
	require.NoError(t, following.Process.Kill())
	_ = following.Wait() // it was killed
	require.Contains(t, output.String(), " first hello from first")

	ended, output := run("--no-follow", "--only-log-lines")
	require.NoError(t, ended.Wait(), output.String())
	lines := strings.Split(strings.TrimSpace(normalize(output.String())), "\n")
	slices.Sort(lines) // it reads the logs of containers at once
	require.Equal(t, []string{"tailed-xxxxx first hello from first", "tailed-xxxxx first that was all",
		"tailed-xxxxx main released", "tailed-xxxxx main waiting"}, lines)
}
