// Package kubelitetest runs Kubernetes for tests: a cluster of their own, on addresses of
// its own of the loopback interface, in a temporary folder. It is the program of module
// contrib/cluster/kubelite, which takes many minutes to build. That is done once:
//
//	go run ./internal/kubelitetest/build
package kubelitetest
