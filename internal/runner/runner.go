// Package runner does what every job needs while it lives. The engine decides; the
// runner acts: it locks, steps, carries out effects, runs attempts, finds delays,
// stores and shuts down. It gets what users have declared as a [Definition], and
// shows jobs as a [View].
package runner

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/runtocompletion/batch/internal/alarm"
	"github.com/runtocompletion/batch/internal/clock"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/feed"
	"github.com/runtocompletion/batch/internal/journal"
)

// Options configure a [Runner].
type Options struct {
	Logger    *slog.Logger // nil: nothing is logged
	Namespace string       // in messages
	MaxActive int          // the most executors that run at once; 0: no limit
	Limits    *Limits      // nil: none
	// FinishedJobs is how many finished jobs are kept; negative: all.
	FinishedJobs int
	Parent       context.Context // of attempts' contexts: when it ends, Shutdown is called soon
	// Brief says that the runner is gone soon after its jobs have finished: they need
	// not take little memory then.
	Brief bool
	// Decode returns what Encode of a definition has written, with the input of its job,
	// nil if that has none, and its functions, or without them if they are nil.
	Decode func(definition, input []byte, functions any) (SavedJob, error)
	// FunctionsOf returns, of the source of a definition, what stays in memory of it while
	// the job rests.
	FunctionsOf func(source any) any
	// Manages reports whether a manager of jobs is known. Nil: none is.
	Manages func(name string) bool
	// Panicked is the error of an executor that has panicked with a value or, with nil,
	// called runtime.Goexit.
	Panicked func(value any, stack []byte) error
}

// A Runner runs jobs. Its methods may be called by several goroutines at once, also
// by executors. That of the zero Controller is nil: it has no jobs, and every method
// with an error returns [ErrZero].
type Runner struct {
	handler     slog.Handler // nil: nothing is logged
	namespace   string
	parent      context.Context
	hasDeadline bool            // parent has one
	values      context.Context // parent, without its end
	panicked    func(value any, stack []byte) error
	decode      func(definition, input []byte, functions any) (SavedJob, error)
	functionsOf func(source any) any
	manages     func(name string) bool
	mayRest     bool // see Job.resting
	clock       *clock.Clock
	alarm       *alarm.Alarm[*Job] // one timer for all that is due later
	feed        feed.Feed[watched]
	limits      *Limits // for the next runner
	slots       *slots
	journal     journal.Keeper
	subscribed  subscriptions
	release     func()                // of the store
	last        []journal.Record      // for the last commit
	fence       int64                 // higher than that of any runner before on the store; zero without one
	reader      *reader               // nil unless another process works
	loss        atomic.Pointer[error] // why nothing may be changed any more
	claimed     context.Context       // until forget is called, as the claim is lost
	forget      context.CancelFunc
	trouble     atomic.Pointer[Trouble]
	start       time.Time
	dirsID      string             // of the store; empty without one
	removeAll   func(string) error // os.RemoveAll
	renaming    sync.WaitGroup     // see removeLeftDirs

	group   errgroup.Group // every goroutine that runs user code
	running atomic.Int64   // how many those are, or will be; see enter

	launching   sync.RWMutex // guards the field below
	isGroupOver bool         // see waitForGroup

	mu        sync.Mutex // guards the fields below; a Job.mu may be held
	jobs      map[string]*Job
	creating  map[string]struct{} // names of jobs that are being stored
	awake     map[*Job]struct{}   // of jobs, those that do not rest
	lingering map[*Job]struct{}   // gone, with attempts that have not ended
	records   map[string][]byte   // see SaveRecord
	finished  finished
	order     order

	stopping   chan struct{} // closed when Shutdown begins
	idle       chan struct{} // has one when stopping, and nothing runs
	over       chan struct{} // closed when Shutdown has done what it can
	undeclared *time.Timer   // until undeclared jobs are reported; nil without a store
	cutOff     chan struct{} // closed when the runner is of no more use to those who wait

	ended chan struct{} // closed when nothing changes any more

	becomeEnded  sync.Once
	becomeCutOff sync.Once
	cutOffBy     error // written before cutOff is closed
	becomeOver   sync.Once
}

