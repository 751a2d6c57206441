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
