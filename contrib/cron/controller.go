package cron

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/internal/duequeue"
	"github.com/runtocompletion/batch/internal/feed"
)

// The errors of a controller's methods.
var (
	// ErrExists: a CronJob of that name exists.
	ErrExists = errors.New("cron: CronJob exists")
	// ErrNotFound: there is no CronJob of that name.
	ErrNotFound = errors.New("cron: CronJob not found")
	// ErrShutdown: the controller is shut down, or shutting down.
	ErrShutdown = errors.New("cron: controller is shut down")
	// ErrTooOld: deletions since the given revision are no longer known.
	ErrTooOld = errors.New("cron: revision too old")
	// ErrNotDeclared: a CronJob found in the store has no executor before
	// [Controller.Apply] declares it.
	ErrNotDeclared = errors.New("cron: executor not declared")
)

// Options configure a [Controller]. The zero value is good.
type Options struct {
	// Logger receives events: Info, and Warn for what needs mending. Nil means
	// silence. Its handler must not wait for the controller.
	Logger *slog.Logger
}

// A Controller runs CronJobs. Its methods may be called by several goroutines at
// once, also by executors. What they return are copies.
type Controller struct {
	batch  *batch.Controller
	logger *slog.Logger
	wall   func() time.Time // the clock on the wall
	ctx    context.Context  // done when Shutdown is called
	cancel context.CancelFunc
	feed   feed.Feed[*run]
	over   chan struct{} // closed when Shutdown is over
	all    sync.WaitGroup

	mu       sync.Mutex // guards the fields below and those of runs; user code never runs under it
	runs     map[string]*run
	byUID    map[string]*run // of CronJobs
	owners   map[string]*run // by the UIDs of jobs
	ready    []*run          // with something to do, and no worker yet
	workers  int
	due      duequeue.Queue[*run]
	timer    *time.Timer
	armed    engine.Time // what timer waits for; 0 if it has fired
	stopping bool
	unsaved  error // what could not be stored at last
}

// maxWorkers is how many CronJobs create jobs at once: they share commits.
const maxWorkers = 512

// New returns a controller of CronJobs that creates jobs with b, the only one. CronJobs
// found in the store of b wait to be declared by [Controller.Apply]. Call Shutdown before
// that of b. The error is that of a record which cannot be read.
//
// With [batch.Options.Standby], call New when b works: see [batch.Controller.Claimed].
// Before that, the error is [batch.ErrStoreInUse]. When the claim of b is lost, this
// controller stops, as by Shutdown; call New again when b works again.
func New(b *batch.Controller, o Options) (*Controller, error) {
	return newController(b, o, time.Now)
}

func newController(b *batch.Controller, o Options, wall func() time.Time) (*Controller, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Controller{
		batch: b, logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), wall: wall, ctx: ctx, cancel: cancel,
		over: make(chan struct{}), runs: make(map[string]*run), byUID: make(map[string]*run), owners: make(map[string]*run),
		due: duequeue.New(func(r *run) *duequeue.Place { return &r.place }),
	}
	c.feed.Begin(uint64(wall().UnixMicro())) // beyond what an earlier process gave out
	err := claimed(b)
	var since uint64
	if err == nil {
		since, err = c.load()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	c.all.Go(func() { c.watchJobs(since) })
	return c, nil
}

// claimed returns an error if b does not work on its store.
func claimed(b *batch.Controller) error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return b.Claimed(now)
}

// now is the time by the clock on the wall.
func (c *Controller) now() engine.Time { return c.wall().UnixNano() }

// Create takes a copy of a CronJob and starts it: its first time is the first one
// after now. The error is a [*ValidationError], [ErrExists], [ErrShutdown], a
// [batch.ErrStore] or that of ctx; then nothing was created.
func (c *Controller) Create(ctx context.Context, job CronJob) error {
	job = job.withDefaults()
	if err := job.validate(nil, false); err != nil {
		return err
	}
	return c.create(ctx, job)
}

