package runner

import (
	"cmp"
	"container/list"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch/internal/alarm"
	"github.com/runtocompletion/batch/internal/checkpoint"
	"github.com/runtocompletion/batch/internal/delay"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/feed"
	"github.com/runtocompletion/batch/internal/journal"
	"github.com/runtocompletion/batch/internal/results"
)

// A Job is a job under a runner: the engine that decides what it does, and the
// lock under which it decides. Methods that need the lock end in Locked.
type Job struct {
	r     *Runner
	id    engine.Identity
	def   atomic.Pointer[Definition] // replaced under mu; nil while the job rests
	entry feed.Entry[watched]
	alarm alarm.Entry[*Job]
	input *Input // nil if there is none
	// asFinished is the job's place among the finished ones; guarded by Runner.mu.
	asFinished *list.Element

	mu      sync.Mutex // see lock, unlock and look; guards the fields below; not held while user code runs
	updates int64      // of the definition, also those that change nothing
	holds   hold
	resting *rest // of a finished job that rests, also while it is looked at
	*body         // nil while the job rests
}

// A body is what a job has that does not rest. It is guarded by Job.mu.
type body struct {
	uid         string // of Job.id
	place       journal.Place
	queue       *queue            // of attempts without a key; nil until there is one
	queues      map[string]*queue // of those with one, by key; see Definition.LimitKey
	unkeyed     []waiting         // attempts whose keys are not known yet
	retries     *delay.Sequences  // of a job with a Backoff
	end         *ending           // of the present run
	engine      *engine.Job
	created     engine.Time
	due         engine.Time // what alarm is set to
	generation  int64
	zombies     map[*run]struct{} // lost attempts whose executors still run
	checkpoints checkpoint.Book
	results     *results.Book // nil if there are none yet
	lastText    failureText   // of the latest failure
	unasked     []question    // of a job that has not been declared
	stuck       *Stall        // of a store that refuses what the job has, if it does
	removals    int           // scratch directories that are being removed
	isKeying    bool          // keys are being found
	hasNewEnd   bool          // it has finished in this step
	isGone      bool          // set by noteEndLocked
	hasEnded    bool          // others may know that the job has finished
	hasLeft     bool          // others may know that the job is gone
	cancelling  *stop         // of attempts, while the job or some of its indexes are cancelled
	cancelled   *stop         // likewise of the job, once it was
	failure     *Failure      // of a job that has failed and is gone
	failures    *failures     // nil if there are none yet
	ends        *jobEnds      // nil if there are none
	mirror      *mirror       // of a job that another controller manages; nil if nothing was reported
	awaits      []string      // jobs that must be complete first, and were not seen so
	log         logQueue
	stored      *stored // nil if nothing outlasts the process
}

// A hold is a reason for a job to start nothing.
type hold uint8

const (
	creatingHold   hold = 1 << iota // it is not stored yet
	undeclaredHold                  // its functions have not been declared
	storeHold                       // the store fails
	stuckHold                       // the store refuses what the job has
)

// A failureText is the latest error with its text, and whose it was.
type failureText struct {
	seq  int64
	err  error
	text string
}

// newJob returns a job without its engine.
func (r *Runner) newJob(id engine.Identity, def *Definition) *Job {
	j := &Job{r: r, id: id, input: newInput(def.Input)}
	j.entry.Item, j.alarm.Item = j, j
	j.def.Store(def)
	j.body = j.newBody()
	j.generation, j.created = 1, r.now()
	if j.stored != nil {
		j.stored.defChanged, j.stored.inputIsNew = true, def.Input != nil
	}
	return j
}

// newBody returns a body without its engine.
func (j *Job) newBody() *body {
	b := &body{uid: j.id.String(), retries: new(delay.Sequences), end: newEnding(), due: engine.Never}
	b.place.Source = j
	if j.r.journal.Keeps() || j.r.reader != nil {
		b.stored = new(stored)
		b.checkpoints.IsStored = true
	}
	return b
}

// Name is the job's name.
func (j *Job) Name() string { return j.id.Job }

// UID distinguishes the job from every other one.
func (j *Job) UID() string { return j.id.String() }

