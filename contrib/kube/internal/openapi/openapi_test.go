package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
)

func describeJob() *Document {
	return New([]Resource{{
		Path: "/jobs/{name}", Kind: batchv1.SchemeGroupVersion.WithKind("Job"), Object: new(batchv1.Job), Patch: true,
	}})
}

// TestReferences wants a schema for every name that is referred to.
func TestReferences(t *testing.T) {
	d := describeJob()
	data, err := json.Marshal(d)
	require.NoError(t, err)
	parts := strings.Split(string(data), `"$ref":"#/components/schemas/`)
	require.Greater(t, len(parts), 100)
	for _, part := range parts[1:] {
		name, _, _ := strings.Cut(part, `"`)
		require.Contains(t, d.Components.Schemas, name)
	}
}

func TestFields(t *testing.T) {
	schemas := describeJob().Components.Schemas
	spec := schemas["io.k8s.api.batch.v1.JobSpec"]
	require.Equal(t, "integer", spec.Properties["parallelism"].Type)
	require.Equal(t, "int32", spec.Properties["parallelism"].Format)
	require.Contains(
		t, spec.Properties["suspend"].Description, "suspend specifies whether the Job controller should create Pods",
	)
	require.Equal(t, []string{"template"}, spec.Required)
	pod := schemas["io.k8s.api.core.v1.PodSpec"]
	containers := pod.Properties["containers"]
	require.Equal(t, "array", containers.Type)
	require.Equal(t, "#/components/schemas/io.k8s.api.core.v1.Container", containers.Items.Ref)
	require.Equal(t, "name", containers.MergeKey)
	require.Equal(t, "merge", containers.Strategy)
	volume := schemas["io.k8s.api.core.v1.Volume"]
	require.Contains(t, volume.Properties, "emptyDir", "the fields of an embedded struct are the struct's")
	require.Equal(t, "date-time", schemas["io.k8s.apimachinery.pkg.apis.meta.v1.Time"].Format)
	require.Equal(t, "Job", schemas["io.k8s.api.batch.v1.Job"].Kinds[0].Kind)
}