func (c *Controller) create(ctx context.Context, job CronJob) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := newRun(c, job)
	if err := c.reserve(r); err != nil {
		return err
	}
	if err := c.batch.SaveRecord(ctx, specKey(job.Name), r.saveSpec()); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.runs, job.Name)
		return storeError(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.creating = false
	c.byUID[r.uid] = r
	c.feed.Add(&r.entry)
	r.post(input{Input: engine.Input{Kind: engine.Look}})
	return nil
}

func (c *Controller) reserve(r *run) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopping:
		return ErrShutdown
	case c.runs[r.spec.Name] != nil:
		return fmt.Errorf("%w: %q", ErrExists, r.spec.Name)
	}
	c.runs[r.spec.Name] = r
	return nil
}

// storeError translates an error of the jobs' controller.
func storeError(err error) error {
	if errors.Is(err, batch.ErrShutdown) {
		return ErrShutdown
	}
	return err
}

// Apply makes sure that there is a CronJob as declared, and returns its status: it
// is meant to be called for each CronJob when a service starts. A new one is
// created. One that is there, such as one found in the store, gets its executor and
// other functions from the declaration, for the jobs it has as well, and goes on
// from the last time that was started.
//
// Fields whose declaration has changed since Create or Apply was last given it are
// updated; others keep what Update has made of them, such as Suspend. One that is being
// deleted in the foreground goes nevertheless: see Status.Deleting. The errors are those
// of [Controller.Create] for a new one, and of [Controller.Update].
func (c *Controller) Apply(ctx context.Context, job CronJob) (Status, error) {
	job = job.withDefaults()
	if err := job.validate(nil, false); err != nil {
		return Status{}, err
	}
	for {
		err := c.revise(ctx, job.Name, func(live, declared *CronJob) (CronJob, *CronJob) {
			return job.apply(live, declared), &job
		})
		if errors.Is(err, ErrNotFound) {
			if err = c.create(ctx, job); errors.Is(err, ErrExists) {
				continue
			}
		}
		if err != nil {
			return Status{}, err
		}
		return c.Get(job.Name)
	}
}

// Get returns the status of a CronJob, or [ErrNotFound].
func (c *Controller) Get(name string) (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.find(name)
	if err != nil {
		return Status{}, err
	}
	return r.status(c.feed.Observe(&r.entry)), nil
}

// CronJob returns the spec of a CronJob with its defaults resolved, but those of the
// template, or [ErrNotFound]. Before it is declared, it has no executor.
func (c *Controller) CronJob(name string) (CronJob, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.find(name)
	if err != nil {
		return CronJob{}, err
	}
	return r.spec.clone(), nil
}

// find needs c.mu.
func (c *Controller) find(name string) (*run, error) {
	if r := c.runs[name]; r != nil && !r.creating {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
}

// All iterates over the status of every CronJob, in order of name.
func (c *Controller) All() iter.Seq[Status] {
	return func(yield func(Status) bool) {
		c.mu.Lock()
		all := slices.Sorted(maps.Keys(c.runs))
		c.mu.Unlock()
		for _, name := range all {
			status, err := c.Get(name)
			if err == nil && !yield(status) {
				return
			}
		}
	}
}

// Events returns the newest events of a CronJob, oldest first: at most 30, where one
// that is repeated counts once. They are not stored. The error is [ErrNotFound].
func (c *Controller) Events(name string) ([]Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.find(name)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(r.shown.Events))
	for i, e := range r.shown.Events {
		events[i] = newEvent(e)
	}
	return events, nil
}

// Owner returns the CronJob that a job belongs to, by the job's annotations, and
// whether the CronJob waits for it when it is deleted in the foreground, as it does
// unless the job was made by hand.
func (c *Controller) Owner(job batch.Job) (owner JobRef, blocks, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.byUID[job.Annotations[OwnerAnnotation]]
	if r == nil {
		return JobRef{}, false, false
	}
	return JobRef{Name: r.spec.Name, UID: r.uid}, job.Annotations[InstantiateAnnotation] == "", true
}

// Update changes a CronJob: change is called with a copy of its spec, and what it
// makes of it is validated and looked at at once. Any field but the name may change.
// If the CronJob was updated meanwhile, change is called again. Setting Job.Executor
// of a stored CronJob declares it. The errors are a [*ValidationError],
// [ErrNotFound], [ErrShutdown], [batch.ErrStore] or that of ctx: after the last two the
// change may yet be made, once the store works.
func (c *Controller) Update(ctx context.Context, name string, change func(*CronJob)) error {
	return c.revise(ctx, name, func(live, declared *CronJob) (CronJob, *CronJob) {
		changed := live.clone()
		change(&changed)
		return changed.withDefaults(), declared
	})
}

