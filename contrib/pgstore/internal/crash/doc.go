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
// The tests make some hundred faults, and measure a few take-overs. For thousands:
//
//	cd contrib/pgstore/internal/crash && go test -run TestFaults -faults 2000 -timeout 1h -v
//	cd contrib/pgstore/internal/crash && go test -run TestTakeOver -takeovers 100 -timeout 1h -v
package crash
