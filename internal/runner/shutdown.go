package runner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
)

// enter counts a goroutine that runs user code, or is about to.
func (r *Runner) enter() { r.running.Add(1) }

// leave is called when such a goroutine has nothing more to run.
func (r *Runner) leave() {
	if r.running.Add(-1) == 0 && r.isStopping() {
		r.signalIdle()
		if r.isOver() {
			r.release()
		}
	}
}

// visit is enter for work that no caller waits for: it reports false once Shutdown
// has begun, as Shutdown may have returned already.
func (r *Runner) visit() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isStopping() {
		return false
	}
	r.enter()
	return true
}

func (r *Runner) signalIdle() {
	select {
	case r.idle <- struct{}{}:
	default:
	}
}

// launch runs f on a goroutine of its own, which is counted, and leaves.
func (r *Runner) launch(f func()) {
	r.launching.RLock()
	defer r.launching.RUnlock()
	if r.isGroupOver {
		go f()
		return
	}
	r.group.Go(func() error {
		f()
		return nil
	})
}

// waitForGroup waits for goroutines that have left. What is launched from now on,
// such as the log of what a store that hangs does later, is in no group.
func (r *Runner) waitForGroup() {
	r.launching.Lock()
	r.isGroupOver = true
	r.launching.Unlock()
	_ = r.group.Wait() // its goroutines return nil
}

func (r *Runner) isStopping() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// isOver reports whether Shutdown has done what it can.
func (r *Runner) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// Unreturned is what Shutdown leaves behind.
type Unreturned struct {
	Attempts []string // whose executors have not returned, by name, sorted
	Calls    int      // of other user code, such as back-offs and log handlers
}

// IsZero reports whether there is nothing of it.
func (u Unreturned) IsZero() bool { return len(u.Attempts) == 0 && u.Calls == 0 }

// Shutdown starts no further attempt and waits for those that run. When ctx ends it
// cancels them and waits for their grace periods. The error is that of the last
// commit, or [ErrInside].
func (r *Runner) Shutdown(ctx context.Context) (Unreturned, error) {
	if r == nil {
		return Unreturned{}, ErrZero
	}
	if r.isInside(ctx) {
		return Unreturned{}, ErrInside
	}
	left := r.windDown(ctx)
	last, cancel := withLastMoment(ctx)
	defer cancel()
	if r.journal.Keeps() && left.IsZero() {
		r.saveClock(last, r.last...)
	} else if r.journal.Keeps() {
		r.saveClock(last)
	}
	err := r.storeError(last, r.journal.Close(last))
	if left.IsZero() {
		left = r.await(time.After(callTime)) // for what the last commit has led to, such as log records
	}
	r.becomeOver.Do(func() {
		if left.IsZero() {
			r.waitForGroup()
		}
		close(r.over)
		r.end()
	})
	if r.running.Load() == 0 { // otherwise an executor may still count on the store, until it returns
		r.release()
	}
	return left, err
}

// withLastMoment returns a context for the last commit: it ends some time after ctx,
// so that what its end brings about can be stored, and does not wait for ever for a
// store that hangs.
func withLastMoment(ctx context.Context) (context.Context, context.CancelFunc) {
	const lastMoment, longest = 2 * time.Second, 30 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastMoment, cancel) })
	return last, func() { stop(); cancel() }
}

// windDown lets what runs come to its end, or ends it.
func (r *Runner) windDown(ctx context.Context) Unreturned {
	r.stop()
	isIdleBefore(r, ctx.Done())
	r.deliverLast(ctx)
	r.subscribed.stop()
	r.interruptAll() // also what waits for its start or restart, unless it is stored
	left := r.await(r.graceEnd())
	if len(left.Attempts) == 0 && left.Calls > 0 {
		left = r.await(time.After(callTime))
	}
	if left.IsZero() {
		r.alarm.Stop()
	}
	return left
}

// callTime is how long functions that have no grace period, such as log handlers, may
// take to return.
const callTime = time.Second

// await waits until nothing runs, or the end, and then says what does.
func (r *Runner) await(end <-chan time.Time) Unreturned {
	if isIdleBefore(r, end) {
		return Unreturned{}
	}
	return r.unreturned()
}

// isIdleBefore waits until nothing runs, and reports false if the end comes before.
func isIdleBefore[T any](r *Runner, end <-chan T) bool {
	for r.running.Load() > 0 {
		select {
		case <-r.idle:
		case <-end:
			return r.running.Load() == 0
		}
	}
	r.signalIdle() // another call may wait, too
	return true
}

