// Package journal brings what has changed to a store. While one commit is under
// way, everything that changes waits for the next one, so that many changes
// share the price of making them durable.
package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Record is a value under a key of a job. A nil value removes the record; an
// empty key with it, the whole job.
type Record struct {
	Job, Key string
	Value    []byte
}

// A Source has something to be stored that changes.
type Source interface {
	// Collect puts the records that have changed since it was last called, and
	// calls Place.Taken under the lock that guards the calls of Changed.
	Collect(put func(Record))
	// Stored says that what Collect has put is durable.
	Stored()
}

// A Place is a source's place in a [Journal].
type Place struct {
	Source Source

	waiting   bool // for the next round
	collected bool // in a batch; the goroutine's own
}

// Taken says that what has changed so far is collected.
func (p *Place) Taken() { p.waiting = false }

// A Journal writes to one store. Its methods may be called by several
// goroutines at once. It has a goroutine while there is something to write.
type Journal struct {
	commit  func([]Record) error
	trouble func(error)

	mu      sync.Mutex // guards the fields below; nothing else is locked under it
	next    round
	running bool
	failed  error         // of the latest commit, until one succeeds
	outage  chan struct{} // closed when commits do not fail any more, or are given up; nil unless they fail
	dead    bool          // nothing is written any more
	closing chan struct{} // closed by Close
	idle    chan struct{} // closed when the goroutine ends; nil if there is none
}

// A round is what one commit brings to the store.
type round struct {
	places   []*Place
	requests []*request
}

// A request is records that somebody waits for, or nothing but the wait.
type request struct {
	records, undo []Record
	done          chan error
}

// ErrClosed says that nothing can be written after Close.
var ErrClosed = errors.New("journal: closed")

// New returns a journal that writes with commit, which makes all records durable
// or none. Trouble is called with an error when commits begin to fail, and with
// nil when they succeed again.
func New(commit func([]Record) error, trouble func(error)) *Journal {
	return &Journal{commit: commit, trouble: trouble, closing: make(chan struct{})}
}

// Changed says that a source has something to be stored. Calls for one place
// come one at a time; all but the first between two calls of Taken cost nothing.
func (j *Journal) Changed(p *Place) {
	if p.waiting {
		return
	}
	p.waiting = true
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next.places = append(j.next.places, p)
	j.run()
}

// Sync returns when all that has changed before is durable. It returns an error
// at once while commits fail, and the cause of ctx if that ends first.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if j.failed != nil || !j.running {
		defer j.mu.Unlock()
		if len(j.next.places) == 0 {
			return j.failed
		}
		return j.refusal()
	}
	done := j.ask(&request{})
	j.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Outlast is Sync for those who wait while commits fail. It returns an error when
// nothing is written any more, or ctx ends: while commits fail, their error.
func (j *Journal) Outlast(ctx context.Context) error {
	for {
		err := j.Sync(ctx)
		if err == nil || !j.outlasts(ctx) {
			return err
		}
	}
}

// outlasts waits until commits do not fail any more, and reports whether there are
// any then.
func (j *Journal) outlasts(ctx context.Context) bool {
	j.mu.Lock()
	over, dead := j.outage, j.dead
	j.mu.Unlock()
	switch {
	case dead || ctx.Err() != nil:
		return false
	case over == nil:
		return true
	}
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// Put makes records durable, together with all that has changed before. They are
// written in the order of the calls, and before those that sources have collected.
// If that fails, they are not tried again; undo is written with what comes next, as
// nobody knows whether they have been stored.
func (j *Journal) Put(records, undo []Record) error {
	done, err := j.put(&request{records: records, undo: undo})
	if err != nil {
		return err
	}
	return <-done
}

func (j *Journal) put(r *request) (<-chan error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refusal(); err != nil {
		return nil, err
	}
	return j.ask(r), nil
}

// Failing returns the error of the latest commit, if it failed.
func (j *Journal) Failing() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Close waits until all is durable. If commits fail, it lets one more be tried
// and returns its error. Nothing is written then any more.
func (j *Journal) Close(ctx context.Context) error {
	j.close()
	for {
		idle, err := j.end()
		if idle == nil {
			return err
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), j.Failing())
		}
	}
}

