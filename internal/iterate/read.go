package iterate

import "fmt"

// read reads the items behind a place and hands them to the workers in chunks.
func (r *run[T, C]) read(from place[C]) {
	in := intake[T, C]{run: r, last: from.cursor}
	for item, err := range r.work.Items(r.reading, from.cursor) {
		if r.stopped() {
			return
		}
		if err != nil {
			r.broken = fmt.Errorf("read the items: %w", err)
			in.handOver()
			return
		}
		if !in.add(item) {
			return
		}
	}
	in.handOver()
	if !r.stopped() { // otherwise the iterator may only have obeyed its context
		r.record(func(l *ledger[C]) { l.end() })
	}
}

// An intake makes chunks of items.
type intake[T, C any] struct {
	*run[T, C]
	last    C // the cursor of the last item
	begun   bool
	chunk   *chunk[T, C] // nil if there is no item that was not handed over
	spawned int          // how many workers there are
}

// add takes in an item and reports whether to go on.
func (in *intake[T, C]) add(item T) bool {
	cursor := in.work.Cursor(item)
	if !in.begun {
		in.begun = true
		if err := checkCursor(cursor, in.equal); err != nil { // better now than at the first checkpoint
			in.fail(err, false)
			return false
		}
	}
	in.put(item, cursor)
	in.last = cursor
	return len(in.chunk.items) < in.work.ChunkSize || in.handOver()
}

func (in *intake[T, C]) put(item T, cursor C) {
	var zero C
	rest := !in.equal(in.last, cursor) && !in.equal(in.last, zero)
	if in.chunk == nil {
		in.record(func(l *ledger[C]) { l.follow(rest) })
		in.chunk = newChunk[T, C](in.work.ChunkSize)
	}
	in.chunk.items = append(in.chunk.items, item)
	in.chunk.next(cursor, rest)
}

func newChunk[T, C any](size int) *chunk[T, C] {
	size = min(size, defaultChunkSize) // more is made when it is needed
	return &chunk[T, C]{
		stretch: stretch[C]{cursors: make([]C, 0, size), rests: make([]bool, 0, size+1)},
		items:   make([]T, 0, size),
	}
}

// handOver gives the chunk, if there is one, to the next free worker. It
// reports whether the run goes on.
func (in *intake[T, C]) handOver() bool {
	c := in.chunk
	if c == nil {
		return true
	}
	in.chunk = nil
	if !in.enter() {
		return false
	}
	in.record(func(l *ledger[C]) { l.append(&c.stretch) })
	if in.spawned < in.work.Parallelism {
		in.spawned++
		in.workers.Go(in.workOn)
	}
	in.chunks <- c // for which there is room
	return true
}

// enter waits until there is room for one more open chunk. It reports whether
// the run goes on.
func (in *intake[T, C]) enter() bool {
	select {
	case in.room <- struct{}{}:
		return true
	default:
	}
	select {
	case in.room <- struct{}{}:
		return true
	case <-in.reading.Done():
		return false
	}
}
