// Package iterate works through a long sequence of items, some at once, and
// keeps a checkpoint from which it can go on when it was cut off.
package iterate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

const (
	defaultChunkSize = 100
	defaultSaveEvery = time.Second
	maxParallelism   = 1 << 20
	// ahead is how many chunks may be open, from the one that the cursor waits
	// for, for each that can be worked on at once. The more, the more is to be
	// done again after a crash. The fewer, the longer a slow chunk keeps others
	// waiting: if eight chunks at once take an exponentially distributed time,
	// 1, 2, 4 and 8 give 46, 72, 95 and 100 % of the possible throughput.
	ahead = 4
)

// Work says what an iteration is to do. The sequence may be of any length: no
// more than about ahead*Parallelism*ChunkSize items are held at a time.
type Work[T, C any] struct {
	// Items returns the items behind the place that the cursor marks, in an
	// order that does not change. The zero C is the place before all items. It
	// and its iterator run on the goroutine of Run. They should end soon after ctx
	// does, and may do so in silence: nothing counts as the end of the sequence
	// then. An error from the iterator is the end of the run, once the items
	// before it are done. The next run reads those of them again that share the
	// last cursor, to see whether there are more, without doing them again. If the
	// iterator then fails at the same place, that run goes on behind the cursor,
	// with a second call of Items. Required.
	Items func(ctx context.Context, after C) iter.Seq2[T, error]
	// Cursor returns the place behind the item. Items in a row may have the same
	// cursor, such as those of a page: it is saved once all of them are done. The
	// zero C is only saved as the cursor of the last item. Cursors are
	// encoded as JSON. It runs on the goroutine of Run. Required.
	Cursor func(item T) C

	// Do works on one item, and DoChunk on several. At least one is required.
	// If DoChunk fails, its items are tried again one by one, by Do if there is
	// one. Without DoChunk, Do gets the items of a chunk one after the other.
	Do      func(ctx context.Context, item T) error
	DoChunk func(ctx context.Context, items []T) error

	// ChunkSize is how many items a chunk has. Zero means 100 with DoChunk,
	// and 1 without.
	ChunkSize int
	// Parallelism is how many chunks are worked on at once, up to 1,048,576. Zero means 1.
	Parallelism int
	// MaxSkipped is how many items that fail may be skipped, in all runs
	// together. The checkpoint lists 256 KiB of them, and has the count of all.
	MaxSkipped int
	// SkipOn reports whether an item may be skipped that failed with that error.
	// Nil means any error.
	SkipOn func(err error) bool
	// SaveEvery is the least time between two checkpoints; the last one is
	// saved at once. Zero means a second; a negative time none.
	SaveEvery time.Duration
}

// Hooks are what the caller knows better. All are required. Those that get an
// error may call the error's methods, which are user code.
type Hooks[C any] struct {
	// Final reports whether an error ends the iteration whatever may be skipped.
	Final func(err error) bool
	// Recovered returns the error of user code that panicked or, if the value
	// is nil, called runtime.Goexit.
	Recovered func(value any, stack []byte) error
	// Skipped is told when an item is skipped, by several goroutines at once.
	Skipped func(cursor C, err error)
	// Progress is told how many items are done or skipped in all runs, by one
	// goroutine at a time, before each checkpoint.
	Progress func(settled int)
}

// A Result says how far an iteration has come.
type Result[C any] struct {
	// Done is how many items are done, in all runs together, as far as no later
	// run does them again.
	Done int
	// Skipped are the others, in the order of the sequence, as far as they are
	// listed.
	Skipped []Skipped[C]
	// Unlisted is how many more were skipped.
	Unlisted int
	// ResumedFrom is the cursor behind which the iteration went on; nil if it
	// began at the start.
	ResumedFrom *C
}

// Skipped is an item that was not done.
type Skipped[C any] struct {
	Cursor C      `json:"cursor"`
	Err    string `json:"error"` // what it failed with; the beginning of a long text
}

// Run works through the sequence, from where the checkpoint says. It returns
// nil once every item is done or skipped; another Run then does nothing.
//
// It starts nothing more when ctx ends, an item fails for good, or a checkpoint
// cannot be saved. It then waits for the chunks in work, whose context only
// ends with ctx, saves a last checkpoint, unless saving failed, and returns:
// the cause of ctx; an [*ItemError]; the error of the iterator or of Save. What
// fails after ctx has ended is not counted. A [*CheckpointError] is returned, and
// nothing done or saved, if the checkpoint cannot be read; a [*CursorError] if
// one cannot be made.
//
// A panic in DoChunk or Do is an error like others, and Goexit a final one. A
// panic or Goexit in Items or Cursor goes through to the caller, after a last
// checkpoint.
func Run[T, C any](ctx context.Context, w Work[T, C], saved Checkpoint, hooks Hooks[C]) (Result[C], error) {
	if err := w.validate(); err != nil {
		return Result[C]{}, err
	}
	from, err := load[C](saved)
	if err != nil {
		return Result[C]{}, err
	}
	if from.finished {
		return from.result(from), nil
	}
	r := newRun(ctx, w.resolved(), saved, hooks, from)
	r.run(from)
	return r.ledger.place.result(from), r.err()
}

func (w *Work[T, C]) validate() error {
	var errs []error
	require := func(good bool, format string, args ...any) {
		if !good {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(w.Items != nil, "Items: required")
	require(w.Cursor != nil, "Cursor: required")
	require(w.Do != nil || w.DoChunk != nil, "Do, DoChunk: one is required")
	require(w.ChunkSize >= 0, "ChunkSize: %d is negative", w.ChunkSize)
	require(w.Parallelism >= 0, "Parallelism: %d is negative", w.Parallelism)
	require(w.Parallelism <= maxParallelism, "Parallelism: %d is more than %d", w.Parallelism, maxParallelism)
	require(w.MaxSkipped >= 0, "MaxSkipped: %d is negative", w.MaxSkipped)
	return errors.Join(errs...)
}

// resolved returns w with its defaults.
func (w Work[T, C]) resolved() Work[T, C] {
	size := 1
	if w.DoChunk != nil {
		size = defaultChunkSize
	}
	w.ChunkSize = cmp.Or(w.ChunkSize, size)
	w.Parallelism = cmp.Or(w.Parallelism, 1)
	w.SaveEvery = cmp.Or(w.SaveEvery, defaultSaveEvery)
	return w
}