// A Trouble is that the store fails.
type Trouble struct {
	Err   error
	Since time.Time
}

// New returns a runner that keeps jobs in memory; see Open.
func New(o Options) *Runner {
	r := &Runner{
		namespace:   o.Namespace,
		parent:      o.Parent,
		values:      context.WithoutCancel(o.Parent),
		panicked:    o.Panicked,
		decode:      o.Decode,
		functionsOf: o.FunctionsOf,
		manages:     o.Manages,
		mayRest:     !o.Brief,
		limits:      cmp.Or(o.Limits, new(Limits)),
		clock:       clock.New(),
		journal:     journal.Memory{},
		release:     func() {},
		finished:    finished{limit: o.FinishedJobs},
		start:       time.Now(),
		removeAll:   os.RemoveAll,
		jobs:        make(map[string]*Job),
		creating:    make(map[string]struct{}),
		awake:       make(map[*Job]struct{}),
		lingering:   make(map[*Job]struct{}),
		records:     make(map[string][]byte),
		stopping:    make(chan struct{}),
		idle:        make(chan struct{}, 1),
		over:        make(chan struct{}),
		cutOff:      make(chan struct{}),
		ended:       make(chan struct{}),
	}
	r.subscribed.over, r.subscribed.byName = make(chan struct{}), make(map[string]*subscription)
	r.slots = newSlots(r, o.MaxActive, o.Limits)
	_, r.hasDeadline = o.Parent.Deadline()
	r.claimed, r.forget = context.WithCancel(context.Background())
	if r.manages == nil {
		r.manages = func(string) bool { return false }
	}
	if o.Logger != nil {
		r.handler = o.Logger.Handler()
	}
	r.alarm = alarm.New(func() int64 { return int64(r.now()) }, (*Job).tick)
	return r
}

// now is the time for the engine.
func (r *Runner) now() engine.Time { return engine.Time(r.clock.Now()) }

// Now is the present time by the wall clock, as far as is known.
func (r *Runner) Now() time.Time { return r.date(r.now()) }

// date is the wall clock's time; zero stays zero.
func (r *Runner) date(t engine.Time) time.Time {
	if t == 0 || t == engine.Never {
		return time.Time{}
	}
	return r.clock.Wall(int64(t))
}

// Create starts a job, once it is stored.
func (r *Runner) Create(ctx context.Context, name string, def *Definition) (*Job, error) {
	if r == nil {
		return nil, ErrZero
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := r.reserve(name, def.After); err != nil {
		return nil, err
	}
	id := engine.Identity{Job: name}
	id.UID = newUID()
	j := r.newJob(id, def)
	j.awaits = slices.Clone(def.After)
	j.engine = engine.New(id, r.spec(def))
	j.holds = creatingHold
	records := j.create()
	undo := []journal.Record{{Job: j.uid}}
	for _, record := range records {
		if record.Job == "" {
			undo = append(undo, journal.Record{Key: record.Key})
		}
	}
	if err := r.journal.Put(ctx, records, undo, func() { r.unreserve(name) }); err != nil {
		r.alarm.Set(&j.alarm, int64(engine.Never))
		return nil, r.storeError(ctx, err)
	}
	j.begin()
	if len(def.After) > 0 {
		j.lookAround()
	}
	return j, nil
}

// create makes the job's first step, and returns what is to be stored before any caller
// can see it.
func (j *Job) create() (records []journal.Record) {
	var e effects
	j.lock()
	defer j.unlock()
	if j.stored != nil {
		j.engine.Track(describeAttempt)
	}
	ev := engine.Event{Kind: engine.Created, Pause: true} // nothing starts
	if len(j.awaits) > 0 {
		ev.Await, ev.Reason = true, "Waits until these jobs are complete: "+strings.Join(j.awaits, ", ")
	}
	j.stepLocked(&e, ev)
	if j.stored != nil {
		j.collectLocked(func(r journal.Record) { records = append(records, r) })
	}
	return records
}

// begin publishes the job, and starts it.
func (j *Job) begin() {
	var e effects
	visiting := j.r.visit()
	j.lock()
	j.r.enroll(j)
	if visiting {
		defer j.r.leave()
		j.logLocked(slog.LevelInfo, "job created")
	}
	if j.r.isStopping() {
		j.stepLocked(&e, engine.Event{Kind: engine.Halted})
	}
	if j.stored != nil {
		j.StoredLocked()
		j.holdLocked(&e, storeHold, j.r.journal.Failing() != nil)
	}
	j.holdLocked(&e, creatingHold, false)
	j.changedLocked()
	j.unlock()
	j.r.perform(&e)
}

// reserve takes a name for a job that is being created, after others.
func (r *Runner) reserve(name string, after []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, creating := r.creating[name]
	if err := r.lossError(); err != nil {
		return err
	}
	switch {
	case r.isStopping():
		return ErrShutdown
	case creating, r.jobs[name] != nil:
		return fmt.Errorf("%w: %q", ErrExists, name)
	}
	if err := r.order.reserveLocked(name, after); err != nil {
		return err
	}
	r.creating[name] = struct{}{}
	return nil
}

// unreserve gives a name back.
func (r *Runner) unreserve(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.creating, name)
	delete(r.order.after, name)
}

