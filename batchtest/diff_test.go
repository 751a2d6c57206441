package batchtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	tests := map[string]struct{ want, got, diff string }{
		"the same":         {"a b c", "a b c", "= a,= b,= c"},
		"nothing":          {"", "", ""},
		"nothing wanted":   {"", "a b", "+ a,+ b"},
		"nothing got":      {"a b", "", "- a,- b"},
		"one line changed": {"a b c", "a x c", "= a,- b,+ x,= c"},
		"one line missing": {"a b c", "a c", "= a,- b,= c"},
		"one line more":    {"a c", "a b c", "= a,+ b,= c"},
		"lines moved":      {"a b c d", "a c b d", "= a,- b,= c,+ b,= d"},
		"what is far from a difference is left out": {
			"h 1 2 3 4 5 6 7 8 9 x",
			"h 1 2 3 4 5 6 7 8 9 y",
			"= h,= 1,= 2,= 3,= ... 3 more in common,= 7,= 8,= 9,- x,+ y",
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
