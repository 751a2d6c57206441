// Package ksm holds the test of contrib/prometheus that has kube-state-metrics beside
// it. It is a module of its own, so that nobody else gets those dependencies. The
// program is built from testdata/program, which no other module must share versions
// with.
package ksm
