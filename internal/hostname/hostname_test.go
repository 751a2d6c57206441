package hostname_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/internal/hostname"
)

func TestAllowed(t *testing.T) {
	tests := map[string]struct {
		hosts   []string
		host    string
		allowed bool
	}{
		"localhost":                   {nil, "localhost:6443", true},
		"localhost in capitals":       {nil, "LOCALHOST", true},
		"loopback":                    {nil, "127.0.0.1:80", true},
		"another loopback":            {nil, "127.1.2.3", true},
		"loopback of IPv6":            {nil, "[::1]:80", true},
		"a name that was led here":    {nil, "evil.example:80", false},
		"a name with localhost in it": {nil, "localhost.evil.example", false},
		"an address of the network":   {nil, "192.168.1.1:80", false},
		"none":                        {nil, "", false},
		"a configured name":           {[]string{"jobs.example"}, "jobs.example:443", true},
		"not the configured name":     {[]string{"jobs.example"}, "x.jobs.example", false},
		"any":                         {[]string{"*"}, "evil.example", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.allowed, hostname.Allowed(test.host, test.hosts))
		})
	}
}
