package cron

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/internal/duequeue"
	"github.com/runtocompletion/batch/internal/feed"
	"github.com/runtocompletion/batch/internal/fields"
)

// A run is a CronJob under a controller: the engine that decides, and what the
// engine has yet to be told. One worker at a time carries out what it wants.
type run struct {
	c     *Controller
	uid   string
	entry feed.Entry[*run]

	// The worker's, which busy stands for.
	engine   *engine.CronJob
	gate     chan struct{} // of jobs that may run once the state is stored; nil without any
	removing bool          // the records are to be removed
	unsaved  bool          // the state is to be stored
	waiting  *waiting      // for that; nil if nothing does

	// What follows is guarded by Controller.mu.
	place       duequeue.Place // in Controller.due
	spec        CronJob        // with its defaults
	declared    *CronJob       // what Create or Apply was given last; nil if spec is
	version     int64          // of the spec
	generation  int64
	inbox       []input
	busy        bool // it has a worker, or is in Controller.ready
	creating    bool // it is not stored yet
	gone        bool
	specChanged bool  // since it was last shown
	failures    int32 // of the store, in a row
	retryAt     engine.Time
	shown       shown
}

// A waiting is what waits until the state is stored.
type waiting struct {
	todo []engine.Action
	late []input // what was said of jobs while it could not be: it is not said again
}

// An input is what the engine is to be told, or a change of the spec.
type input struct {
	engine.Input
	change  *revision
	trigger string     // the name of a job to be created by hand
	done    chan error // has room for one; nil if no caller waits
}

// A revision is a change of a spec.
type revision struct {
	spec     CronJob
	declared *CronJob
	version  int64 // of what it was made from
}

// errOutdated says that there was another change meanwhile.
var errOutdated = errors.New("cron: changed meanwhile")

func newRun(c *Controller, spec CronJob) *run {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	r := &run{c: c, uid: fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		spec: spec, generation: 1, creating: true}
	r.entry.Item = r
	r.engine = engine.New(spec.engineSpec(), engine.State{Created: c.now()}, nil)
	r.show()
	return r
}

func (r *run) lastDeclared() *CronJob {
	if r.declared != nil {
		return r.declared
	}
	return &r.spec
}

// ask posts an input and waits until it is carried out.
func (r *run) ask(ctx context.Context, in input) error {
	in.done = make(chan error, 1)
	r.c.mu.Lock()
	switch {
	case r.c.stopping:
		r.c.mu.Unlock()
		return ErrShutdown
	case r.gone:
		r.c.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrNotFound, r.spec.Name)
	}
	r.post(in)
	r.c.mu.Unlock()
	select {
	case err := <-in.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// post leaves an input for the worker. It needs c.mu.
func (r *run) post(in input) {
	c := r.c
	if r.gone || c.stopping {
		return
	}
	r.inbox = append(r.inbox, in)
	if r.busy {
		return
	}
	r.busy = true
	c.ready = append(c.ready, r)
	if c.workers < maxWorkers {
		c.workers++
		c.all.Go(c.work)
	}
}

// work does what is to be done for one CronJob after the other.
func (c *Controller) work() {
	for r := c.takeReady(); r != nil; r = c.takeReady() {
		for {
			in, ok := r.next()
			if !ok {
				break
			}
			r.handle(in)
		}
	}
}

func (c *Controller) takeReady() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) == 0 {
		c.workers--
		return nil
	}
	r := c.ready[0]
	c.ready[0] = nil
	c.ready = c.ready[1:]
	return r
}

// next takes an input out of the inbox. Without one, the run is at rest until the
// next is posted or its time has come.
func (r *run) next() (input, bool) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(r.inbox) == 0 || c.stopping {
		for _, in := range r.inbox {
			if in.done != nil {
				in.done <- ErrShutdown
			}
		}
		r.inbox, r.busy = nil, false
		if c.stopping && r.unsaved {
			c.mu.Unlock()
			err := r.saveAtLast()
			c.mu.Lock()
			c.unsaved = errors.Join(c.unsaved, err)
		}
		r.setTimer()
		return input{}, false
	}
	in := r.inbox[0]
	r.inbox = slices.Delete(r.inbox, 0, 1)
	return in, true
}

