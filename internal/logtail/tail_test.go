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
		"nothing":            {nil, ""},
		"a line":             {[]string{"disk ", "full\n"}, "disk full"},
		"lines are joined":   {[]string{"a\n\n  b\r\nc"}, "a | b | c"},
		"the end is kept":    {[]string{"lost\nbroken ", x, "\nend"}, "end"},
		"of one long line":   {[]string{strings.Repeat("y", 10*tailSize), "end"}, strings.Repeat("y", tailSize-2) + "end"},
		"only blank lines":   {[]string{"\n \n"}, ""},
		"not a text":         {[]string{"\xff\n"}, "\uFFFD"},
		"just what has room": {[]string{"12\n", x, "\n"}, "12 | " + x},
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
