package convert

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
)

func TestSchedulingIsDropped(t *testing.T) {
	m := podJob(t, "", "")
	m.Spec.Scheduling = new(batchv1.JobSchedulingConfiguration)
	job, warnings, err := anything.Job(m, FromCode)
	require.NoError(t, err)
	require.Equal(t, []string{"spec.scheduling: dropped: the feature is off"}, warnings)
	require.Nil(t, Manifest(job, batch.Status{UID: someUID}, "").Spec.Scheduling)
}
