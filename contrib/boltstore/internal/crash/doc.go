// Package crash proves what [batch.Store] promises, on real files: what a caller
// has been told survives kill -9 at any instant.
//
// A child process opens a store, applies random jobs, lets users suspend, scale
// and delete them, and writes down in a ledger, a file of its own, what its
// executors do and what it is told, also by a subscription. It is killed with SIGKILL, or ended with
// SIGTERM, at a random instant, and started again, until all jobs have ended. A
// judge reads the ledger along, and knows nothing but it and the plan of the
// jobs. What it holds to be true is said beside its rules, in the files judge_*.
//
// The tests make 50 kills, and 300 with BATCH_TEST=all, as in CI. For thousands:
//
//	cd contrib/boltstore && go test ./internal/crash -run TestKills -kills 5000 -timeout 2h -v
//
// A failure names its seed: -seed makes the same jobs again, and the same kills
// as far as time can be made again, and -keep keeps the ledger and the store.
//
// SIGKILL leaves alone what the system has been given to write: that a commit is
// on the disk when it is acknowledged is for the simulation of power cuts in
// package boltstore to prove.
package crash
