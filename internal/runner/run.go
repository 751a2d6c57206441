package runner

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/checkpoint"
	"github.com/runtocompletion/batch/internal/delay"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/logtail"
)

// A run is one attempt as seen from the goroutine that runs it. It belongs to
// the engine's record of the attempt and is used again with it.
type run struct {
	job     *Job
	attempt *engine.Attempt
	ctx     *attemptContext

	// The next two belong to the goroutine that runs the executor.
	lane     *engine.Lane // nil until it has had one
	revision uint64       // of the job; once that has been seen, others are to see what happens in the lane

	// The fields below are guarded by job.mu.
	seq    int64         // of the attempt that they belong to
	err    error         // of the last call of the executor
	text   string        // of err: a method Error is user code, not to be called under a lock
	slot   slot          // while the executor runs
	waited time.Duration // for the slot; 0 if there is no limit
	kept   *kept         // what the executor has left; nil if nothing
	result *Result       // what counts if the execution succeeds; nil if there is none
	sign   engine.Time   // when it has last reported something
}

// kept is what an attempt leaves besides its outcome.
type kept struct {
	log      logtail.Log
	output   string
	progress Progress
	dir      string
	making   sync.Mutex             // held while dir is made; nothing else is locked before it
	saved    *checkpoint.Checkpoint // of a job that is not Indexed, the one it has taken
	delays   delay.Sequence         // before restarts, of a job with a RestartBackoff
}

func runOf(a *engine.Attempt) *run { return a.Owner.(*run) }

// ownLocked returns the run of an attempt that is to start, or to start again. One
// whose record served another attempt before has nothing of that any more.
func (j *Job) ownLocked(a *engine.Attempt) *run {
	x, ok := a.Owner.(*run)
	switch {
	case !ok:
		x = &run{job: j, attempt: a}
		x.ctx = &attemptContext{run: x}
		a.Owner = x
	case x.seq != a.Seq && (x.err != nil || x.kept != nil):
		x.err, x.text, x.kept = nil, "", nil
	}
	x.result = nil
	x.seq = a.Seq
	return x
}

// keepLocked returns what the attempt has left, to be added to.
func (x *run) keepLocked() *kept {
	if x.kept == nil {
		x.kept, x.seq = new(kept), x.attempt.Seq
		x.kept.log.Reset(cmp.Or(x.job.def.Load().LogLimit, -1)) // 0 is the log's default
		x.attempt.Notify = true
	}
	return x.kept
}

// closeLocked ends the attempt's log, drops its checkpoint or leaves it to the
// attempt that goes on with the work, and returns the directory to be removed.
func (x *run) closeLocked() (dir string) {
	x.kept.log.Close()
	if c := x.kept.saved; c != nil {
		x.kept.saved = nil
		if x.attempt.IsCompletion() {
			x.job.checkpoints.Drop(c.ID)
		} else {
			x.job.checkpoints.Leave(c)
		}
	}
	dir, x.kept.dir = x.kept.dir, ""
	return dir
}

// runsLocked reports whether a is the execution that is going on.
func (x *run) runsLocked(a Attempt) bool {
	e := x.attempt
	return e.Pinned && keyOf(e.Seq, e.Restarts) == a.key && !e.HasEnded()
}

// view is the attempt as its executor sees it. It needs job.mu, or that the
// executor runs: what it reads does not change meanwhile.
func (x *run) view() Execution { return x.handle().Begun() }

// handle is what the execution of the attempt is asked through.
func (x *run) handle() Attempt { return Attempt{x, keyOf(x.attempt.Seq, x.attempt.Restarts)} }

// putDownLocked notes that the executor has returned, and returns its slot.
func (x *run) putDownLocked() (s slot) {
	x.attempt.Pinned, x.result = false, nil
	x.seq = x.attempt.Seq
	s, x.slot = x.slot, slot{}
	if len(x.job.zombies) > 0 {
		delete(x.job.zombies, x)
	}
	if !x.ctx.isUntouchedLocked() {
		x.ctx.endLocked()
		x.ctx = &attemptContext{run: x}
	}
	return s
}

// isPlainLocked reports whether there is nothing to put in order before the run can
// serve another attempt.
func (x *run) isPlainLocked() bool {
	a, j := x.attempt, x.job
	return x.err == nil && x.kept == nil && len(j.zombies)+j.checkpoints.Len() == 0 && x.ctx.isUntouchedLocked() &&
		(a.Failures+a.Ignored == 0 || !j.engine.Spec.CustomDelay) && !j.failures.has(a.Index)
}

// stopCause is why the attempt's context was cancelled, as far as the executor may
// know; nil if it was not.
func (x *run) stopCause() error {
	if x.ctx.live.Load() == nil {
		return nil // it cannot know
	}
	x.job.mu.Lock()
	defer x.job.mu.Unlock()
	return x.stopCauseLocked()
}

func (x *run) stopCauseLocked() error {
	if x.ctx.stop == nil {
		return nil
	}
	return x.ctx.stop.cause
}

// writeStackLocked leaves the stack of a panic in the attempt's log, as a program
// that panics does.
func (x *run) writeStackLocked(stack []byte) {
	if !x.attempt.HasEnded() {
		_, _ = x.keepLocked().log.Writer(logtail.Stderr).Write(stack) // it cannot fail before the log is closed
	}
}

// A stackMark is an argument that shows in a stack trace as it is: arrays are
// passed on the stack, where other arguments are in registers, of which a trace
// shows what is left in them.
type stackMark [2]*run

// stackIn finds the stack of the goroutine that runs the executor among those
// of allStacks: the one with the mark of x.
func (x *run) stackIn(stacks string) string {
	mark := x.mark()
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(stack, mark) {
			return stack
		}
	}
	return "not found"
}

// isInside reports whether an executor or receiver of the runner calls, as far as is known:
// from ctx, or because it is on the stack of this goroutine.
func (r *Runner) isInside(ctx context.Context) bool {
	if a, ok := AttemptFrom(ctx); ok && a.run.job.r == r && a.with(func(*run) {}) {
		return true
	}
	text := make([]byte, 64<<10)
	stack := string(text[:runtime.Stack(text, false)])
	if r.isReceiver(ctx, stack) {
		return true
	}
	if !strings.Contains(stack, "(*run).call(") { // that of any runner
		return false
	}
	for _, j := range r.Everything() {
		if j.isOnStack(stack) {
			return true
		}
	}
	return false
}

func (j *Job) isOnStack(stack string) bool {
	j.lock()
	defer j.unlock()
	return slices.ContainsFunc(j.executingLocked(), func(a *engine.Attempt) bool {
		return strings.Contains(stack, runOf(a).mark())
	})
}

// mark is how the argument of call shows in a stack.
func (x *run) mark() string { return fmt.Sprintf("{%p, %p}", x, x) }

// allStacks returns the stacks of all goroutines, as far as a megabyte goes.
func allStacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}
