package journal

import "context"

// A Keeper makes durable what has changed: a [Journal], or [Memory].
type Keeper interface {
	// Keeps reports whether anything outlasts the process.
	Keeps() bool
	Changed(p *Place)
	Sync(ctx context.Context) error
	Outlast(ctx context.Context) error
	Put(ctx context.Context, records, undo []Record, undone func()) error
	Failing() error
	Abort(err error)
	Close(ctx context.Context) error
}

// Memory is a [Keeper] for what lives no longer than the process: everything is
// as durable as it can be at once.
type Memory struct{}

// Keeps reports false.
func (Memory) Keeps() bool { return false }

// Changed tells the source at once, under its lock.
func (Memory) Changed(p *Place) { p.Source.StoredLocked() }

// Sync has nothing to wait for.
func (Memory) Sync(context.Context) error { return nil }

// Outlast has nothing to wait for.
func (Memory) Outlast(context.Context) error { return nil }

// Put has nothing to write.
func (Memory) Put(context.Context, []Record, []Record, func()) error { return nil }

// Failing returns nil.
func (Memory) Failing() error { return nil }

// Abort has nothing to end.
func (Memory) Abort(error) {}

// Close has nothing to write.
func (Memory) Close(context.Context) error { return nil }
