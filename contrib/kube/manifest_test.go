package kube_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
)

// TestManifest takes a manifest all the way: read, made a job, run, and shown
// again.
func TestManifest(t *testing.T) {
	manifests, err := kube.Load("testdata/digits.yaml")
	require.NoError(t, err)
	require.Len(t, manifests.Jobs, 1)
	kube.Default(manifests.Jobs[0])
	require.Empty(t, kube.Validate(manifests.Jobs[0]))

	var fetched []string
	runner := &kube.Runner{Commands: true, Functions: map[string]kube.Function{
		"fetch": func(_ context.Context, _ batch.Attempt, c kube.Container) error {
			fetched = append(fetched, c.Args...) // one attempt after the other
			return nil
		},
	}}
	job, warnings, err := runner.Job(manifests.Jobs[0])
	require.NoError(t, err)
	require.Equal(
		t,
		[]string{"spec.template.spec.containers[0].image: image busybox:1.37 is not pulled; command runs as a local process"},
		warnings,
	)

	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Shutdown(context.WithoutCancel(t.Context()))) }()
	require.NoError(t, c.Create(t.Context(), job))
	status, err := c.Wait(t.Context(), "digits")
	require.NoError(t, err)
	require.Len(t, fetched, 3)

	attempts, err := c.Attempts(t.Context(), "digits")
	require.NoError(t, err)
	var lines []string
	for _, a := range attempts {
		require.Equal(t, "ok", a.Output)
		for line, err := range c.Logs(t.Context(), "digits", a.Name, -1, false) {
			require.NoError(t, err)
			if !strings.HasPrefix(line.Text, "--- container ") { // where a container begins
				lines = append(lines, line.Text)
			}
		}
	}
	require.Equal(t, []string{"digit 0 of pi", "digit 1 of pi", "digit 2 of pi"}, lines)

	job, err = c.Job("digits")
	require.NoError(t, err)
	shown := kube.Manifest(job, status, "math")
	require.Equal(t, "math", shown.Namespace)
	require.Equal(t, manifests.Jobs[0].Spec.Template.Spec, shown.Spec.Template.Spec)
	require.Equal(t, "0-2", shown.Status.CompletedIndexes)
	require.Equal(t, batchv1.JobComplete, shown.Status.Conditions[len(shown.Status.Conditions)-1].Type)
}

// TestRunnerRefuses wants what cannot be honoured named, and nothing run.
func TestRunnerRefuses(t *testing.T) {
	manifests, err := kube.Decode([]byte(`
apiVersion: batch/v1
kind: Job
metadata: {name: backup}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: registry.example.com/backup:7
        envFrom: [{secretRef: {name: credentials}}]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`))
	require.NoError(t, err)
	kube.Default(manifests.Jobs[0])
	_, _, err = new(kube.Runner).Job(manifests.Jobs[0])
	for _, field := range []string{"volumes[0].persistentVolumeClaim", "containers[0].image",
		"containers[0].envFrom[0].secretRef"} {
		require.ErrorContains(t, err, "spec.template.spec."+field+": ")
	}
	require.Len(t, strings.Split(err.Error(), "], "), 1)
}