// Now is the present time by the clock of the job's runner.
func (j *Job) Now() time.Time { return j.r.Now() }

// Durable waits until everything of the job is stored.
func (j *Job) Durable(ctx context.Context) error { return cmp.Or(j.r.Durable(ctx), j.Refused()) }

// lock locks j.mu, to give the engine an event or to look at
// attempts. A job that rests has its body until unlock.
func (j *Job) lock() {
	j.mu.Lock()
	if j.body == nil {
		j.wakeLocked()
	}
	j.catchUpLocked()
}

// unlock undoes lock. From then on, the job's body may be gone.
func (j *Job) unlock() {
	j.restLocked()
	j.mu.Unlock()
}

// catchUpLocked has the engine count what has ended in lanes.
func (j *Job) catchUpLocked() {
	if j.engine.Collect() {
		j.r.feed.Changed(&j.entry)
	}
}

// lookLocked counts what has ended in lanes, for a look at the job as a
// whole, and returns the revision of what is seen then. If only one revision is
// wanted, another one does not count as seen.
func (j *Job) lookLocked(wanted uint64) (revision uint64) {
	if j.body == nil {
		if revision = j.entry.Revision(); wanted == anyRevision || revision == wanted {
			revision = j.r.feed.Observe(&j.entry)
		}
		return revision
	}
	j.engine.Look(func(changed bool) {
		if changed {
			j.r.feed.Changed(&j.entry)
		}
		if revision = j.entry.Revision(); wanted == anyRevision || revision == wanted {
			revision = j.r.feed.Observe(&j.entry)
		}
	})
	return revision
}

const anyRevision = 0

// do gives the engine an event, and does what follows.
func (j *Job) do(ev engine.Event) {
	var e effects
	j.lock()
	j.stepLocked(&e, ev)
	j.unlock()
	j.r.perform(&e)
}

// tick is called when something is due. It does nothing itself that takes time:
// other jobs wait for the timer's goroutine.
func (j *Job) tick() {
	var e effects
	j.lock()
	j.due = engine.Never
	j.stepLocked(&e, engine.Event{Kind: engine.Tick})
	j.unlock()
	j.r.perform(&e)
}

// stepLocked gives the engine an event, with the time.
func (j *Job) stepLocked(e *effects, ev engine.Event) {
	j.rouseLocked()
	j.r.lookAtClock()
	ev.At = j.r.now()
	j.applyLocked(e, j.engine.Step(ev))
}

// applyLocked does what the engine wants, and lets others see it.
func (j *Job) applyLocked(e *effects, acts []engine.Action) {
	j.carryOutLocked(e, acts)
	j.noteEndLocked()
	j.changedLocked()
	if j.engine.FinishedAt != 0 {
		j.engine.Release()
	}
}

// carryOutLocked turns the engine's actions into effects.
func (j *Job) carryOutLocked(e *effects, acts []engine.Action) {
	var unsigned []*engine.Attempt
	for i := range acts {
		switch act := &acts[i]; act.Kind {
		case engine.Start:
			j.startLocked(e, act.Attempt)
		case engine.NeedSign:
			unsigned = append(unsigned, act.Attempt)
		default:
			j.carryOutRareLocked(e, act)
		}
	}
	for _, a := range unsigned { // the next step takes acts back
		j.answerSignLocked(e, a)
	}
	if due := j.engine.Due(); due != j.due {
		j.due = due
		j.r.alarm.Set(&j.alarm, int64(due))
	}
}

func (j *Job) carryOutRareLocked(e *effects, act *engine.Action) {
	switch act.Kind {
	case engine.Stop:
		j.stopLocked(e, act.Attempt, act.Cause)
	case engine.Close:
		if dir := runOf(act.Attempt).closeLocked(); dir != "" {
			j.removeDirLocked(dir)
		}
	case engine.Abandon:
		j.logAbandonedLocked(act.Attempt)
	case engine.NeedDelay, engine.NeedRestartDelay:
		j.askLocked(act)
	case engine.Finished:
		j.checkpoints.DropAll()
		j.hasNewEnd = true
	}
}

