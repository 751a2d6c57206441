package logtail

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTail(t *testing.T) {
	x := strings.Repeat("x", tailSize-4)
	tests := map[string]struct {
		writes []string
		want   string
	}{
		"nothing":          {writes: nil, want: ""},
		"a line":           {writes: []string{"disk ", "full\n"}, want: "disk full"},
		"lines are joined": {writes: []string{"a\n\n  b\r\nc"}, want: "a | b | c"},
		"the end is kept":  {writes: []string{"lost\nbroken ", x, "\nend"}, want: "end"},
		"of one long line": {
			writes: []string{strings.Repeat("y", 10*tailSize), "end"}, want: strings.Repeat("y", tailSize-2) + "end",
		},
		"only blank lines":   {writes: []string{"\n \n"}},
		"not a text":         {writes: []string{"\xff\n"}, want: "\uFFFD"},
		"just what has room": {writes: []string{"12\n", x, "\n"}, want: "12 | " + x},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var tail Tail
			for _, p := range test.writes {
				n, err := tail.Write([]byte(p))
				require.NoError(t, err)
				require.Equal(t, len(p), n)
			}
			require.Equal(t, test.want, tail.String())
		})
	}
}
