package batchtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	tests := map[string]struct{ want, got, diff string }{
		"the same":         {want: "a b c", got: "a b c", diff: "= a,= b,= c"},
		"nothing":          {want: "", got: "", diff: ""},
		"nothing wanted":   {got: "a b", diff: "+ a,+ b"},
		"nothing got":      {want: "a b", diff: "- a,- b"},
		"one line changed": {want: "a b c", got: "a x c", diff: "= a,- b,+ x,= c"},
		"one line missing": {want: "a b c", got: "a c", diff: "= a,- b,= c"},
		"one line more":    {want: "a c", got: "a b c", diff: "= a,+ b,= c"},
		"lines moved":      {want: "a b c d", got: "a c b d", diff: "= a,- b,= c,+ b,= d"},
		"what is far from a difference is left out": {
			want: "h 1 2 3 4 5 6 7 8 9 x",
			got:  "h 1 2 3 4 5 6 7 8 9 y",
			diff: "= h,= 1,= 2,= 3,= ... 3 more in common,= 7,= 8,= 9,- x,+ y",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := diff(strings.Fields(tt.want), strings.Fields(tt.got))
			want := strings.ReplaceAll(strings.ReplaceAll(tt.diff, ",", "\n"), "= ", "  ")
			require.Equal(t, want, got)
		})
	}
}

func TestDiff_OfVeryLongTablesIsCoarse(t *testing.T) {
	a := strings.Fields(strings.Repeat("a ", 3000))
	b := strings.Fields(strings.Repeat("b ", 3000))
	require.Equal(t, append(mark("- ", a), mark("+ ", b)...), edit(a, b))
}