// handle does what an input asks for, after what could not be done before.
func (r *run) handle(in input) {
	inputs := []input{in}
	if r.unsaved || r.waiting != nil {
		if err := r.settle(); err != nil {
			r.putOff(in, err)
			return
		}
	}
	if w := r.waiting; w != nil {
		inputs = append(w.late, in)
		r.waiting = nil
	}
	for i, in := range inputs {
		err := r.record(in)
		if in.done != nil {
			in.done <- err
		}
		if r.unsaved {
			for _, in := range inputs[i+1:] {
				r.putOff(in, err)
			}
			return
		}
	}
}

// putOff has an input wait, unless somebody waits for it.
func (r *run) putOff(in input, err error) {
	switch {
	case in.done != nil:
		in.done <- err
	case in.Kind == engine.Changed || in.Kind == engine.Gone:
		w := r.waits()
		w.late = slices.DeleteFunc(w.late, func(before input) bool {
			return before.Kind == engine.Changed && before.Job.UID == in.Job.UID
		})
		w.late = append(w.late, in)
	}
}

// waits returns r.waiting, to be added to.
func (r *run) waits() *waiting {
	if r.waiting == nil {
		r.waiting = new(waiting)
	}
	return r.waiting
}

// record lets the engine record an input, and does what it wants.
func (r *run) record(in input) error {
	switch {
	case r.isGone():
		return fmt.Errorf("%w: %q", ErrNotFound, r.spec.Name)
	case in.change != nil:
		spec, err := r.replaceSpec(in.change)
		if err != nil {
			return err
		}
		in.Input = engine.Input{Kind: engine.Respecified, Spec: spec}
	case in.trigger != "":
		job, ok, err := r.createByHand(in.trigger)
		if !ok {
			return err
		}
		in.Input = engine.Input{Kind: engine.Changed, Job: job}
	}
	actions := r.step(in.Input)
	if in.Kind == engine.Deleted { // it is not undone by what comes of that
		r.waits().todo = actions
		return r.settle()
	}
	r.carryOutAll(actions)
	return r.save()
}

// settle stores what was decided, and does what waits for that.
func (r *run) settle() error {
	err := r.save()
	if w := r.waiting; err == nil && w != nil && len(w.todo) > 0 {
		todo := w.todo
		w.todo = nil
		r.carryOutAll(todo)
		err = r.save()
	}
	return err
}

// carryOutAll does what the engine wants, and what it wants then.
func (r *run) carryOutAll(actions []engine.Action) {
	for len(actions) > 0 {
		answer := r.carryOut(actions[0])
		actions = actions[1:]
		if answer == nil {
			continue
		}
		more := r.step(*answer)
		if answer.Kind == engine.Taken || answer.Kind == engine.Refused || answer.Kind == engine.NotDone {
			actions = nil
		}
		actions = append(actions, more...)
	}
}

func (r *run) isGone() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.gone
}

// step gives the engine an input, with the time.
func (r *run) step(in engine.Input) []engine.Action {
	in.At = r.c.now()
	s := r.engine.Step(in)
	r.unsaved = r.unsaved || s.Changed
	return s.Actions
}

// leave takes a run that is gone out of the controller. It needs c.mu.
func (r *run) leave() {
	c := r.c
	if r.gone {
		return
	}
	r.gone = true
	r.show()
	c.due.Remove(r)
	delete(c.runs, r.spec.Name)
	delete(c.byUID, r.uid)
	for uid, owner := range c.owners {
		if owner == r {
			delete(c.owners, uid)
		}
	}
	c.feed.Remove(&r.entry, r.last())
}

// last is what watchers see of a run that is gone: without functions, which may hold
// on to anything.
func (r *run) last() *run {
	last := &run{c: r.c, uid: r.uid, spec: r.spec, version: r.version, generation: r.generation,
		gone: true, shown: r.shown}
	fields.Drop(&last.spec.Job)
	return last
}
