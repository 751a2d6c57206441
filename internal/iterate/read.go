package iterate

import "fmt"

// read reads the items behind a place and hands them to the workers in chunks.
func (r *run[T, C]) read(from place[C]) {
	in := &intake[T, C]{run: r, last: from.cursor, ahead: from.ahead}
	err := in.readBehind(from.cursor)
	if err != nil && in.isStuck() {
		in.pass()
		err = in.readBehind(in.last)
	}
	if r.stopped() { // then the iterator may only have obeyed its context
		return
	}
	in.handOver()
	if err != nil {
		r.broken = fmt.Errorf("read the items: %w", err)
		var zero C
		if !in.equal(in.last, zero) {
			r.lastRead = group[C]{in.last, in.row}
		}
		return
	}
	if !r.stopped() {
		in.pass()
		r.record(func(l *ledger[C]) { l.end() })
	}
}

// readBehind reads the items behind a cursor. The error is that of the iterator.
func (in *intake[T, C]) readBehind(cursor C) error {
	for item, err := range in.work.Items(in.reading, cursor) {
		if in.stopped() {
			return nil
		}
		if err != nil {
			return err
		}
		if !in.add(item) {
			return nil
		}
	}
	return nil
}

// An intake makes chunks of items.
type intake[T, C any] struct {
	*run[T, C]
	last    C         // the cursor of the last item
	row     int       // how many items in a row have it, up to that
	ahead   *group[C] // what an earlier run has settled; nil if it is passed
	begun   bool
	chunk   *chunk[T, C] // nil if there is no item that was not handed over
	spawned int          // how many workers there are
}

// add adds an item and reports whether to go on.
func (in *intake[T, C]) add(item T) bool {
	cursor := in.work.Cursor(item)
	if !in.begun {
		in.begun = true
		if err := checkCursor(cursor, in.equal); err != nil { // better now than at the first checkpoint
			in.fail(err, false)
			return false
		}
	}
	if in.isAhead(cursor) {
		in.count(cursor)
		return true
	}
	in.put(item, cursor)
	in.count(cursor)
	return len(in.chunk.items) < in.work.ChunkSize || in.handOver()
}

// count counts the cursor of one more item.
func (in *intake[T, C]) count(cursor C) {
	if !in.equal(in.last, cursor) {
		in.row = 0
	}
	in.row++
	in.last = cursor
}

// isAhead reports whether the next item, which has that cursor, was settled by an
// earlier run. If it is the first one with another cursor, those are passed.
func (in *intake[T, C]) isAhead(cursor C) bool {
	if in.ahead == nil {
		return false
	}
	if in.equal(cursor, in.ahead.Cursor) {
		return in.row < in.ahead.Items
	}
	in.pass()
	return false
}

// pass takes the items ahead for all that share their cursor.
func (in *intake[T, C]) pass() {
	if in.ahead == nil {
		return
	}
	in.last, in.ahead = in.ahead.Cursor, nil
	in.record(func(l *ledger[C]) { l.pass() })
}

// isStuck reports whether the iterator ends where it did in an earlier run. Then
// it would do so again.
func (in *intake[T, C]) isStuck() bool {
	return in.ahead != nil && in.row == in.ahead.Items && in.chunk == nil && in.spawned == 0 && !in.stopped()
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
