package pod

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestInput(t *testing.T) {
	perAttempt := &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}
	large := strings.Repeat("x", 1<<20)
	doubled := []corev1.EnvVar{{Name: "A", Value: strings.Repeat("x", 1<<15)}}
	for range 10 {
		doubled = append(doubled, corev1.EnvVar{Name: "A", Value: "$(A)$(A)"})
	}
	for name, c := range map[string]struct {
		container corev1.Container
		want      string // empty: there is no input
	}{
		"a function alone": {container: corev1.Container{Image: "func/a"}, want: `{"args":[],"env":{}}`},
		"a program":        {container: corev1.Container{Image: "busybox", Args: []string{"x"}}},
		"command and args": {container: corev1.Container{Image: "func/a", Command: []string{"a"}, Args: []string{"b", ""}},
			want: `{"args":["a","b",""],"env":{}}`},
		"references": {container: corev1.Container{Image: "func/a", Args: []string{"--day=$(DAY)", "$(NONE)", "$$(DAY)"},
			Env: []corev1.EnvVar{{Name: "YEAR", Value: "2024"}, {Name: "DAY", Value: "$(YEAR)-05-01"}}},
			want: `{"args":["--day=2024-05-01","$(NONE)","$(DAY)"],"env":{"DAY":"2024-05-01","YEAR":"2024"}}`},
		"a variable of each attempt": {container: corev1.Container{Image: "func/a", Args: []string{"$(POD)"},
			Env: []corev1.EnvVar{{Name: "POD", ValueFrom: perAttempt}}}, want: `{"args":["$(POD)"],"env":{}}`},
		"a variable given twice": {container: corev1.Container{Image: "func/a",
			Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}}, want: `{"args":[],"env":{"A":"2"}}`},
		"too much text":       {container: corev1.Container{Image: "func/a", Args: []string{large}}},
		"too many references": {container: corev1.Container{Image: "func/a", Env: doubled}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := Input(&c.container).(json.RawMessage)
			require.Equal(t, c.want, string(got))
		})
	}
}
