// Package crash proves what pgstore promises, on a real server: of several processes one
// works, and what was told of a job stays true, whatever happens to processes, to their
// connections and to the server.
//
// Three processes have one store, run the same jobs and have the same CronJobs. Each has
// its connections through a proxy. A killer kills them, suspends them, ends them in good
// order, cuts or holds their connections, restarts the server and fills its disk. What
// executors do is written down in a ledger, a file that refuses a fence lower than one it
// has seen, as a resource would that is fenced off; what is told to those who look on, by
// whatever process, as well. A judge reads the ledger, and knows nothing else. Several
// such rounds run at once, on one server.
//
// The server's files are on a small disk in memory, which only root can have: others make
// all faults but that of a full disk.
//
// The tests make 50 faults, and 300 with BATCH_TEST=all, as in CI, and measure a few
// take-overs. For thousands:
//
//	cd contrib/pgstore/internal/crash && go test -run TestFaults -faults 2000 -timeout 1h -v
//	cd contrib/pgstore/internal/crash && go test -run TestTakeOver -takeovers 100 -timeout 1h -v
//
// A run of 2,000 faults took 13 minutes on two busy cores: 578 SIGKILL, 427 SIGSTOP, 415
// SIGTERM, 236 connections cut and 231 held, 79 restarts of the server and 34 full disks.
// 96,838 executors and 1,530 times of CronJobs ran under 655 claims, and nothing was found.
package crash