// enroll gives a name to its job.
func (r *Runner) enroll(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.creating, j.id.Job)
	r.jobs[j.id.Job] = j
	if j.resting == nil {
		r.awake[j] = struct{}{}
		r.order.awaitLocked(j, j.awaits)
	}
	r.feed.Add(&j.entry)
}

// moveOut takes a job out that is gone. While it lives, it stays in sight. Last is what
// watchers see of its end, if they have not yet: what they have seen go is not found.
func (r *Runner) moveOut(j *Job, last *tombstone, lives bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[j.id.Job] == j {
		delete(r.jobs, j.id.Job)
	}
	if last != nil {
		r.feed.Remove(&j.entry, last)
	}
	delete(r.awake, j)
	r.forgetFinishedLocked(j)
	if lives {
		r.lingering[j] = struct{}{}
	} else {
		delete(r.lingering, j)
	}
}

// Find returns the job of that name.
func (r *Runner) Find(name string) (*Job, error) {
	if r == nil {
		return nil, ErrZero
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.jobs[name]; j != nil {
		return j, nil
	}
	if err := r.unreadError(); err != nil {
		return nil, err
	}
	return nil, notFound("job", name)
}

// Change is Find for those who want to change the job.
func (r *Runner) Change(ctx context.Context, name string) (*Job, error) {
	if err := r.MayChange(ctx); err != nil {
		return nil, err
	}
	return r.Find(name)
}

// MayChange reports why nothing can be changed now.
func (r *Runner) MayChange(ctx context.Context) error {
	switch {
	case r == nil:
		return ErrZero
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if err := r.lossError(); err != nil {
		return err
	}
	if r.isStopping() {
		return ErrShutdown
	}
	return r.storeError(ctx, r.journal.Failing())
}

// Durable waits until all that has happened is stored, except what a store refuses.
func (r *Runner) Durable(ctx context.Context) error {
	return r.storeError(ctx, r.journal.Sync(ctx))
}

// All returns all jobs in order of name.
func (r *Runner) All() []*Job {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	jobs := slices.Collect(maps.Values(r.jobs))
	r.mu.Unlock()
	slices.SortFunc(jobs, func(a, b *Job) int { return strings.Compare(a.id.Job, b.id.Job) })
	return jobs
}

// Each is an iterator over all jobs there are when it begins, in order of name.
func (r *Runner) Each(yield func(*Job) bool) { slices.Values(r.All())(yield) }

// Everything returns all jobs that do not rest, and those that are gone and have
// attempts that have not ended.
func (r *Runner) Everything() []*Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(r.lingering)), maps.Keys(r.awake))
}

// Named returns all jobs that have or had a name, the present one last.
func (r *Runner) Named(name string) []*Job {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var jobs []*Job
	for j := range r.lingering {
		if j.id.Job == name {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b *Job) int { return cmp.Compare(a.created, b.created) })
	if j := r.jobs[name]; j != nil {
		jobs = append(jobs, j)
	}
	return jobs
}
