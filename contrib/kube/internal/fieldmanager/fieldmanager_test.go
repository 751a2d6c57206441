package fieldmanager

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
)

func newManager(t *testing.T) *Manager {
	scheme := runtime.NewScheme()
	require.NoError(t, batchv1.AddToScheme(scheme))
	return New(scheme, batchv1.SchemeGroupVersion.WithKind("Job"), new(batchv1.Job), "")
}

// applied is a manifest that sets one variable of a container.
func applied(variable, value string) map[string]any {
	return map[string]any{"apiVersion": "batch/v1", "kind": "Job",
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "c", "env": []any{map[string]any{"name": variable, "value": value}}}}}}}}
}

func TestManagersShareLists(t *testing.T) {
	m := newManager(t)
	live := m.New().(*batchv1.Job)
	live.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	require.NoError(t, m.Updated(m.New(), live, "creator"))
	require.Equal(t, "creator", live.ManagedFields[0].Manager)

	one, err := m.Applied(live, applied("A", "1"), "one", false)
	require.NoError(t, err)
	two, err := m.Applied(one, applied("B", "2"), "two", false)
	require.NoError(t, err)
	require.Equal(
		t, []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		two.(*batchv1.Job).Spec.Template.Spec.Containers[0].Env,
	)
	require.Equal(t, "i", two.(*batchv1.Job).Spec.Template.Spec.Containers[0].Image)

	_, err = m.Applied(two, applied("A", "2"), "two", false)
	require.True(t, apierrors.IsConflict(err), err)
	forced, err := m.Applied(two, applied("A", "2"), "two", true)
	require.NoError(t, err)
	require.Equal(
		t, []corev1.EnvVar{{Name: "A", Value: "2"}}, forced.(*batchv1.Job).Spec.Template.Spec.Containers[0].Env,
		"two does not want B any more",
	)
}

func TestUpdateTakesFieldsOver(t *testing.T) {
	m := newManager(t)
	live := m.New().(*batchv1.Job)
	live.Spec.Parallelism = new(int32(1))
	require.NoError(t, m.Updated(m.New(), live, "creator"))
	updated := live.DeepCopy()
	updated.Spec.Parallelism = new(int32(2))
	require.NoError(t, m.Updated(live, updated, "other"))
	require.Len(t, updated.ManagedFields, 1, "the creator has nothing left")
	require.Equal(t, "other", updated.ManagedFields[0].Manager)
	require.JSONEq(t, `{"f:spec":{"f:parallelism":{}}}`, updated.ManagedFields[0].FieldsV1.GetRawString())
}

func TestBadManifests(t *testing.T) {
	m := newManager(t)
	for name, manifest := range map[string]map[string]any{
		"an unknown field": {"apiVersion": "batch/v1", "kind": "Job", "spec": map[string]any{"bogus": int64(1)}},
		"a wrong type":     {"apiVersion": "batch/v1", "kind": "Job", "spec": map[string]any{"parallelism": "x"}},
		"one key twice": {"apiVersion": "batch/v1", "kind": "Job",
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"containers": []any{map[string]any{"name": "c"}, map[string]any{"name": "c"}}}}}},
		"no kind": {"spec": map[string]any{}},
	} {
		_, err := m.Applied(m.New().(*batchv1.Job), manifest, "m", false)
		require.True(t, apierrors.IsBadRequest(err), "%s: %v", name, err)
	}
}
