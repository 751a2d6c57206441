package iterate

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
)

// A run is one call of Run. Its goroutine reads the items, workers do them, and
// a saver saves how far they have come.
type run[T, C any] struct {
	work  Work[T, C]
	hooks Hooks[C]
	equal func(a, b C) bool

	ctx     context.Context // that of the caller, which ends the work in progress
	reading context.Context // ends with ctx, and when nothing more is to be started
	stop    context.CancelFunc

	chunks  chan *chunk[T, C] // to the workers
	room    chan struct{}     // has an element for each chunk that is open
	workers sync.WaitGroup
	saver   saver
	broken  error // of the iterator
	// lastRead are the items before that error which share a cursor. There are
	// none if it is the zero C, which is no place between items.
	lastRead group[C]

	mu       sync.Mutex // guards the fields below; not held while user code runs
	ledger   ledger[C]
	skipping int   // how many items are skipped, also behind the ledger's place
	listed   int   // how many bytes the list of them has; more than maxListed if it is full
	failure  error // why nothing more is started; nil if only ctx has ended
	final    bool  // no other failure replaces this one
}

// A chunk is what is handed to a worker.
type chunk[T, C any] struct {
	stretch[C]
	items []T
}

func newRun[T, C any](ctx context.Context, w Work[T, C], saved Checkpoint, hooks Hooks[C], from place[C]) *run[T, C] {
	r := &run[T, C]{
		work: w, hooks: hooks, equal: equality[C](), ctx: ctx,
		chunks:   make(chan *chunk[T, C], ahead*w.Parallelism),
		room:     make(chan struct{}, ahead*w.Parallelism),
		saver:    newSaver(ctx, saved, w.SaveEvery, from.settled()),
		ledger:   ledger[C]{place: from},
		skipping: from.skips(), listed: from.listed,
	}
	r.reading, r.stop = context.WithCancel(ctx)
	return r
}

// run works through the items behind a place.
func (r *run[T, C]) run(from place[C]) {
	if r.ctx.Err() != nil {
		return
	}
	r.hooks.Progress(from.settled())
	saverStopped := r.saver.start(r.save)
	defer func() { // also if the iterator panics
		close(r.chunks)
		r.workers.Wait()
		if r.broken != nil {
			r.record(func(l *ledger[C]) { l.breakOff(r.lastRead) })
		}
		r.stop()
		saverStopped()
		r.save()
	}()
	r.read(from)
}

// err says why the run has ended before the sequence.
func (r *run[T, C]) err() error {
	err := r.failure
	if err == nil {
		err = r.broken
	}
	if err == nil && !r.ledger.place.finished {
		err = context.Cause(r.ctx)
	}
	if err != nil && r.saver.err != nil {
		return errors.Join(err, r.saver.err)
	}
	return cmp.Or(err, r.saver.err)
}

// fail lets nothing more start. The first failure counts, or the first final one.
func (r *run[T, C]) fail(err error, final bool) {
	defer r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil || final && !r.final {
		r.failure, r.final = err, final
	}
}

func (r *run[T, C]) stopped() bool { return r.reading.Err() != nil }

// workOn does chunk after chunk, and takes what is left after a stop away.
func (r *run[T, C]) workOn() {
	for c := range r.chunks {
		if !r.stopped() {
			r.do(c)
		}
		c.items = nil // the stretch may stay open for long
	}
}

// do works on a chunk, and on its items one by one if that fails. DoChunk gets
// a copy, as it may sort it: the items must stay beside their cursors.
func (r *run[T, C]) do(c *chunk[T, C]) {
	if r.work.DoChunk == nil || len(c.items) == 1 {
		r.each(c)
		return
	}
	err := r.guarded(func() error { return r.work.DoChunk(r.ctx, slices.Clone(c.items)) })
	if err == nil {
		r.settle(c, len(c.items))
	} else if !r.endsAll(c, err) {
		r.each(c)
	}
}

// each does items one by one, as far as it comes.
func (r *run[T, C]) each(c *chunk[T, C]) {
	for i := range c.items {
		if r.stopped() {
			return
		}
		err := r.guarded(func() error { return r.doOne(c.items[i : i+1 : i+1]) })
		if err == nil {
			r.settle(c, 1)
		} else if !r.skips(c, i, err) {
			return
		}
	}
}

func (r *run[T, C]) doOne(item []T) error {
	if r.work.Do != nil {
		return r.work.Do(r.ctx, item[0])
	}
	return r.work.DoChunk(r.ctx, item)
}

// settle records that the next n items of the chunk are done.
func (r *run[T, C]) settle(c *chunk[T, C], n int) {
	r.record(func(l *ledger[C]) { l.settle(&c.stretch, n) })
}

// record changes the ledger and passes on what follows from it.
func (r *run[T, C]) record(change func(l *ledger[C])) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, settled, finished := len(r.ledger.open), r.ledger.place.settled(), r.ledger.place.finished
	change(&r.ledger)
	for range open - len(r.ledger.open) {
		<-r.room
	}
	if r.ledger.place.settled() != settled || r.ledger.place.finished != finished {
		r.saver.moved()
	}
}

// guarded calls user code. If it panics, that is the error. If it calls
// Goexit, which cannot be stopped, that fails the run.
func (r *run[T, C]) guarded(call func() error) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		value := recover()
		err = r.hooks.Recovered(value, debug.Stack())
		if value == nil {
			r.fail(err, true)
		}
	}()
	err = call()
	returned = true
	return err
}

// save saves how far the ledger has come, and stops the run if that fails.
func (r *run[T, C]) save() {
	r.mu.Lock()
	place := r.ledger.place
	r.mu.Unlock()
	if !r.saver.wants(place.settled(), place.finished) {
		return
	}
	r.hooks.Progress(place.settled())
	err := r.guarded(func() error {
		data, err := r.encode(place)
		if err != nil {
			return err
		}
		return r.saver.save(data)
	})
	r.saver.tried(place.settled(), place.finished, err)
	if err != nil {
		r.stop()
	}
}

func (r *run[T, C]) encode(p place[C]) ([]byte, error) {
	if p.begun {
		if err := checkCursor(p.cursor, r.equal); err != nil {
			return nil, err
		}
	}
	if p.ahead != nil {
		if err := checkCursor(p.ahead.Cursor, r.equal); err != nil {
			return nil, err
		}
	}
	return p.encode()
}