// stop lets nothing new begin.
func (r *Runner) stop() {
	r.mu.Lock()
	first := !r.isStopping()
	if first {
		r.enter() // so that it is not idle before every job has been stopped
		close(r.stopping)
	}
	r.mu.Unlock()
	if !first {
		return
	}
	defer r.leave()
	if r.reader != nil {
		return
	}
	r.slots.stop()
	if r.undeclared != nil {
		r.undeclared.Stop()
	}
	for _, j := range r.Everything() {
		if j.isOver() {
			continue
		}
		j.do(engine.Event{Kind: engine.Halted})
	}
}

// interruptAll cancels what runs.
func (r *Runner) interruptAll() {
	if r.reader != nil {
		return
	}
	for _, j := range r.Everything() {
		if !j.isOver() {
			j.do(engine.Event{Kind: engine.Interrupted, Keep: r.journal.Keeps()})
		}
	}
}

// isOver reports whether nothing of a job runs, waits or may start.
func (j *Job) isOver() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.body == nil || (j.engine.FinishedAt != 0 || j.engine.IsGone()) && len(j.engine.Live())+len(j.zombies) == 0
}

// graceEnd is when the last grace period is over.
func (r *Runner) graceEnd() <-chan time.Time {
	const moment = 10 * time.Millisecond // what stops at once needs it, too
	last := r.now().Add(moment)
	for _, j := range r.Everything() {
		j.lock()
		for _, a := range j.executingLocked() {
			last = max(last, a.GraceEnd(j.engine.Spec.Grace))
		}
		j.unlock()
	}
	return time.After(time.Duration(last - r.now()))
}

// unreturned says what has not returned.
func (r *Runner) unreturned() (u Unreturned) {
	for _, j := range r.Everything() {
		j.lock()
		for _, a := range j.executingLocked() {
			u.Attempts = append(u.Attempts, j.id.Name(a.Seq, a.Index))
		}
		j.unlock()
	}
	slices.Sort(u.Attempts)
	u.Calls = max(0, int(r.running.Load())-len(u.Attempts))
	return u
}

// executingLocked returns the attempts whose executors run.
func (j *Job) executingLocked() []*engine.Attempt {
	var list []*engine.Attempt
	for _, a := range j.engine.Live() {
		if a.Pinned {
			list = append(list, a)
		}
	}
	for x := range j.zombies {
		list = append(list, x.attempt)
	}
	return list
}

// interruptIfParentEnded stops what runs if the parent of all contexts has ended:
// what an executor returns then is because of that.
func (r *Runner) interruptIfParentEnded() {
	if r.parentHasEnded() {
		r.stop()
		r.interruptAll()
	}
}

func (r *Runner) parentHasEnded() bool {
	deadline, ok := r.parent.Deadline()
	return r.parent.Err() != nil || ok && !time.Now().Before(deadline)
}

// stopLocked is how contexts of attempts end for a reason of the engine's.
func (j *Job) stopForLocked(why engine.Cause) *stop {
	switch loss := j.r.loss.Load(); {
	case why == engine.CauseShutdown && loss != nil:
		return stopFor(*loss)
	case why == engine.CauseShutdown && j.r.parentHasEnded():
		cause := cmp.Or(context.Cause(j.r.parent), context.DeadlineExceeded)
		return &stop{&parentCause{cause}, cmp.Or(j.r.parent.Err(), context.DeadlineExceeded)}
	case why == engine.CauseCancelled:
		return j.cancelling
	case why == engine.CauseFinished && j.deadlineExceededLocked():
		return stopFor(ErrJobDeadline)
	}
	return stopFor(stopCauses[why])
}

func (j *Job) deadlineExceededLocked() bool {
	conditions := j.engine.Conditions
	return len(conditions) > 0 && conditions[len(conditions)-1].Reason == engine.DeadlineExceeded
}

// A parentCause is the cause of a parent that has ended, for which the runner was
// shut down.
type parentCause struct{ cause error }

func (e *parentCause) Error() string        { return ErrShutdown.Error() + ": " + e.cause.Error() }
func (e *parentCause) Unwrap() error        { return e.cause }
func (e *parentCause) Is(target error) bool { return target == ErrShutdown }