// startLocked has an attempt executed, or puts it in line for a slot.
func (j *Job) startLocked(e *effects, a *engine.Attempt) {
	r := j.ownLocked(a)
	if j.engine.Spec.QueuesStarts {
		if w := (waiting{a, a.Seq, j.r.now()}); j.def.Load().LimitKey != nil {
			j.keyLocked(w)
		} else {
			j.standLocked(w, "")
		}
		return
	}
	j.engine.Pin(a)
	e.execute(r)
}

// stopLocked ends an attempt's context.
func (j *Job) stopLocked(e *effects, a *engine.Attempt, why engine.Cause) {
	r := runOf(a)
	if live := r.ctx.stopLocked(j.stopForLocked(why)); live != nil {
		e.list = append(e.list, effect{live: live, stop: r.ctx.stop})
	}
	if isOverdue(why) || a.DeletedBy > engine.DeletedByController && a.DeletedBy != engine.DeletedByGC {
		j.noteLossLocked(a.Seq, a.Index, stopCauses[why])
	}
	if a.HasEnded() { // it was lost, and nothing waits for it
		if j.zombies == nil {
			j.zombies = make(map[*run]struct{})
		}
		j.zombies[r] = struct{}{}
	}
}

// changedLocked lets others see that the job has changed, as soon as that is
// durable.
func (j *Job) changedLocked() {
	if j.holds&creatingHold != 0 {
		return
	}
	if j.stored != nil {
		j.stored.isChanged = true
	}
	j.r.journal.Changed(&j.place)
}

// holdLocked begins or ends a reason for the job to start nothing.
func (j *Job) holdLocked(e *effects, reason hold, on bool) {
	before := j.holds
	j.holds &^= reason
	if on {
		j.holds |= reason
	}
	if (before == 0) == (j.holds == 0) {
		return
	}
	if on {
		j.emptyLinesLocked() // they are asked for again
	}
	acts := j.engine.Step(engine.Event{Kind: engine.Paused, Pause: on, At: j.r.now()})
	j.carryOutLocked(e, acts)
	j.noteEndLocked()
	if len(acts) > 0 { // otherwise there is nothing new to be stored
		j.changedLocked()
	}
}

// StoredLocked lets others see what is durable now.
func (j *Job) StoredLocked() {
	finished, gone := j.engine.FinishedAt != 0, j.engine.IsGone()
	if s := j.stored; s != nil {
		s.told, s.isCollected = s.collected, false
		finished, gone = s.told.isFinished() && s.told.Run == j.engine.Run(), s.gone
	}
	switch {
	case gone:
		j.tellEndsLocked()
		j.leaveLocked(finished)
	default:
		j.r.feed.Changed(&j.entry)
		j.tellEndsLocked()
	}
	if finished && !j.hasEnded {
		j.hasEnded = true
		j.logFinishedLocked()
		j.tellEndLocked()
		j.awaitNothingLocked()
		if !gone {
			j.r.keepFinished(j)
		}
	}
	j.closeIfClearedLocked()
}

// leaveLocked takes a job that is gone out of everything that has it; its last
// attempts keep it in the runner's sight until they have ended.
func (j *Job) leaveLocked(finished bool) {
	var last *tombstone
	if !j.hasLeft {
		j.hasLeft = true
		j.logLocked(slog.LevelInfo, "job removed")
		last = &tombstone{j.viewLocked(j.entry.Revision())}
		if finished {
			j.failure = j.failureLocked()
		}
		j.tellEndLocked()
		j.awaitNothingLocked()
		j.failures, j.results = nil, nil
		j.emptyLinesLocked()
	}
	live := len(j.engine.Live())+len(j.zombies) > 0
	j.r.moveOut(j, last, live)
	if !live {
		j.r.alarm.Set(&j.alarm, int64(engine.Never))
		j.engine.Release()
	}
}

// closeIfClearedLocked lets those go who wait for the job's end, once nothing of it
// is left to be cleared away.
func (j *Job) closeIfClearedLocked() {
	if j.removals > 0 || !j.hasEnded && !j.hasLeft {
		return
	}
	j.reachEndLocked()
}
