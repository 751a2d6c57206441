package batchtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text string
		want table
		err  string
	}{
		"cells and columns, whatever their spacing": {
			text: "\n\t a  b\t c\n\n 1 2   3 \n 4 5 6",
			want: table{header: []string{"a", "b", "c"}, rows: [][]string{{"1", "2", "3"}, {"4", "5", "6"}}},
		},
		"the last cell is all that remains": {
			text: "a b\n 1 two  and \"more\" ",
			want: table{header: []string{"a", "b"}, rows: [][]string{{"1", `two and "more"`}}},
		},
		"other cells may be quoted": {
			text: "a b\n\"1 2\" 3",
			want: table{header: []string{"a", "b"}, rows: [][]string{{"1 2", "3"}}},
		},
		"one column":           {text: "a\n 1 2", want: table{header: []string{"a"}, rows: [][]string{{"1 2"}}}},
		"no rows":              {text: "a b", want: table{header: []string{"a", "b"}}},
		"no columns":           {text: " \n", err: "the table has no line that names its columns"},
		"too few cells":        {text: "a b c\n1 2", err: `row "1 2" has 2 cells, and the table has 3 columns`},
		"a quotation too long": {text: "a b\n\"1 2", err: `row "\"1 2": a quotation has no end`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tt.text)
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestTable_ReadsWhatItPrints(t *testing.T) {
	want := table{
		header: []string{"index", "cause", "error"},
		rows:   [][]string{{"0", "job finished", `said "no"`}, {"10", `"`, "-"}, {"2", "größer", "x"}},
	}
	got, err := parse(want.String())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func FuzzTable_ReadsWhatItPrints(f *testing.F) {
	f.Add("a b", `"`, "c  d")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		words := column[string]{cell: func(s string) string { return s }}
		want := table{header: []string{"x", "y", "z"}, rows: [][]string{{words.show(a), words.show(b), words.show(c)}}}
		got, err := parse(want.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestShort(t *testing.T) {
	for _, text := range []string{"0s", "10s", "10m", "1m10s", "1h", "1h10m", "1h0m10s", "100h", "-2h", "20ms", "1.5s"} {
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, text, short(d))
	}
	require.Equal(t, "10m", shortText("600s"))
	require.Equal(t, "soon", shortText("soon"))
}
