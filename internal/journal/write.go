package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// write writes rounds until nothing is left to be written, or the store fails
// and the journal is closing.
func (j *Journal) write(idle chan struct{}) {
	defer close(idle)
	var b batch
	for {
		r, retry, ok := j.take()
		if !ok {
			return
		}
		if b.add(r) || retry {
			j.retryStuck()
		}
		for err := j.deliver(&b); err != nil; err = j.deliver(&b) {
			b.withdraw(err)
			if !j.pause(&b, err) {
				return
			}
			b.add(j.takeAny())
		}
	}
}

// take returns the next round, or false if there is none: then the goroutine
// ends.
func (j *Journal) take() (r round, retry, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r, retry = j.next, j.retry
	j.next, j.retry = round{}, false
	j.running = retry || len(r.places)+len(r.requests) > 0
	return r, retry, j.running
}

// takeAny is take for a goroutine that goes on in any case.
func (j *Journal) takeAny() round {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.next
	j.next = round{}
	return r
}

// deliver commits a batch. If that fails although the store works, those parcels
// that it does not take are put aside and the others are committed. The error is
// that of a store that takes nothing.
func (j *Journal) deliver(b *batch) error {
	if len(b.parcels) == 0 && b.tries == 0 { // after a failure, a commit of nothing shows whether the store works
		b.settled()
		return nil
	}
	whole := b.parcels
	err := j.try(recordsOf(whole))
	if err == nil {
		j.stored(whole)
		b.settled()
		return nil
	}
	if len(whole) == 0 || j.try(j.probe) != nil {
		return err
	}
	d := division{j: j, err: err}
	if !d.split(whole) {
		b.parcels = d.refused
		return err
	}
	for _, p := range d.refused {
		j.putAside(p, d.err)
	}
	b.settled()
	return nil
}

// A division finds the parcels that a store refuses.
type division struct {
	j       *Journal
	works   bool // something was stored
	refused []*parcel
	err     error
}

// fewEnough is how many parcels are tried alone, in vain, before all are given up:
// it is the store that fails then, and not what is in them.
const fewEnough = 32

// split divides parcels that were refused together, until each has been stored or
// refused alone. It reports false if it is given up.
func (d *division) split(parcels []*parcel) bool {
	switch {
	case len(parcels) == 1:
		d.refused = append(d.refused, parcels...)
		return true
	case !d.works && len(d.refused) >= fewEnough:
		d.refused = append(d.refused, parcels...)
		return false
	}
	complete := true
	half := len(parcels) / 2
	for _, part := range [...][]*parcel{parcels[:half], parcels[half:]} {
		if err := d.j.try(recordsOf(part)); err != nil {
			d.err = err
			complete = d.split(part) && complete
			continue
		}
		d.works = true
		d.j.stored(part)
	}
	return complete
}

// stored reports to sources and requests that their records are durable.
func (j *Journal) stored(parcels []*parcel) {
	j.recovered() // first: who learns that something is stored may ask for the next thing
	for _, p := range parcels {
		if p.place != nil {
			p.place.parcel = nil
			p.place.Source.Stored()
		}
	}
	for _, p := range parcels {
		if p.request != nil {
			p.request.answer(nil)
		}
	}
}

// putAside keeps a parcel apart that the store refuses, and tries it again later.
func (j *Journal) putAside(p *parcel, err error) {
	p.withdraw(err)
	if p.place == nil {
		if len(p.records) == 0 {
			return
		}
	} else if p.tries == 0 {
		p.place.Source.Stuck(err)
	}
	p.tries++
	j.mu.Lock()
	j.stuckError = err
	j.mu.Unlock()
	j.stuck = append(j.stuck, p)
	j.retryAfter(delayAfter(p.tries))
}

// retryAfter has the goroutine look after stuck parcels later.
func (j *Journal) retryAfter(d time.Duration) {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.timer = time.AfterFunc(d, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.retry = true
		j.run()
	})
}

// retryStuck tries each stuck parcel by itself.
func (j *Journal) retryStuck() {
	stuck := j.stuck
	j.stuck = nil
	j.mu.Lock()
	j.stuckError = nil
	j.mu.Unlock()
	for _, p := range stuck {
		p.records = latest(p.records) // what came last may be what the store takes
		err := j.try(p.records)
		if err != nil {
			j.putAside(p, err)
			continue
		}
		if p.place != nil {
			p.place.Source.Stuck(nil)
		}
		j.stored([]*parcel{p})
	}
}

// try commits records. A store is code of a user: it may panic, and it may
// never return.
func (j *Journal) try(records []Record) (err error) {
	done := make(chan error, 1)
	go func() {
		err := errExited
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			done <- err
		}()
		err = j.commit(j.ctx, records)
	}()
	select {
	case err := <-done:
		return err
	case <-j.hung:
		return fmt.Errorf("%w: %w", errHung, context.Cause(j.ctx))
	}
}

var (
	errExited = errors.New("the store called runtime.Goexit")
	errHung   = errors.New("the store has not returned from Commit")
)

// pause waits until it is time to try again, and reports false if it is time to
// give up.
func (j *Journal) pause(b *batch, err error) bool {
	j.mu.Lock()
	first := j.failed == nil
	j.failed = err
	if first {
		j.outage = make(chan struct{})
	}
	aborted := j.aborted != nil
	j.mu.Unlock()
	if first && !aborted {
		j.trouble(err)
	}
	again := time.NewTimer(b.delay())
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-j.closing:
	}
	if !b.last && context.Cause(j.ctx) == nil {
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
	r, err := j.next, cmp.Or(j.aborted, j.failed)
	j.next = round{}
	close(j.outage)
	j.mu.Unlock()
	for _, q := range r.requests {
		q.answer(err)
	}
}

// recovered notes that a commit has succeeded.
func (j *Journal) recovered() {
	j.mu.Lock()
	failed, aborted := j.failed, j.aborted != nil
	if failed != nil {
		j.failed = nil
		close(j.outage)
		j.outage = nil
	}
	j.mu.Unlock()
	if failed != nil && !aborted {
		j.trouble(nil)
	}
}
