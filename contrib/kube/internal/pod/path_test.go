package pod

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplacePath(t *testing.T) {
	const path = "/dev/log"
	for name, c := range map[string]struct{ text, want string }{
		"alone":                    {"/dev/log", "NEW"},
		"in a command":             {"echo x >/dev/log; cat '/dev/log'", "echo x >NEW; cat 'NEW'"},
		"in a variable":            {"LOG=/dev/log", "LOG=NEW"},
		"after a colon":            {"a:/dev/log:b", "a:NEW:b"},
		"as part of a longer name": {"/dev/log2", "/dev/log2"},
		"as part of a longer path": {"/dev/log/x", "/dev/log/x"},
		"at the end of a path":     {"/root/dev/log", "/root/dev/log"},
		"with a suffix":            {"/dev/log.old", "/dev/log.old"},
		"twice in a row":           {"/dev/log/dev/log", "/dev/log/dev/log"},
		"not there":                {"/dev/lo", "/dev/lo"},
		"before a letter in UTF-8": {"/dev/logé", "/dev/logé"},
		"in an empty text":         {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, replacePath(c.text, path, "NEW"))
			require.Equal(t, c.want != c.text, mentions([]string{"other", c.text}, path))
		})
	}
	require.Equal(t, "text", replacePath("text", "", "NEW"), "no path")
}
