package runner

import (
	"context"
	"fmt"
	"sync"
)

// A reader is what a runner has that shows the jobs of a store on which another
// controller works. Nothing of it runs.
type reader struct {
	begun bool              // the clock goes on from that of the store
	first chan struct{}     // closed when the store was read
	sums  map[string]uint64 // of the records that were read last, by UID
	jobs  map[string]*Job   // by UID

	mu     sync.Mutex      // guards the fields below
	inUse  error           // says who works
	names  map[string]bool // that are expected, and whether they were seen
	isRead bool            // once at least
}

// newReader returns a runner that shows what is in a store; see refresh. The error says
// who works.
func newReader(o Options, inUse error) *Runner {
	o.FinishedJobs = -1
	r := New(o)
	r.reader = &reader{
		first: make(chan struct{}), sums: make(map[string]uint64), jobs: make(map[string]*Job), inUse: inUse,
		names: make(map[string]bool),
	}
	return r
}

// refusal is the error of everything that only the one who works can do.
func (d *reader) refusal() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inUse
}

func inUse(holder string) error {
	if holder == "" {
		return ErrStoreInUse
	}
	return fmt.Errorf("%w: %s", ErrStoreInUse, holder)
}

// IsReader reports whether the runner only shows what another controller does.
func (r *Runner) IsReader() bool { return r != nil && r.reader != nil }

// expect reports whether a job of that name has been in the store since it was expected
// first.
func (r *Runner) expect(name string) bool {
	_, err := r.Find(name)
	d := r.reader
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = d.names[name] || err == nil
	return d.names[name]
}

// see notes that there is a job of that name.
func (d *reader) see(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, expected := d.names[name]; expected {
		d.names[name] = true
	}
}

// unreadError is why there is nothing to be shown, or nil.
func (r *Runner) unreadError() error {
	if r.reader == nil {
		return nil
	}
	r.reader.mu.Lock()
	defer r.reader.mu.Unlock()
	if r.reader.isRead {
		return nil
	}
	return r.reader.inUse
}

// note remembers who works.
func (d *reader) note(holder string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inUse = inUse(holder)
}

// refresh shows what the store has now. There is one call at a time. After an error
// the runner shows what it has shown before.
func (r *Runner) refresh(ctx context.Context, store Store) error {
	l, err := r.read(ctx, store.Load, r.reader.sums)
	if err != nil {
		return err
	}
	r.show(l)
	r.reader.mu.Lock()
	defer r.reader.mu.Unlock()
	if !r.reader.isRead {
		r.reader.isRead = true
		close(r.reader.first)
	}
	return nil
}

// show publishes what was read.
func (r *Runner) show(l *loading) {
	d := r.reader
	r.followClock(l)
	sums := make(map[string]uint64, len(l.jobs))
	for _, read := range l.jobs {
		sums[read.uid] = read.sum
	}
	for uid, j := range d.jobs {
		if _, isThere := sums[uid]; !isThere {
			j.vanish()
			delete(d.jobs, uid)
		}
	}
	for _, read := range l.jobs {
		switch shown := d.jobs[read.uid]; {
		case read.job == nil:
		case shown == nil:
			d.jobs[read.uid] = read.job
			read.job.become(read.job)
			r.enroll(read.job)
			d.see(read.job.id.Job)
		default:
			shown.become(read.job)
		}
	}
	d.sums = sums
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = l.extensions
}

// followClock shows dates by the clock of the process that works.
func (r *Runner) followClock(l *loading) {
	switch {
	case !r.reader.begun:
		r.continueClock(l.clock, l.jobs)
		r.reader.begun = true
	case l.clock != nil:
		r.clock.Follow(l.clock.Clock)
	}
}

// become has j be what was read of it last, which nothing else refers to.
func (j *Job) become(read *Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var end *ending // of those who wait
	if j.body != nil {
		end = j.end
	}
	j.def.Store(read.def.Load())
	j.resting, j.body, j.holds = read.resting, read.body, 0
	switch {
	case j.body != nil:
		j.place.Source = j
		if end != nil {
			j.end = end
		}
		j.stored.collected = j.presentLocked()
		j.stored.told = j.stored.collected
	case end != nil: // it has finished
		j.wakeLocked()
		j.end = end
		j.reachEndLocked()
		j.fallAsleepLocked()
	}
	if read != j {
		j.r.feed.Changed(&j.entry)
	}
}

// vanish has j be gone.
func (j *Job) vanish() {
	j.lock()
	defer j.unlock()
	j.rouseLocked()
	j.stored.gone = true
	j.StoredLocked()
	j.r.moveOut(j, nil, false)
}
