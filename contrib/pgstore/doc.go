// Package pgstore keeps the jobs of a [batch.Controller] in PostgreSQL, for a service that
// runs as several processes: one of them works, and another one goes on when it stops.
//
//	store, err := pgstore.Open(ctx, pool, pgstore.Options{})
//	if err != nil {
//		return err
//	}
//	c, err := batch.New(ctx, batch.Options{Store: store, Standby: true})
//	if err != nil {
//		return err
//	}
//	defer c.Shutdown(ctx) // before pool.Close
//
// # Who works
//
// The process that works has a lease, Options.Lease, and renews it. If it dies, another
// one works when the lease has ended; if it shuts down, at once. If it is suspended for
// longer, or has no connection, it stops by itself: the contexts of its attempts end with
// [batch.ErrStoreInUse], its commits are refused, and nothing of them is reported. With
// Options.Standby it then waits until it is its turn again; without, its controller is
// over.
//
// Only the clock of the server decides, so those of the machines may differ. A commit has
// the number of its claim and its own, and the server refuses it if either is not the
// latest: also one that comes late, over a connection that was given up.
//
// # What it needs
//
// PostgreSQL 14 or later. [Open] makes the tables in a schema of their own, or changes those
// of an earlier version, with the right CREATE on the database, or on the schema if that
// is there. A process for which another one has done that needs USAGE on the schema,
// SELECT on versions, SELECT, INSERT, UPDATE and DELETE on claims, records and created,
// and EXECUTE on the function commit. The rights of a transaction that only calls
// [Store.CreateTx] are USAGE, and INSERT on created.
//
// PgBouncer may stand between in its session mode. In transaction and statement mode nobody
// can be notified that a process has shut down or a transaction has created a job, and
// statements cannot be prepared: Open finds that out, and returns [ErrNoSession].
//
// # What it costs
//
// A commit is one round trip and one transaction, however many records it has: it writes
// what has changed, and one row for the lease. No table grows with completions. Rows are
// changed in place, so the server must vacuum; the tables ask for it early. An idle
// process that works renews its lease three times in it; one that waits asks once.
//
// # When something is wrong
//
// Errors are the server's, as [*github.com/jackc/pgx/v5/pgconn.PgError], or those of the
// connection. While the server fails, jobs start nothing, and when it works again they go
// on; if that takes longer than the lease, what runs is ended, as another process may
// work.
package pgstore
