package pod

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpand(t *testing.T) {
	env := &environment{values: map[string]string{}}
	env.set("A", "1")
	env.set("EMPTY", "")
	env.set("REF", "$(A)")
	for name, c := range map[string]struct{ text, want string }{
		"a text without references":        {"plain", "plain"},
		"a reference":                      {"x$(A)y", "x1y"},
		"two references":                   {"$(A)$(A)", "11"},
		"a variable that is empty":         {"<$(EMPTY)>", "<>"},
		"a variable that does not exist":   {"$(B)", "$(B)"},
		"an escaped reference":             {"$$(A)", "$(A)"},
		"an escaped dollar before one":     {"$$$(A)", "$1"},
		"escaped dollars":                  {"$$$$", "$$"},
		"a dollar at the end":              {"a$", "a$"},
		"a dollar alone":                   {"$A $ {A}", "$A $ {A}"},
		"a reference without an end":       {"$(A", "$(A"},
		"a reference within a reference":   {"$(A$(A)", "$(A$(A)"},
		"an empty reference":               {"$()", "$()"},
		"what it stands for is left as is": {"$(REF)", "$(A)"},
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
