// Package boltstore keeps the jobs of a [batch.Controller] in a file, so that
// they survive the process: a deploy, a crash, kill -9, a power cut. One file,
// no server, no C; below it is go.etcd.io/bbolt.
//
//	store, err := boltstore.Open("/var/lib/thumbnails/jobs.db", boltstore.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close() // after the controller's Shutdown
//
// # What is safe
//
// What [Store.Commit] has acknowledged is on the disk, as far as the disk can be
// believed, and is there again after [Open], as a whole and in order; what it
// has not acknowledged is there as a whole, or not at all. A commit that is cut
// short at any byte leaves what was committed before it.
//
// The file is not trusted. Every value has a checksum, and sums over all of them
// tell if one is missing, or an old one has come back. Open reads all of the
// file, at some hundred megabytes a second, before any of it is used: a store
// holds exactly what was committed last, or it is refused. A file that cannot be
// read is never written to.
//
// # When something is wrong
//
//   - [*InUseError]: the store is open elsewhere. Open does not wait; the error
//     has the number of the process, on Linux.
//   - [*IOError]: the system did not do what was asked of it, because the folder
//     is missing, it may not be written to, the disk is full, or a write or a sync
//     has failed. What errors.Is finds in it says which. A store that is open
//     works again by itself once the reason is gone.
//     A file that was removed, renamed or replaced while it was open has
//     [ErrMoved].
//   - [*CorruptError]: bytes have changed, or are missing; or another program has
//     written to the file while it was open.
//   - [*FormatError]: another version of this package has written the file. Both
//     versions of the format are named.
//   - [*ForeignError]: the file is something else.
//
// While the disk hangs, Commit and Load return when their contexts end, and Close
// after five seconds.
//
// The store does not know what the records say. A file whose records a
// controller refuses can be repaired: Load shows them, and Commit removes a job by a
// [batch.Record] that has only its Job. Of two jobs of one name the controller itself
// removes the younger one, and logs an error.
//
// # Several processes
//
// The file is that of one process. For a rolling deploy, both have Options.Standby, here
// and in [batch.Options]: the new process is started, declares its jobs, and waits; then
// the old one is asked to stop, calls [batch.Controller.Shutdown] with enough time for
// what runs, and then Close. The new one works a twentieth of a second later, and nothing
// is lost or interrupted. It cannot show jobs before.
//
// # What it costs
//
// A commit takes two syncs, however many records it has: commit many at once. It
// writes the pages that it changes, 4 KiB each, whatever else is in the store, and
// one page more. One that fails, such as on a full disk, reads the tree of the file
// to find the free pages again: about a millisecond for each MiB.
// The space of what is removed is used again, but the file does not get smaller.
// The command bbolt compact, of go.etcd.io/bbolt, makes a small one of it while
// no process has it open; keep the old one until the new one has been opened.
//
// The file must be on a disk of the machine. Network file systems often do
// neither lock nor sync as they should. To copy a store, close it first. A process
// that is killed while it makes a store may leave a file beside it, whose name
// begins with a dot and has ".new-" in it; it may be removed.
package boltstore
