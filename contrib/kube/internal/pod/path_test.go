package pod

import (
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
