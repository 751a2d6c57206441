// Package hostname guards servers of this machine against web pages that lead a name of
// their own here.
package hostname

import (
	"net"
	"slices"
	"strings"
)

// Allowed reports whether host, as a request has it, with or without a port, is a name
// that a server answers to: localhost, an address of the loopback interface, or one of
// names, of which "*" stands for any.
func Allowed(host string, names []string) bool {
	if slices.Contains(names, "*") {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if ip := net.ParseIP(name); strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