func (j *Journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.closing:
	default:
		close(j.closing)
	}
}

// end lets nothing more be written, unless something is: then it returns what
// ends with that.
func (j *Journal) end() (idle chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running {
		return j.idle, nil
	}
	j.dead = true
	return nil, j.failed
}

// refusal is why nothing can be written now. It needs j.mu.
func (j *Journal) refusal() error {
	if j.failed == nil && j.dead {
		return ErrClosed
	}
	return j.failed
}

// ask puts a request into the next round. It needs j.mu.
func (j *Journal) ask(r *request) <-chan error {
	r.done = make(chan error, 1)
	j.next.requests = append(j.next.requests, r)
	j.run()
	return r.done
}

// run makes sure that the next round will be written. It needs j.mu.
func (j *Journal) run() {
	if j.running || j.dead {
		return
	}
	j.running, j.idle = true, make(chan struct{})
	go j.write(j.idle)
}

// take returns the next round, or false if there is none: then the goroutine
// ends.
func (j *Journal) take() (round, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.next
	j.next = round{}
	j.running = len(r.places)+len(r.requests) > 0
	return r, j.running
}

// write writes rounds until nothing is left to be written, or the store fails
// and the journal is closing.
func (j *Journal) write(idle chan struct{}) {
	defer close(idle)
	var b batch
	for {
		r, ok := j.take()
		if !ok {
			return
		}
		b.add(r)
		for err := j.attempt(&b, r); err != nil; err = j.attempt(&b, r) {
			b.withdraw(r)
			r.answer(err)
			if !j.pause(&b, err) {
				return
			}
			r = j.takeAny()
			b.add(r)
		}
		j.recovered() // first: who learns that something is stored may ask for the next thing
		b.stored()
		r.answer(nil)
	}
}

// takeAny is take for a goroutine that goes on in any case.
func (j *Journal) takeAny() round {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.next
	j.next = round{}
	return r
}

// attempt commits what is in b and has been asked for in r.
func (j *Journal) attempt(b *batch, r round) (err error) {
	records := b.with(r)
	if len(records) == 0 && b.tries == 0 { // after a failure, it shows whether the store works
		return nil
	}
	done := make(chan error, 1)
	go func() { // a store is somebody else's code
		err := errExited
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			done <- err
		}()
		err = j.commit(records)
	}()
	return <-done
}

var errExited = errors.New("the store called runtime.Goexit")

// pause waits until it is time to try again, and reports false if it is time to
// give up.
func (j *Journal) pause(b *batch, err error) bool {
	j.mu.Lock()
	first := j.failed == nil
	j.failed = err
	if first {
		j.outage = make(chan struct{})
	}
	j.mu.Unlock()
	if first {
		j.trouble(err)
	}
	again := time.NewTimer(b.delay())
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-j.closing:
	}
	if !b.last {
		b.last = true
		return true
	}
	j.giveUp()
	return false
}

// giveUp ends the goroutine while the store fails.
func (j *Journal) giveUp() {
	j.mu.Lock()
	j.running, j.dead = false, true
	r, err := j.next, j.failed
	j.next = round{}
	close(j.outage)
	j.mu.Unlock()
	r.answer(err)
}

// recovered takes in that a commit has succeeded.
func (j *Journal) recovered() {
	j.mu.Lock()
	failed := j.failed
	if failed != nil {
		j.failed = nil
		close(j.outage)
		j.outage = nil
	}
	j.mu.Unlock()
	if failed != nil {
		j.trouble(nil)
	}
}

func (r *round) answer(err error) {
	for _, request := range r.requests {
		request.done <- err
	}
	r.requests = nil
}
