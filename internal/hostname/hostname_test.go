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
		"localhost":                   {host: "localhost:6443", allowed: true},
		"localhost in capitals":       {host: "LOCALHOST", allowed: true},
		"loopback":                    {host: "127.0.0.1:80", allowed: true},
		"another loopback":            {host: "127.1.2.3", allowed: true},
		"loopback of IPv6":            {host: "[::1]:80", allowed: true},
		"a name that was led here":    {host: "evil.example:80"},
		"a name with localhost in it": {host: "localhost.evil.example"},
		"an address of the network":   {host: "192.168.1.1:80"},
		"none":                        {hosts: nil, host: "", allowed: false},
		"a configured name":           {hosts: []string{"jobs.example"}, host: "jobs.example:443", allowed: true},
		"not the configured name":     {hosts: []string{"jobs.example"}, host: "x.jobs.example"},
		"any":                         {hosts: []string{"*"}, host: "evil.example", allowed: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.allowed, hostname.Allowed(test.host, test.hosts))
		})
	}
}
