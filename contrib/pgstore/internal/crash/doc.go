// Package crash proves what pgstore promises, on a real server: of several processes one
// works, and what was told of a job stays true, whatever happens to processes, to their
// connections and to the server.
//
// Three processes have one store and run the same jobs. Each has its connections through
// a proxy. A killer kills them, suspends them, ends them in good order, cuts or holds
// their connections, and restarts the server. What executors do is written down in a
// ledger, a file that refuses a fence lower than one it has seen, as a resource would that
// is fenced off; what is told to those who look on, by whatever process, as well. A judge
// reads the ledger, and knows nothing else.
//
// The tests make some hundred faults. For thousands:
//
//	cd contrib/pgstore && go test ./internal/crash -run TestFaults -faults 2000 -timeout 1h -v
package crash
