// Package crash proves, on real files, that a scheduled time is started by one job
// only, and that what was told to be started has run, when the process is killed at
// any instant.
//
// A child process opens a store and declares CronJobs that are due each second. It
// writes down in a ledger what its executors do and what it is told. It is killed
// with SIGKILL around a scheduled instant and started again. At the end the ledger is
// judged.
//
// The tests make a few kills. For thousands:
//
//	cd contrib/cron/internal/crash && go test -run TestKills -kills 2000 -timeout 2h -v
package crash
