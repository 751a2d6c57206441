package pod

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplacePath(t *testing.T) {
	const path = "/dev/log"
	for name, c := range map[string]struct{ text, want string }{
		"alone":                    {text: "/dev/log", want: "NEW"},
		"in a command":             {text: "echo x >/dev/log; cat '/dev/log'", want: "echo x >NEW; cat 'NEW'"},
		"in a variable":            {text: "LOG=/dev/log", want: "LOG=NEW"},
		"after a colon":            {text: "a:/dev/log:b", want: "a:NEW:b"},
		"as part of a longer name": {text: "/dev/log2", want: "/dev/log2"},
		"as part of a longer path": {text: "/dev/log/x", want: "/dev/log/x"},
		"at the end of a path":     {text: "/root/dev/log", want: "/root/dev/log"},
		"with a suffix":            {text: "/dev/log.old", want: "/dev/log.old"},
		"twice in a row":           {text: "/dev/log/dev/log", want: "/dev/log/dev/log"},
		"not there":                {text: "/dev/lo", want: "/dev/lo"},
		"before a letter in UTF-8": {text: "/dev/logé", want: "/dev/logé"},
		"in an empty text":         {text: "", want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, replacePath(c.text, path, "NEW"))
			require.Equal(t, c.want != c.text, mentions([]string{"other", c.text}, path))
		})
	}
	require.Equal(t, "text", replacePath("text", "", "NEW"), "no path")
}

func TestTail(t *testing.T) {
	lines := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintln(&b, i)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ written, want string }{
		"nothing":                 {written: "", want: ""},
		"a line":                  {written: "one\n", want: "one\n"},
		"a line without its end":  {written: "one\ntwo", want: "one\ntwo"},
		"as many lines as fit":    {written: lines(0, 80), want: lines(0, 80)},
		"more lines than fit":     {written: lines(0, 100), want: lines(20, 100)},
		"more, the last one open": {written: lines(0, 100) + "x", want: lines(21, 100) + "x"},
		"more bytes than fit":     {written: strings.Repeat("x", 3000), want: strings.Repeat("x", 2048)},
		"far more bytes":          {written: strings.Repeat("y", 100_000) + "z", want: strings.Repeat("y", 2047) + "z"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, 1 << 20} {
				var tail tail
				for rest := c.written; rest != ""; {
					n, err := tail.Write([]byte(rest[:min(size, len(rest))]))
					require.NoError(t, err)
					rest = rest[n:]
				}
				require.Equal(t, c.want, tail.String())
				require.LessOrEqual(t, cap(tail.text), 16<<10)
			}
		})
	}
}
