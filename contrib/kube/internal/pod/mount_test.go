package pod

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/effort"
)

// needMounts ends a test where the system lets nobody mount, and CheckMounts says so.
func needMounts(t *testing.T) {
	t.Helper()
	asRoot := exec.CommandContext(t.Context(), "unshare", "--mount", "true").Run()
	asUser := exec.CommandContext(t.Context(), "unshare", "--map-current-user", "--keep-caps", "--mount", "true").Run()
	if asRoot != nil && asUser != nil {
		require.ErrorContains(t, CheckMounts(new(corev1.Container)), "this system lets nobody mount it")
		effort.Need(t, asRoot)
	}
}

// TestVolumes runs the Indexed job of Kubernetes' documentation: its init container
// writes a word into a volume, and its container reads it.
func TestVolumes(t *testing.T) {
	needMounts(t)
	m := job(t, `
restartPolicy: Never
initContainers:
- name: input
  image: docker.io/library/bash
  command: [bash, -c, 'items=(foo bar baz qux xyz); echo ${items[$JOB_COMPLETION_INDEX]} > /input/data.txt']
  env: [{name: JOB_COMPLETION_INDEX, value: "3"}]
  volumeMounts: [{mountPath: /input, name: input}]
containers:
- name: worker
  image: docker.io/library/busybox
  command: [rev, /input/data.txt]
  volumeMounts: [{mountPath: /input, name: input}]
volumes: [{name: input, emptyDir: {}}]`)
	r := run(t, m, Settings{}, nil)
	require.Equal(t, batch.AttemptSucceeded, r.Phase, r.Message)
	require.Equal(t, []string{"xuq"}, r.log)
	require.NoDirExists(t, "/input", "nothing of the machine has changed")
}

// TestMounts wants volumes where they were asked for: in directories that there are and
// in others, in each other, through links, over the attempt's own directory; and all
// other files of the machine as they are.
func TestMounts(t *testing.T) {
	needMounts(t)
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	require.NoError(t, os.Mkdir(there, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(there, "hidden"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("of the machine\n"), 0o600))
	require.NoError(t, os.Symlink(there, filepath.Join(dir, "link")))
	t.Setenv("DIR", dir)
	for name, c := range map[string]struct {
		script, mounts string
		want           []string
	}{
		"a directory of the machine": {
			"ls $DIR/there; echo a > $DIR/there/a; cat $DIR/file; cat $DIR/there/a", "{name: v, mountPath: " + there + "}",
			[]string{"of the machine", "a"},
		},
		"a directory that is not there": {
			"cd $DIR/new/er; echo a > a; ls; ls $DIR; cat ../../file; readlink ../../link",
			"{name: v, mountPath: " + dir + "/new/er}",
			[]string{"a", "file", "link", "new", "there", "of the machine", there},
		},
		"one within the other": {
			"touch /one/a /one/two/b; ls /one /one/two", "{name: w, mountPath: /one/two}, {name: v, mountPath: /one}",
			[]string{"/one:", "a", "two", "", "/one/two:", "b"},
		},
		"through a link": {
			"touch $DIR/link/x/a; ls $DIR/there $DIR/there/x", "{name: v, mountPath: " + dir + "/link/x}",
			[]string{there + ":", "hidden", "x", "", there + "/x:", "a"},
		},
		"a part of a volume, read only": {
			"ls -a /v /w; touch /v/a 2>/dev/null || echo cannot",
			"{name: v, mountPath: /v, subPath: b, readOnly: true}, {name: v, mountPath: /w}",
			[]string{"/v:", ".", "..", "", "/w:", ".", "..", "b", "cannot"},
		},
		"over temporary files": {
			"touch /tmp/a; ls /tmp/a; echo bye > /dev/termination-log", "{name: v, mountPath: /tmp}", []string{"/tmp/a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			const volumes = "volumes: [{name: v, emptyDir: {}}, {name: w, emptyDir: {}}]"
			m := job(t, shell(c.script, "volumeMounts: ["+c.mounts+"]")+volumes)
			r := run(t, m, Settings{}, nil)
			require.Equal(t, c.want, r.log)
			require.Equal(t, batch.AttemptSucceeded, r.Phase, r.Message)
			require.Equal(t, name == "over temporary files", r.Output == "bye\n", "its message is read")
		})
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 3, "nothing of the machine has changed")
	require.NoDirExists(t, "/one")
}

// TestMountedProgram wants a program to be what it is without mounts: its directory,
// its exit code, and its name in the error.
func TestMountedProgram(t *testing.T) {
	needMounts(t)
	wd, err := os.Getwd()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		script, mountPath, workingDir string
		want                          string
		code                          int
	}{
		"fails":     {script: "exit 7", want: `"sh": exit code 7`, code: 7},
		"is killed": {script: "kill -9 $$$$", want: `"sh": exit code 137, killed by signal 9 (killed)`, code: 137},
		"has its variables and its directory": {
			script: "[ $A = b ] && [ -n \"$PATH\" ] && [ $(pwd) = /v/made/here ]", workingDir: "/v/made/here",
		},
		"starts where this process is":         {script: "[ $(pwd) = " + wd + " ]"},
		"starts at the root if that is hidden": {script: "[ $(pwd) = / ]", mountPath: filepath.Dir(wd)},
	} {
		t.Run(name, func(t *testing.T) {
			pod := shell(c.script, "volumeMounts: [{name: v, mountPath: "+cmp.Or(c.mountPath, "/v")+"}]",
				"workingDir: "+quoted(c.workingDir), "env: [{name: A, value: b}]")
			r := run(t, job(t, pod+"volumes: [{name: v, emptyDir: {}}]"), Settings{}, nil)
			require.Equal(t, c.code, exitCode(r), r.log)
			require.Contains(t, r.Message, c.want)
		})
	}
	m := job(t, "containers: [{name: main, image: process, command: [/no/such/program], "+
		"volumeMounts: [{name: v, mountPath: /v}]}]\nvolumes: [{name: v, emptyDir: {}}]")
	require.Equal(t, 127, exitCode(run(t, m, Settings{}, nil)))
}
