package pod

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestValues wants variables from config maps and secrets, as a kubelet has them: the
// container's own come last, and may refer to them.
func TestValues(t *testing.T) {
	values := NewValues(
		[]*corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Name: "words"}, Data: map[string]string{"A": "a", "B": "b"}},
			{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}},
		[]*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "key"}, Data: map[string][]byte{"KEY": []byte("x")},
			StringData: map[string]string{"TEXT": "y", "B": "of the secret"}}})
	require.True(t, values.HasConfigMap("empty"))
	require.False(t, values.HasSecret("empty"))
	m := job(t, shell("echo $W_A $W_B $B $C ${D-none} $KEY $TEXT",
		"envFrom: [{prefix: W_, configMapRef: {name: words}}, {secretRef: {name: key}},",
		"  {configMapRef: {name: none, optional: true}}]",
		"env: [{name: B, valueFrom: {configMapKeyRef: {name: words, key: B}}}, {name: C, value: '$(W_A)$(TEXT)'},",
		"  {name: D, valueFrom: {secretKeyRef: {name: key, key: none, optional: true}}}]"))
	r := run(t, m, Settings{Values: values}, nil)
	require.Equal(t, []string{"a b b ay none x y"}, r.log)
}
