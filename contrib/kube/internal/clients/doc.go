// Package clients tests the handler of package kube with clients that others
// wrote: kubectl, client-go and controller-runtime. It is a module of its own so
// that what they need does not become a dependency of users of package kube.
package clients
