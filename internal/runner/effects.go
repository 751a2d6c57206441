package runner

// Effects are what steps lead to once the lock of their job is released: attempts
// to be executed, and contexts to be cancelled. What is to run is counted before
// that: from then on the runner is not idle.
//
// What else a step leads to is user code or I/O. It has a goroutine of its own at
// once, so that no other job waits for it.
type effects struct {
	next  *run // to be executed by the calling goroutine, if it can
	spare int  // 1 if that goroutine is counted already, and has nothing to run
	list  []effect
}

// An effect is another attempt to be executed, or a context to be cancelled.
type effect struct {
	run  *run
	live *liveContext
	stop *stop
}

// execute adds a run.
func (e *effects) execute(r *run) {
	if e.spare > 0 {
		e.spare--
	} else {
		r.job.r.enter()
	}
	if e.next == nil {
		e.next = r
	} else {
		e.list = append(e.list, effect{run: r})
	}
}

// perform does what follows from a step. No lock is held.
func (r *Runner) perform(e *effects) {
	if next := r.performFor(e); next != nil {
		r.execute(next)
	}
}

// execute runs an attempt, and those after it, on a goroutine of its own. A million of
// them may be blocked at once: there is no frame that is not needed.
func (r *Runner) execute(x *run) {
	r.group.Go(func() error {
		r.work(x)
		return nil
	})
}

// performFor is perform for a goroutine that can execute an attempt, which is
// returned.
func (r *Runner) performFor(e *effects) (next *run) {
	if r.slots.waiting.Load() > 0 {
		r.slots.handOut(e)
	}
	for _, x := range e.list {
		if x.run != nil {
			r.execute(x.run)
		} else {
			x.live.end(x.stop)
		}
	}
	return e.next
}
