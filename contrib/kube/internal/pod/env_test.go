package pod

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestExpand(t *testing.T) {
	env := &environment{values: map[string]string{}}
	env.set("A", "1")
	env.set("EMPTY", "")
	env.set("REF", "$(A)")
	for name, c := range map[string]struct{ text, want string }{
		"a text without references":        {text: "plain", want: "plain"},
		"a reference":                      {text: "x$(A)y", want: "x1y"},
		"two references":                   {text: "$(A)$(A)", want: "11"},
		"a variable that is empty":         {text: "<$(EMPTY)>", want: "<>"},
		"a variable that does not exist":   {text: "$(B)", want: "$(B)"},
		"an escaped reference":             {text: "$$(A)", want: "$(A)"},
		"an escaped dollar before one":     {text: "$$$(A)", want: "$1"},
		"escaped dollars":                  {text: "$$$$", want: "$$"},
		"a dollar at the end":              {text: "a$", want: "a$"},
		"a dollar alone":                   {text: "$A $ {A}", want: "$A $ {A}"},
		"a reference without an end":       {text: "$(A", want: "$(A"},
		"a reference within a reference":   {text: "$(A$(A)", want: "$(A$(A)"},
		"an empty reference":               {text: "$()", want: "$()"},
		"what it stands for is left as is": {text: "$(REF)", want: "$(A)"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, env.expand(c.text))
		})
	}
}

// FuzzExpand wants a text without dollars unchanged, and references found
// wherever they stand.
func FuzzExpand(f *testing.F) {
	f.Add("x", "y")
	f.Add("$(A", "$$")
	f.Fuzz(func(t *testing.T, before, after string) {
		env := &environment{values: map[string]string{"A": "value"}}
		before, after = strings.ReplaceAll(before, "$", ""), strings.ReplaceAll(after, "$", "")
		require.Equal(t, before+"value"+after, env.expand(before+"$(A)"+after))
		require.Equal(t, before+"$"+after, env.expand(before+"$$"+after))
	})
}

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
