package kube_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
	"github.com/runtocompletion/batch/internal/effort"
)

const (
	noImages  = "images are not pulled here: the container needs a command"
	noMounts  = "only emptyDir can be had: containers see the files of this machine"
	restart   = "spec.template.spec.restartPolicy: Required value: "
	image     = "spec.template.spec.containers[0].image: Invalid value: "
	noSidecar = "containers are not restarted one by one here, and there are no sidecars"
)

// documentation are the examples of Kubernetes' documentation of jobs, with what becomes
// of them here: the reasons for which they may end, or why they are refused. Scripts are
// sh's, where they were Python's, and do not sleep. The CronJob among the examples is that
// of the tests of package api.
var documentation = map[string]struct {
	reasons           []string // of the last condition
	succeeded, failed string   // indexes
	refused           string
}{
	"indexed-job":        {reasons: []string{batch.ReasonCompletionsReached}, succeeded: "0-4"},
	"indexed-job-vol":    {refused: "spec.template.spec.volumes[0].downwardAPI: Forbidden: " + noMounts},
	"job":                {reasons: []string{batch.ReasonCompletionsReached}},
	"job-tmpl":           {reasons: []string{batch.ReasonCompletionsReached}},
	"job-sidecar":        {refused: "spec.template.spec.initContainers[0].restartPolicy: Forbidden: " + noSidecar},
	"rabbitmq":           {refused: image + `"gcr.io/project/job-wq-1": ` + noImages},
	"redis":              {refused: image + `"gcr.io/myproject/job-wq-2": ` + noImages},
	"job-success-policy": {reasons: []string{batch.ReasonSuccessPolicy, batch.ReasonBackoffLimitExceeded}},
	"job-backoff-limit-per-index-example": {
		reasons: []string{batch.ReasonFailedIndexes}, succeeded: "1,3,5,7,9", failed: "0,2,4,6,8"},
	"job-backoff-limit-per-index-failindex": {
		reasons: []string{batch.ReasonFailedIndexes}, succeeded: "2,3", failed: "0,1"},
	"job-pod-failure-policy-config-issue": {refused: noImages},
	"job-pod-failure-policy-example":      {reasons: []string{batch.ReasonPodFailurePolicy}},
	"job-pod-failure-policy-failjob":      {reasons: []string{batch.ReasonPodFailurePolicy}},
	"job-pod-failure-policy-ignore":       {reasons: []string{batch.ReasonCompletionsReached}},
	"job-success-policy-example":          {refused: restart + `valid values: "OnFailure", "Never"`},
}

// needMounts skips a test on systems that let nobody mount.
func needMounts(t *testing.T) {
	asUser := exec.CommandContext(t.Context(), "unshare", "--map-current-user", "--keep-caps", "--mount", "true").Run()
	if asUser != nil {
		effort.Need(t, exec.CommandContext(t.Context(), "unshare", "--mount", "true").Run())
	}
}

// TestDocumentation runs the examples, with retries at once.
func TestDocumentation(t *testing.T) {
	path := t.TempDir() // has a perl, which not every machine has
	require.NoError(t, os.WriteFile(filepath.Join(path, "perl"), []byte("#!/bin/sh\necho 3.14159\n"), 0o700))
	runner := &kube.Runner{Commands: true, Env: []string{"PATH=" + path + ":" + os.Getenv("PATH")}}
	files, err := filepath.Glob("testdata/documentation/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(documentation))
	for name, want := range documentation {
		t.Run(name, func(t *testing.T) {
			objects, err := kube.Load("testdata/documentation/" + name + ".yaml")
			require.NoError(t, err)
			m := objects.Jobs[0]
			kube.Default(m)
			if want.refused == "" && len(m.Spec.Template.Spec.Volumes) > 0 {
				needMounts(t)
			}
			job, _, err := runner.Job(m)
			if want.refused != "" {
				require.ErrorContains(t, err, want.refused)
				return
			}
			require.NoError(t, err)
			job.Backoff = batch.ConstantBackoff(0)
			status, err := batch.Run(t.Context(), job)
			end := status.Conditions[len(status.Conditions)-1]
			require.Contains(t, want.reasons, end.Reason, "%v", err)
			if want.succeeded != "" {
				require.Equal(t, want.succeeded, status.CompletedIndexes.String())
			}
			if want.failed != "" {
				require.Equal(t, want.failed, status.FailedIndexes.String())
			}
		})
	}
}
