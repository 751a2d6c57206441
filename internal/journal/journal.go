// Package journal brings what has changed to a store. While one commit is under
// way, everything that changes waits for the next one, so that many changes
// share the price of making them durable.
package journal

import (
	"context"
	"errors"
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
	// Stored is called when what Collect has put is durable.
	Stored()
	// StoredLocked is Stored under the lock that guards the calls of Changed.
	StoredLocked()
	// Stuck is called with an error when the store refuses what Collect has put
	// although it works, and with nil when it has taken it.
	Stuck(err error)
}

// A Place is a source's place in a [Journal].
type Place struct {
	Source Source

	waiting bool    // for the next round
	parcel  *parcel // that is not stored yet; the goroutine's own
}

// Taken notes that what has changed so far is collected.
func (p *Place) Taken() { p.waiting = false }

// A Journal writes to one store. Its methods may be called by several
// goroutines at once. It has a goroutine while there is something to write.
type Journal struct {
	commit  func(context.Context, []Record) error
	trouble func(error)
	probe   []Record
	ctx     context.Context // of commits
	cancel  context.CancelCauseFunc
	hung    chan struct{} // closed some time after ctx has ended

	// The next fields belong to the goroutine.
	stuck []*parcel // that the store refuses, although it works
	timer *time.Timer

	mu         sync.Mutex // guards the fields below; nothing else is locked under it
	next       round
	retry      bool // of stuck parcels
	running    bool
	failed     error         // of the latest commit, until one succeeds
	stuckError error         // of the latest parcel that is stuck
	outage     chan struct{} // closed when commits do not fail any more, or are given up; nil unless they fail
	dead       bool          // nothing is written any more
	aborted    error         // see Abort
	closing    chan struct{} // closed by Close
	idle       chan struct{} // closed when the goroutine ends; nil if there is none
	hang       sync.Once     // closes hung
}

// A round is what one commit brings to the store.
type round struct {
	places   []*Place
	requests []*request
}

// A request is records that a caller waits for, or nothing but the wait.
type request struct {
	records, undo []Record
	done          chan error
}

func (q *request) answer(err error) { q.done <- err }

// ErrClosed is returned when nothing can be written after Close.
var ErrClosed = errors.New("journal: closed")

// New returns a journal that writes with commit, which makes all records durable
// or none. Trouble is called with an error when commits begin to fail, and with
// nil when they succeed again. Probe is committed to see whether a store that has
// refused something takes anything at all: a record that it has already. The contexts of
// commits are made of ctx.
func New(ctx context.Context, commit func(context.Context, []Record) error, trouble func(error),
	probe ...Record) *Journal {
	j := &Journal{commit: commit, trouble: trouble, probe: probe, closing: make(chan struct{}), hung: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	return j
}

// Keeps reports true.
func (j *Journal) Keeps() bool { return true }

// Changed notes that a source has something to be stored. Calls for one place
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

// Sync returns when all that has changed before is durable, except what the
// store refuses. It returns an error at once while commits fail, and the cause of
// ctx if that ends first.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if j.aborted != nil || j.failed != nil || !j.running {
		defer j.mu.Unlock()
		if j.aborted != nil {
			return j.aborted
		}
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
// it is not known whether they have been stored. If ctx ends first, the error is
// its cause, and they are undone too. With any error, undone is called, once there
// is nothing of them any more or their undoing is on its way.
func (j *Journal) Put(ctx context.Context, records, undo []Record, undone func()) error {
	done, err := j.put(&request{records: records, undo: undo})
	if err != nil {
		undone()
		return err
	}
	select {
	case err := <-done:
		if err != nil {
			undone()
		}
		return err
	case <-ctx.Done():
	}
	go func() {
		if <-done == nil {
			if done, err := j.put(&request{records: undo}); err == nil {
				<-done
			}
		}
		undone()
	}()
	return context.Cause(ctx)
}

func (j *Journal) put(q *request) (<-chan error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refusal(); err != nil {
		return nil, err
	}
	return j.ask(q), nil
}

// Failing returns the error of the latest commit, if it failed.
func (j *Journal) Failing() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.aborted != nil {
		return j.aborted
	}
	return j.failed
}

// Abort has nothing more written, except a commit that is under way, whose context
// ends. All who wait, and all that comes, get the error.
func (j *Journal) Abort(err error) {
	j.mu.Lock()
	if j.aborted == nil {
		j.aborted, j.dead = err, true
	}
	j.mu.Unlock()
	j.close()
	j.endContext(err)
}

// Close waits until all is durable. If commits fail, it lets one more be tried
// and returns its error. Nothing is written then any more. When ctx ends, so does
// that of a commit that is under way; a store that ignores this is left alone, and
// the error says so.
func (j *Journal) Close(ctx context.Context) error {
	j.close()
	stop := context.AfterFunc(ctx, func() { j.endContext(context.Cause(ctx)) })
	defer stop()
	for {
		idle, err := j.end()
		if idle == nil {
			return err
		}
		<-idle
	}
}

// lastMoment is how long a store may take to return after the context of Commit
// has ended.
const lastMoment = 100 * time.Millisecond

// endContext ends the context of commits.
func (j *Journal) endContext(cause error) {
	j.cancel(cause)
	time.AfterFunc(lastMoment, func() { j.hang.Do(func() { close(j.hung) }) })
}

func (j *Journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.closing:
	default:
		close(j.closing)
		j.retry = j.stuckError != nil // a last time
		if j.retry {
			j.run()
		}
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
	if j.aborted != nil {
		return nil, j.aborted
	}
	return nil, errors.Join(j.failed, j.stuckError)
}

// refusal is why nothing can be written now. It needs j.mu.
func (j *Journal) refusal() error {
	switch {
	case j.aborted != nil:
		return j.aborted
	case j.failed == nil && j.dead:
		return ErrClosed
	}
	return j.failed
}

// ask puts a request into the next round. It needs j.mu.
func (j *Journal) ask(q *request) <-chan error {
	q.done = make(chan error, 1)
	j.next.requests = append(j.next.requests, q)
	j.run()
	return q.done
}

// run makes sure that the next round will be written. It needs j.mu.
func (j *Journal) run() {
	if j.running || j.dead {
		return
	}
	j.running, j.idle = true, make(chan struct{})
	go j.write(j.idle)
}