// Suspend lets a CronJob start nothing. Jobs that run go on. Doing it again changes
// nothing. The errors are those of [Controller.Update].
func (c *Controller) Suspend(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *CronJob) { j.Suspend = true })
}

// Resume lets a suspended CronJob go on: the most recent time that was missed starts
// at once, unless it is older than the deadline. The errors are those of
// [Controller.Update].
func (c *Controller) Resume(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *CronJob) { j.Suspend = false })
}

// revise puts what change makes of a spec in its place.
func (c *Controller) revise(ctx context.Context, name string,
	change func(live, declared *CronJob) (CronJob, *CronJob)) error {
	for {
		r, live, declared, version, err := c.present(ctx, name)
		if err != nil {
			return err
		}
		next, nextDeclared := change(&live, &declared)
		if err := next.validate(&live, live.Job.Executor == nil); err != nil {
			return err
		}
		err = r.ask(ctx, input{change: &revision{next, nextDeclared, version}})
		if !errors.Is(err, errOutdated) {
			return err
		}
	}
}

// present returns copies of what there is.
func (c *Controller) present(ctx context.Context, name string) (r *run, live, declared CronJob, version int64,
	err error) {
	if ctx.Err() != nil {
		return nil, live, declared, 0, context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return nil, live, declared, 0, ErrShutdown
	}
	if r, err = c.find(name); err != nil {
		return nil, live, declared, 0, err
	}
	return r, r.spec.clone(), r.lastDeclared().clone(), r.version, nil
}

// Delete removes a CronJob. [batch.DeleteBackground] removes it and its jobs at once,
// [batch.DeleteForeground] removes it when its jobs are gone, except those that were made
// by hand, and [batch.DeleteOrphan] leaves the jobs to themselves. The errors are
// [ErrNotFound], [ErrShutdown], [batch.ErrStore] or that of ctx: after the last two it is
// removed once the store works.
func (c *Controller) Delete(ctx context.Context, name string, p string) error {
	how, ok := map[string]engine.Propagation{
		batch.DeleteBackground: engine.Background, batch.DeleteForeground: engine.Foreground,
		batch.DeleteOrphan: engine.Orphan}[p]
	if !ok {
		return fmt.Errorf("cron: propagation %q: must be Background, Foreground or Orphan", p)
	}
	r, _, _, _, err := c.present(ctx, name)
	if err != nil {
		return err
	}
	return r.ask(ctx, input{Input: engine.Input{Kind: engine.Deleted, How: how}})
}

// Trigger creates a job by hand, as kubectl create job --from does: it belongs to the
// CronJob, but is not of its active jobs and has no scheduled time. The errors are
// [ErrNotFound], [ErrNotDeclared], [ErrShutdown], that of ctx, after which the job may
// yet be created, or those of [batch.Controller.Create], such as [batch.ErrExists].
func (c *Controller) Trigger(ctx context.Context, name, job string) error {
	r, _, _, _, err := c.present(ctx, name)
	if err != nil {
		return err
	}
	return r.ask(ctx, input{trigger: job})
}

// Shutdown starts nothing more and waits until what has been begun is stored. Jobs
// go on: they are for [batch.Controller.Shutdown], which is to be called afterwards.
// The error is that of ctx, or a [batch.ErrStore]: then the next process may start a time
// again whose job is gone.
func (c *Controller) Shutdown(ctx context.Context) error {
	c.stop()
	select {
	case <-c.over:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.unsaved
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop lets nothing begin any more.
func (c *Controller) stop() {
	c.mu.Lock()
	first := !c.stopping
	for _, r := range c.runs {
		if r.failures > 0 { // its state is not stored
			r.post(input{Input: engine.Input{Kind: engine.Look}})
		}
	}
	c.stopping = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.cancel()
	if first {
		go func() {
			c.all.Wait()
			close(c.over)
		}()
	}
}
