package batch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
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
	"github.com/runtocompletion/batch/internal/checkpoint"
	"github.com/runtocompletion/batch/internal/delay"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/feed"
	"github.com/runtocompletion/batch/internal/journal"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/turns"
)

// The errors of a controller's methods.
var (
	// ErrExists: a job of that name exists.
	ErrExists = errors.New("batch: job exists")
	// ErrNotFound: there is no job, or attempt, of that name.
	ErrNotFound = errors.New("batch: not found")
	// ErrShutdown: the controller is shut down, or shutting down. It is also
	// the cause with which attempts are cancelled then.
	ErrShutdown = errors.New("batch: controller is shut down")
	// ErrJobDeleted: the job that was waited for was deleted before it finished.
	ErrJobDeleted = errors.New("batch: job deleted")
	// ErrFinished: the attempt has ended already.
	ErrFinished = errors.New("batch: attempt has finished")
	// ErrTooOld: deletions since the given revision are no longer known.
	ErrTooOld = errors.New("batch: revision too old")
)

// Options configure a [Controller]. The zero value is good.
type Options struct {
	// Logger receives starts and ends of jobs (Info), failed attempts (Warn),
	// what needs mending, such as an abandoned attempt (Error), and what attempts
	// log. Nil means silence. With a Store, its handler must not wait for the
	// controller: what the controller logs may be what the store waits for.
	Logger *slog.Logger
	// MaxActive is the most executors that run at once over all jobs; attempts
	// above it are Pending, and jobs take turns. An attempt that waits for its
	// restart is not counted. Zero means no limit. A negative value is an error.
	MaxActive int
	// Namespace is what messages call the namespace (R204); empty means
	// "default".
	Namespace string
	// Store keeps the jobs, so that they survive the process: see [Store]. Nil
	// keeps them in memory only, at no cost. A store serves one controller at a
	// time; whoever opened it closes it, after Shutdown.
	Store Store
}

// A Store keeps the jobs of a [Controller]. What a caller has been told, by
// [Controller.Wait], [Controller.Get], [Controller.Watch] or an event, is in the
// store before it is told; so [Controller.Get] may be a commit behind what runs.
// Jobs do not wait for the store: many changes share a commit.
//
// A controller that finds jobs in its store goes on with them, after a shutdown
// as after a crash: counters, conditions, index sets, retries, deadlines and
// suspension are what they were, by the wall clock. Attempts that ran when the
// process ended are disrupted, with [ReasonTerminationByProcessExit], and count
// as the failure policy says; those interrupted by [Controller.Shutdown] do not
// count, even if they return nil then. A completion that was told is never run
// again. One that was not may be: executors run at least once, and what they do
// should be safe to do twice.
//
// Executors and other functions are code and not stored: a job waits, with the
// condition [ConditionStalled], until [Controller.Apply] declares it again. Logs
// are not stored either, and of errors only their texts.
//
// While the store fails, jobs start no attempts and have the condition
// [ConditionStalled]; what is called for gets a [*StoreError], and
// [Attempt.SaveCheckpoint] waits. The store is tried again by and by, and jobs go
// on when it works.
//
// A Store is a map of two levels: the records of each job, under keys. What is
// in them is the controller's business. To write one, see the test suite in
// package batchtest; contrib/boltstore keeps jobs in one file.
type Store interface {
	// Load walks over all records there are, once, job by job in any order. The
	// values are the caller's. An error ends it; then nothing is used.
	Load(ctx context.Context) iter.Seq2[Record, error]
	// Commit applies the records in order, all of them or none, and returns when
	// they are durable. After an error nobody knows whether they are: they are
	// committed again, with what has changed since. A commit of nothing shows
	// whether the store works. There is one call at a time; the records and their
	// values are only lent. If ctx has ended, nothing is written, and errors.Is
	// finds its error.
	Commit(ctx context.Context, records []Record) error
}

// A Record is a value in a [Store].
type Record struct {
	Job   string // the job's UID; empty for what belongs to the whole store
	Key   string // at most 100 bytes; empty, with a nil Value: the job with all its records; never empty otherwise
	Value []byte // nil removes the record; an empty value is one
}

// A MemoryStore is a [Store] in memory: jobs survive their controller, but not the
// process. Tests restart controllers with it. The zero value is empty. Its
// methods may be called by several goroutines at once.
type MemoryStore struct {
	mu   sync.Mutex
	jobs map[string]map[string][]byte
}

// Load walks over a copy of what there is. The error is that of ctx.
func (s *MemoryStore) Load(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s.mu.Lock()
		var records []Record
		for job, values := range s.jobs {
			for key, value := range values {
				records = append(records, Record{job, key, slices.Clone(value)})
			}
		}
		s.mu.Unlock()
		for _, r := range records {
			if ctx.Err() != nil {
				yield(Record{}, context.Cause(ctx))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Commit applies the records. The error is that of ctx.
func (s *MemoryStore) Commit(ctx context.Context, records []Record) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs == nil {
		s.jobs = make(map[string]map[string][]byte)
	}
	for _, r := range records {
		s.apply(r)
	}
	return nil
}

// apply needs s.mu.
func (s *MemoryStore) apply(r Record) {
	switch {
	case r.Value != nil && s.jobs[r.Job] == nil:
		s.jobs[r.Job] = make(map[string][]byte)
		fallthrough
	case r.Value != nil:
		s.jobs[r.Job][r.Key] = append([]byte{}, r.Value...)
	case r.Key == "":
		delete(s.jobs, r.Job)
	default:
		delete(s.jobs[r.Job], r.Key)
	}
}

// A StoreError reports that the [Store] failed. What was called for may have been
// done, but it is not known to be durable.
type StoreError struct{ Err error }

// Error gives the store's error.
func (e *StoreError) Error() string { return "batch: store: " + e.Err.Error() }

// Unwrap returns the store's error.
func (e *StoreError) Unwrap() error { return e.Err }

// A FormatError reports a [Store] written in another format than this version of
// the package has.
type FormatError struct {
	Have, Want string // Have is empty for something that is no store at all
}

// Error names both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("batch: the store has format %q, this version needs %q", e.Have, e.Want)
}

// A Controller runs jobs. Its methods may be called by several goroutines at
// once, also by executors. What they return are copies.
type Controller struct {
	logger    *slog.Logger
	namespace string
	values    context.Context // for attempts; never done
	start     time.Time
	startedAt engine.Time           // start, on the wall clock
	turns     *turns.Turns[*jobRun] // of Options.MaxActive; nil without a limit
	alarm     *alarm.Alarm[*jobRun] // one timer for all that is due later
	feed      feed.Feed[*jobRun]
	store     Store
	journal   *journal.Journal // nil without a store
	trouble   atomic.Pointer[trouble]

	attempts errgroup.Group // every goroutine that runs executors
	running  atomic.Int64   // how many those are

	mu        sync.Mutex // guards the fields below; a jobRun.mu may be held
	jobs      map[string]*jobRun
	creating  map[string]struct{}  // names of jobs that are being stored
	lingering map[*jobRun]struct{} // removed, with attempts that have not ended
	stopping  chan struct{}        // closed when Shutdown begins
	idle      chan struct{}        // closed when stopping, and nothing runs
	over      chan struct{}        // closed when Shutdown has done what it can

	becomeIdle, becomeOver sync.Once
}

// New returns a controller. It has no goroutine until a job runs, but call
// [Controller.Shutdown] when done with it. The error names a bad option, or is
// that of Options.Store, such as a [*FormatError].
func New(o Options) (*Controller, error) {
	if o.MaxActive < 0 {
		return nil, fmt.Errorf("batch: Options.MaxActive: %d: must not be negative", o.MaxActive)
	}
	c := newController(context.Background(), o)
	if o.Store == nil {
		return c, nil
	}
	if err := c.open(o.Store); err != nil {
		return nil, err
	}
	return c, nil
}

func newController(values context.Context, o Options) *Controller {
	c := &Controller{
		logger:    cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		namespace: cmp.Or(o.Namespace, "default"),
		values:    context.WithoutCancel(values),
		start:     time.Now(),
		jobs:      make(map[string]*jobRun),
		creating:  make(map[string]struct{}),
		lingering: make(map[*jobRun]struct{}),
		stopping:  make(chan struct{}),
		idle:      make(chan struct{}),
		over:      make(chan struct{}),
	}
	c.startedAt = engine.Time(c.start.UnixNano())
	c.alarm = alarm.New(func() int64 { return int64(c.now()) }, (*jobRun).tick)
	if o.MaxActive > 0 {
		c.turns = turns.New[*jobRun](o.MaxActive)
	}
	return c
}

// now is the time for the engine: it follows the monotonic clock.
func (c *Controller) now() engine.Time {
	return c.startedAt + engine.Time(time.Since(c.start))
}

// Create takes a copy of job and starts it. The error is a [*ValidationError],
// [ErrExists], [ErrShutdown], a [*StoreError] or that of ctx; then nothing was
// created, but for a job that its store has in spite of the error if the process
// ends before that works again. Ctx is looked at only at the start: the job does
// not end with it, and attempts do not see its values.
func (c *Controller) Create(ctx context.Context, job Job) error {
	_, err := c.create(ctx, job)
	return err
}

func (c *Controller) create(ctx context.Context, job Job) (*jobRun, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	job = job.withDefaults()
	if err := validationError(job.Name, job.validate()); err != nil {
		return nil, err
	}
	j := newJobRun(c, job)
	if c.journal != nil {
		if err := c.createStored(j); err != nil {
			return nil, err
		}
	} else {
		j.lock()
		if err := c.add(j); err != nil {
			j.mu.Unlock()
			return nil, err
		}
		j.do(engine.Event{Kind: engine.Created})
	}
	j.log(slog.LevelInfo, "job created")
	return j, nil
}

func (c *Controller) add(j *jobRun) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mayAdd(j.id.Job); err != nil {
		return err
	}
	c.jobs[j.id.Job] = j
	c.feed.Add(&j.entry)
	return nil
}

// mayAdd reports why a job of that name may not be added. It needs c.mu.
func (c *Controller) mayAdd(name string) error {
	if c.isStopping() {
		return ErrShutdown
	}
	if c.jobs[name] != nil {
		return fmt.Errorf("%w: %q", ErrExists, name)
	}
	if _, creating := c.creating[name]; creating {
		return fmt.Errorf("%w: %q", ErrExists, name)
	}
	return nil
}

// createStored stores a job before anybody can see it, and then starts it.
func (c *Controller) createStored(j *jobRun) error {
	if err := c.reserve(j.id.Job); err != nil {
		return err
	}
	j.lock()
	j.engine.Track(describeAttempt)
	j.holds = creatingHold
	w := j.step(engine.Event{Kind: engine.Created, Pause: true})
	var records []journal.Record
	j.collect(func(r journal.Record) { records = append(records, r) })
	j.mu.Unlock()
	if err := c.journal.Put(records, []journal.Record{{Job: j.uid}}); err != nil {
		c.alarm.Set(&j.alarm, int64(engine.Never))
		c.unreserve(j.id.Job, nil)
		return storeError(err)
	}
	j.lock()
	c.unreserve(j.id.Job, j)
	finished, gone := j.tellStored()
	var halted wishes
	if c.isStopping() {
		halted = j.step(engine.Event{Kind: engine.Halted})
	}
	tooLate := j.hold(storeHold, c.journal.Failing() != nil)
	begin := j.hold(creatingHold, false)
	j.changed()
	j.mu.Unlock()
	j.announce(finished, gone)
	for _, w := range []wishes{w, halted, tooLate, begin} {
		j.perform(w)
	}
	return nil
}

// reserve takes a name for a job that is being stored.
func (c *Controller) reserve(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.mayAdd(name); err != nil {
		return err
	}
	c.creating[name] = struct{}{}
	return nil
}

// unreserve gives a name back, or to its job.
func (c *Controller) unreserve(name string, j *jobRun) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.creating, name)
	if j != nil {
		c.jobs[name] = j
		c.feed.Add(&j.entry)
	}
}

// The record of a store that says how all others are written.
const (
	formatKey = "format"
	format    = "batch/1"
)

// open takes over a store: its jobs wait to be declared.
func (c *Controller) open(store Store) error {
	c.store = store
	c.journal = journal.New(c.commit, c.storeTrouble)
	c.feed.Begin(uint64(c.start.UnixMicro())) // beyond what an earlier process gave out
	jobs, err := c.load()
	if err != nil {
		return err
	}
	if err := c.journal.Put([]journal.Record{{Key: formatKey, Value: []byte(format)}}, nil); err != nil {
		return c.abandon(storeError(err))
	}
	for _, j := range jobs {
		c.unreserve(j.id.Job, j)
		j.goOnAfterLoad()
	}
	if err := c.durable(context.Background()); err != nil {
		return c.abandon(err)
	}
	return nil
}

// abandon lets go of a store that cannot be written to.
func (c *Controller) abandon(err error) error {
	c.alarm.Stop()
	return errors.Join(err, c.closeJournal())
}

func (c *Controller) commit(records []journal.Record) error {
	lent := make([]Record, len(records))
	for i, r := range records {
		lent[i] = Record(r)
	}
	return c.store.Commit(context.Background(), lent)
}

// load reads the store.
func (c *Controller) load() ([]*jobRun, error) {
	have := ""
	saved := make(map[string]map[string][]byte)
	for r, err := range c.store.Load(context.Background()) {
		switch {
		case err != nil:
			return nil, storeError(err)
		case r.Job == "" && r.Key == formatKey:
			have = string(r.Value)
		case saved[r.Job] == nil:
			saved[r.Job] = make(map[string][]byte)
			fallthrough
		default:
			saved[r.Job][r.Key] = slices.Clone(r.Value)
		}
	}
	if have != format && (have != "" || len(saved) > 0) {
		return nil, &FormatError{Have: have, Want: format}
	}
	var jobs []*jobRun
	for uid, records := range saved {
		j, err := c.loadJob(uid, records)
		if err != nil {
			return nil, storeError(fmt.Errorf("job %s: %w", uid, err))
		}
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *jobRun) int { return strings.Compare(a.id.Job, b.id.Job) })
	for i := range len(jobs) - 1 {
		if a, b := jobs[i], jobs[i+1]; a.id.Job == b.id.Job {
			return nil, storeError(fmt.Errorf("jobs %s and %s have the same name %q", a.uid, b.uid, a.id.Job))
		}
	}
	return jobs, nil
}

// storeTrouble holds all jobs back while the store fails.
func (c *Controller) storeTrouble(err error) {
	if err != nil {
		c.logger.Error("store fails, jobs start nothing", slog.Any("error", err))
		c.trouble.Store(&trouble{err, time.Now()})
	} else {
		c.logger.Info("store works again")
		c.trouble.Store(nil)
	}
	for _, j := range c.everyJob() {
		j.lock()
		w := j.hold(storeHold, err != nil)
		if !j.engine.IsGone() {
			c.feed.Changed(&j.entry)
		}
		j.mu.Unlock()
		j.perform(w)
	}
}

// A trouble is that the store fails.
type trouble struct {
	err   error
	since time.Time
}

// failing returns a [*StoreError] while the store fails.
func (c *Controller) failing() error {
	if c.journal == nil {
		return nil
	}
	return storeError(c.journal.Failing())
}

// durable waits until all that has happened is stored.
func (c *Controller) durable(ctx context.Context) error {
	if c.journal == nil {
		return nil
	}
	err := c.journal.Sync(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return storeError(err)
}

// closeJournal makes the last changes durable.
func (c *Controller) closeJournal() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastCommitTime)
	defer cancel()
	return storeError(c.journal.Close(ctx))
}

func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrClosed):
		return ErrShutdown
	}
	return &StoreError{err}
}

func (c *Controller) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// Apply makes sure that there is a job as declared, and returns its status: it is
// meant to be called for each job when a service starts. A new job is created. One
// that is there, such as one found in the store, gets its executor and other
// functions from the declaration and goes on; a finished one keeps its outcome
// and does not run again.
//
// If the declaration has changed since Create or Apply was last given it, each
// field that has is updated by the rules of [Controller.Update]: what may not
// change is reported in a [*ValidationError] that names the field, and the job
// stays as it was. Fields that Update has changed meanwhile, such as Suspend,
// stay if their declaration does, but for functions such as Backoff: these are
// always the declared ones. An executor that has been declared in this
// process is kept. A job that was started may have got on by the time Apply
// returns. Other errors are those of [Controller.Create].
func (c *Controller) Apply(ctx context.Context, job Job) (Status, error) {
	job = job.withDefaults()
	if err := validationError(job.Name, job.validate()); err != nil {
		return Status{}, err
	}
	for {
		j, err := c.change(ctx, job.Name)
		if errors.Is(err, ErrNotFound) {
			if j, err = c.create(ctx, job); err == nil {
				return j.status(), nil
			} else if errors.Is(err, ErrExists) { // somebody else was faster
				if err = c.durable(ctx); err == nil {
					continue
				}
			}
		}
		if err != nil {
			return Status{}, err
		}
		done, err := j.declare(job)
		if err != nil {
			return j.status(), err
		}
		if err := c.durable(ctx); done || err != nil {
			return j.status(), err
		}
	}
}

// find returns the job of that name.
func (c *Controller) find(name string) (*jobRun, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j := c.jobs[name]; j != nil {
		return j, nil
	}
	return nil, fmt.Errorf("%w: job %q", ErrNotFound, name)
}

// change is find for those who want to change the job.
func (c *Controller) change(ctx context.Context, name string) (*jobRun, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c.isStopping() {
		return nil, ErrShutdown
	}
	if err := c.failing(); err != nil {
		return nil, err
	}
	return c.find(name)
}

// Get returns the status of a job, or [ErrNotFound]. It takes the same short
// time for a job of any size.
func (c *Controller) Get(name string) (Status, error) {
	j, err := c.find(name)
	if err != nil {
		return Status{}, err
	}
	return j.status(), nil
}

// Job returns the spec of a job with its defaults resolved, or [ErrNotFound].
func (c *Controller) Job(name string) (Job, error) {
	j, err := c.find(name)
	if err != nil {
		return Job{}, err
	}
	j.lock()
	defer j.mu.Unlock()
	spec := j.spec.clone()
	if j.holds&undeclaredHold != 0 {
		spec.undeclare()
	}
	return spec, nil
}

// All walks over the status of every job, in order of name. Jobs that come and
// go meanwhile may be missed; nothing waits for the walk.
func (c *Controller) All() iter.Seq[Status] {
	return func(yield func(Status) bool) {
		c.mu.Lock()
		jobs := slices.Collect(maps.Values(c.jobs))
		c.mu.Unlock()
		slices.SortFunc(jobs, func(a, b *jobRun) int { return strings.Compare(a.id.Job, b.id.Job) })
		for _, j := range jobs {
			if !yield(j.status()) {
				return
			}
		}
	}
}

// Update changes a job: change is called with a copy of its spec, and what it
// makes of it is validated and takes effect at once. A field that may not
// change is reported in a [*ValidationError] (R104 to R107); then nothing has
// changed. If the job was updated meanwhile, change is called again with a
// newer copy; no lock is held while it runs, and it must not keep its argument.
// A finished job accepts changes, but only that of TTLAfterFinished has an
// effect (R107).
//
// The copy of a stored job that waits for its executor, with the condition
// [ConditionStalled], has none, nor other functions but constant back-offs. If
// change sets Executor, and with it the others that are needed, the job goes on,
// as after [Controller.Apply]: the way for jobs that were declared at run time.
//
// Other errors are [ErrNotFound], [ErrShutdown], a [*StoreError] or that of ctx.
func (c *Controller) Update(ctx context.Context, name string, change func(*Job)) error {
	for {
		j, err := c.change(ctx, name)
		if err != nil {
			return err
		}
		done, err := j.update(change)
		if err != nil {
			return err
		}
		if err := c.durable(ctx); done || err != nil {
			return err
		}
	}
}

// Suspend holds a job: its attempts are stopped, uncounted (R233). Doing it
// again changes nothing. The errors are those of [Controller.Update].
func (c *Controller) Suspend(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = true })
}

// Resume lets a suspended job go on (R235). Doing it again changes nothing. The
// errors are those of [Controller.Update].
func (c *Controller) Resume(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = false })
}

// Propagation says what becomes of the attempts of a deleted job.
type Propagation string

const (
	// Background removes the job at once and stops its attempts, which may
	// take their grace period.
	Background Propagation = "Background"
	// Foreground stops the attempts and removes the job once they have ended.
	Foreground Propagation = "Foreground"
	// Orphan removes the job and lets its attempts run to their end.
	Orphan Propagation = "Orphan"
)

// Delete removes a job. Its name is free again as soon as the job is gone.
// Attempts that are stopped see [ErrDeleted]. An unknown propagation is an error;
// others are [ErrNotFound], [ErrShutdown], a [*StoreError] or that of ctx.
func (c *Controller) Delete(ctx context.Context, name string, p Propagation) error {
	if !slices.Contains([]Propagation{Background, Foreground, Orphan}, p) {
		return fmt.Errorf("batch: propagation %q: must be Background, Foreground or Orphan", p)
	}
	j, err := c.change(ctx, name)
	if err != nil {
		return err
	}
	j.log(slog.LevelInfo, "job is to be deleted", slog.String("propagation", string(p)))
	j.lock()
	j.do(engine.Event{Kind: engine.Deleted, Orphan: p == Orphan, Linger: p == Foreground})
	return c.durable(ctx)
}

// Wait waits until a job has finished and returns its final status. The error
// is nil if the job is Complete, a [*JobError] if it has Failed, and otherwise
// says why there is nothing to wait for: [ErrNotFound], [ErrJobDeleted],
// [ErrShutdown], or the error of ctx; the status is then the last one known.
func (c *Controller) Wait(ctx context.Context, name string) (Status, error) {
	j, err := c.find(name)
	if err != nil {
		return Status{}, err
	}
	return j.wait(ctx)
}

// A Change is one step of [Controller.Watch].
type Change struct {
	Type   ChangeType
	Status Status
}

// ChangeType says what happened to the job of a [Change].
type ChangeType string

const (
	Added    ChangeType = "ADDED"    // it is new since the revision the watcher knew
	Modified ChangeType = "MODIFIED" // its status has changed
	Deleted  ChangeType = "DELETED"  // it is gone; the status is its last
)

// Watch walks over the changes of all jobs after revision since, in order of
// revision: nothing is missed between a [Status] whose Revision is since and
// the first change. Zero begins with every job there is, as Added. What an
// attempt reports, such as its progress, is a change of its job.
//
// Changes of one job that come faster than they are taken are delivered as
// one, with the latest status; a job's end and deletion are never left out.
// So a slow watcher costs nothing and is never cut off. The walk ends with
// the error of ctx, with [ErrShutdown], or with [ErrTooOld] if deletions since
// then are no longer known: the newest thousand are. Then list again, and
// watch from there. Revisions belong to one controller: one that it has not
// given out is too old as well. The loop may be left at any time, and several
// watchers do not disturb each other.
func (c *Controller) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w, err := c.feed.Watch(since)
		if err != nil {
			yield(Change{}, ErrTooOld)
			return
		}
		defer w.Close()
		for {
			changes, err := w.Next(ctx, c.over)
			if err != nil || changes == nil {
				yield(Change{}, watchError(err))
				return
			}
			for _, change := range changes {
				step, ok := changeOf(change)
				if !ok {
					w.Superseded(change)
				} else if !yield(step, nil) {
					return
				}
			}
		}
	}
}

func watchError(err error) error {
	switch {
	case err == nil:
		return ErrShutdown
	case errors.Is(err, feed.ErrTooOld):
		return ErrTooOld
	}
	return err
}

// changeOf gives a change the status that goes with it; it reports false if a
// later change will do that.
func changeOf(change feed.Change[*jobRun]) (Change, bool) {
	j := change.Entry.Item
	revision := j.look(change.Revision)
	if revision != change.Revision {
		j.mu.Unlock()
		return Change{}, false
	}
	step := Change{Type: Modified, Status: j.statusLocked(revision)}
	j.mu.Unlock()
	step.Status.Progress = step.Status.progress(j.c.now())
	switch {
	case change.Removed:
		step.Type = Deleted
	case change.Added:
		step.Type = Added
	}
	return step, true
}

// Attempts returns what is known of the attempts of a job in order of
// creation: those that have not ended, and the newest that have
// ([Job.History]). Attempts of deleted jobs of that name come first as long as
// they have not ended; AttemptStatus.JobUID tells them apart. The error is
// [ErrNotFound] if there is neither, or a [*StoreError]: then the list is right,
// but not known to be durable.
func (c *Controller) Attempts(name string) ([]AttemptStatus, error) {
	var list []AttemptStatus
	jobs := c.named(name)
	for _, j := range jobs {
		list = append(list, j.attempts()...)
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("%w: job %q", ErrNotFound, name)
	}
	return list, c.durable(context.Background())
}

// named returns all jobs that have or had a name, the present one last.
func (c *Controller) named(name string) []*jobRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	var jobs []*jobRun
	for j := range c.lingering {
		if j.id.Job == name {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b *jobRun) int { return cmp.Compare(a.created, b.created) })
	if j := c.jobs[name]; j != nil {
		jobs = append(jobs, j)
	}
	return jobs
}

// Events returns the newest events of a job, oldest first: the last 200 about
// attempts, and the last 100 about the job. The error is [ErrNotFound] or a
// [*StoreError]: then the list is right, but not known to be durable.
func (c *Controller) Events(name string) ([]Event, error) {
	j, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return j.events(), c.durable(context.Background())
}

// A LogLine is one line an attempt has written.
type LogLine struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"
	Text   string // without the line's end
	// Dropped is how many lines just before this one are no longer kept.
	Dropped int
}

// LogOptions choose lines of a log.
type LogOptions struct {
	// Follow goes on with new lines until the attempt has ended.
	Follow bool
	// Tail begins with the last so many lines. Nil means all that are kept;
	// zero or less, none of them.
	Tail *int
}

// Logs walks over the lines an attempt has written, oldest first; attempt is
// its name or its UID. The error is [ErrNotFound], also for an attempt that is
// no longer kept, or that of ctx.
func (c *Controller) Logs(ctx context.Context, job, attempt string, o LogOptions) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		log, err := c.attemptLog(job, attempt)
		if err != nil {
			yield(LogLine{}, err)
			return
		}
		tail := -1
		if o.Tail != nil {
			tail = max(0, *o.Tail)
		}
		if o.Follow {
			for line, err := range log.Follow(ctx, tail) {
				if !yield(logLine(line), err) {
					return
				}
			}
			return
		}
		for _, line := range log.Lines(tail) {
			if !yield(logLine(line), context.Cause(ctx)) || ctx.Err() != nil {
				return
			}
		}
	}
}

func logLine(l logtail.Line) LogLine {
	return LogLine{Time: l.Time, Stream: l.Stream.String(), Text: l.Text, Dropped: l.Dropped}
}

func (c *Controller) attemptLog(job, attempt string) (*logtail.Log, error) {
	for _, j := range c.named(job) {
		if log := j.attemptLog(attempt); log != nil {
			return log, nil
		}
	}
	return nil, fmt.Errorf("%w: attempt %q of job %q", ErrNotFound, attempt, job)
}

// DeleteAttempt stops one attempt, given by its name or UID, as deleting its
// pod would: its context is cancelled with [ErrDeleted]; whether it counts as
// failed, and when it is replaced, is for the job's policies to say (R241,
// R242). The error is [ErrNotFound], [ErrFinished], [ErrShutdown], a
// [*StoreError] or that of ctx.
func (c *Controller) DeleteAttempt(ctx context.Context, job, attempt string) error {
	return c.tellAttempt(ctx, job, attempt, engine.Event{Kind: engine.AttemptDeleted})
}

// Disrupt ends one attempt, given by its name or UID, for a reason outside of
// it: one of those of the condition [DisruptionTarget].
// ReasonTerminationByKubelet makes it Failed with exit code 137 at once, and
// ReasonDeletionByPodGC without an exit code, as if its node were lost:
// whatever its executor does later is ignored, and it may still run when the
// attempt is replaced. Any other reason is an eviction, which stops it
// gracefully (R177, R178). The errors are those of [Controller.DeleteAttempt].
func (c *Controller) Disrupt(ctx context.Context, job, attempt string, reason Reason) error {
	if !slices.Contains(disruptions, reason) {
		return fmt.Errorf("batch: disruption reason %q: must be one of %q", reason, disruptions)
	}
	return c.tellAttempt(ctx, job, attempt, engine.Event{Kind: engine.Disrupted, Reason: string(reason)})
}

var disruptions = []Reason{ReasonPreemptionByScheduler, ReasonDeletionByTaintManager, ReasonEvictionByEvictionAPI,
	ReasonDeletionByPodGC, ReasonTerminationByKubelet}

func (c *Controller) tellAttempt(ctx context.Context, job, attempt string, ev engine.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.isStopping() {
		return ErrShutdown
	}
	if err := c.failing(); err != nil {
		return err
	}
	for _, j := range slices.Backward(c.named(job)) {
		if found, err := j.tellAttempt(attempt, ev); found {
			return cmp.Or(err, c.durable(ctx))
		}
	}
	return fmt.Errorf("%w: attempt %q of job %q", ErrNotFound, attempt, job)
}

// Shutdown starts no further attempt and waits for those that run. When ctx
// ends it cancels them with [ErrShutdown] and waits for their grace periods.
// It returns nil if all have returned, and otherwise an [*AbandonedError] that
// names those that have not. Interrupted attempts do not count. Jobs can still
// be read afterwards; what would create or change one answers ErrShutdown. It
// may be called more than once. With a [Store], the error may be a [*StoreError]
// as well: then the last changes are not durable.
func (c *Controller) Shutdown(ctx context.Context) error {
	defer c.becomeOver.Do(func() { close(c.over) })
	err := c.windDown(ctx)
	if c.journal == nil {
		return err
	}
	if unsaved := c.closeJournal(); unsaved != nil {
		return errors.Join(err, unsaved)
	}
	return err
}

// lastCommitTime is how long a store may take to make the last changes durable.
const lastCommitTime = 30 * time.Second

// windDown lets what runs come to its end, or ends it.
func (c *Controller) windDown(ctx context.Context) error {
	c.stop()
	select {
	case <-c.idle:
		c.interrupt() // what waits for its start or restart ends, too, unless it is stored
		return c.attempts.Wait()
	case <-ctx.Done():
	}
	grace := time.NewTimer(c.interrupt())
	defer grace.Stop()
	select {
	case <-c.idle:
		return c.attempts.Wait()
	case <-grace.C:
	}
	return c.abandoned()
}

// stop lets nothing new begin.
func (c *Controller) stop() {
	c.mu.Lock()
	first := !c.isStopping()
	if first {
		c.running.Add(1) // so that it is not idle before every job has been told
		close(c.stopping)
	}
	c.mu.Unlock()
	if !first {
		return
	}
	for _, j := range c.everyJob() {
		j.lock()
		j.do(engine.Event{Kind: engine.Halted})
	}
	c.leave()
}

// interrupt cancels what runs, and returns how long that may take.
func (c *Controller) interrupt() time.Duration {
	last := c.now().Add(10 * time.Millisecond) // what stops at once needs a moment, too
	for _, j := range c.everyJob() {
		j.lock()
		w := j.step(engine.Event{Kind: engine.Interrupted, Keep: c.journal != nil})
		for _, a := range j.executing() {
			last = max(last, a.GraceEnd(*j.spec.TerminationGracePeriod))
		}
		j.mu.Unlock()
		j.carryOut(w)
	}
	return time.Duration(last - c.now())
}

func (c *Controller) everyJob() []*jobRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Keys(c.lingering)), maps.Values(c.jobs))
}

// abandoned names the attempts whose executors have not returned.
func (c *Controller) abandoned() error {
	var names []string
	for _, j := range c.everyJob() {
		j.lock()
		for _, a := range j.executing() {
			names = append(names, j.id.Name(a.Seq, a.Index))
		}
		j.mu.Unlock()
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return &AbandonedError{Attempts: names}
}

// An AbandonedError names attempts whose executors have not returned.
type AbandonedError struct {
	Attempts []string // their names, sorted
}

// Error lists the first attempts.
func (e *AbandonedError) Error() string {
	const most = 5
	text := strings.Join(e.Attempts[:min(most, len(e.Attempts))], ", ")
	if more := len(e.Attempts) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "batch: executors that have not returned: " + text
}

// A jobRun is a job under a controller: the engine that decides what it does,
// and the lock under which it decides.
type jobRun struct {
	c        *Controller
	id       engine.Identity
	uid      string // of id
	created  engine.Time
	executor Executor
	rules    []FailureRule // those of the failure policy, if one matches errors
	entry    feed.Entry[*jobRun]
	place    journal.Place
	alarm    alarm.Entry[*jobRun]
	retries  delay.Sequences // of a job with a Backoff
	done     chan struct{}   // closed, by end, when the job has finished or is gone
	end      sync.Once
	cleared  atomic.Bool // when it has, nothing is left to be done
	endTold  atomic.Bool // when it has, that is stored

	mu          sync.Mutex // see lock and look; guards the fields below; not held while user code runs
	spec        Job        // with its defaults
	declared    *Job       // what Create or Apply was given last, with its defaults; nil if spec is
	generation  int64
	updates     int64 // of the spec, also those that change nothing
	engine      *engine.Job
	due         engine.Time       // what alarm is set to
	line        []start           // attempts that wait for the job's turn
	inLine      bool              // the job is in Controller.turns
	zombies     map[*run]struct{} // lost attempts whose executors still run
	checkpoints checkpoint.Book
	failed      *JobError // once the job is known to have failed
	lastText    failureText
	holds       hold
	unasked     []question // of a job whose back-off has not been declared
	stored      *stored    // of a job in a store; otherwise nil
}

// A hold is a reason for a job to start nothing.
type hold uint8

const (
	creatingHold   hold = 1 << iota // it is not stored yet
	undeclaredHold                  // its executor has not been declared
	storeHold                       // the store fails
)

// A failureText is the latest error with its text, and whose it was.
type failureText struct {
	seq  int64
	err  error
	text string
}

// A start is an attempt that is to run.
type start struct {
	attempt *engine.Attempt
	seq     int64
}

func newJobRun(c *Controller, job Job) *jobRun {
	id := engine.Identity{Job: job.Name}
	rand.Read(id.UID[:]) // never fails
	j := emptyJobRun(c, id, job)
	j.engine = engine.New(j.id, c.engineSpec(&job))
	return j
}

// emptyJobRun is a jobRun without its engine.
func emptyJobRun(c *Controller, id engine.Identity, job Job) *jobRun {
	j := &jobRun{c: c, id: id, uid: id.String(), spec: job, generation: 1, due: engine.Never,
		created: c.now(), done: make(chan struct{})}
	j.entry.Item, j.alarm.Item, j.place.Source = j, j, j
	j.employ(job.Executor, job.FailurePolicy)
	if c.journal != nil {
		j.stored = &stored{specChanged: true}
		j.checkpoints.IsStored = true
	}
	return j
}

// employ puts the code of a job in place.
func (j *jobRun) employ(executor Executor, policy *FailurePolicy) {
	j.executor = executor
	if policy != nil && slices.ContainsFunc(policy.Rules, func(r FailureRule) bool { return r.OnError != nil }) {
		j.rules = policy.Rules
	}
}

// engineSpec is a job's spec as the engine wants it. It calls user code, a
// [PendingExecutor].
func (c *Controller) engineSpec(job *Job) engine.Spec {
	spec := job.engineSpec()
	spec.Namespace = c.namespace
	spec.QueuesStarts = c.turns != nil
	return spec
}

// lock locks j.mu, for whoever is to give the engine an event or to look at
// attempts.
func (j *jobRun) lock() {
	j.mu.Lock()
	j.catchUp()
}

// catchUp lets the engine take in what has ended in lanes. It needs j.mu.
func (j *jobRun) catchUp() {
	if j.engine.Collect() {
		j.c.feed.Changed(&j.entry)
	}
}

// look is lock for whoever looks at what the engine says about the job as a whole,
// and returns the revision of that. If only one revision is wanted, another one
// does not count as seen.
func (j *jobRun) look(wanted uint64) (revision uint64) {
	j.mu.Lock()
	j.engine.Look(func(changed bool) {
		if changed {
			j.c.feed.Changed(&j.entry)
		}
		if revision = j.entry.Revision(); wanted == anyRevision || revision == wanted {
			revision = j.c.feed.Observe(&j.entry)
		}
	})
	return revision
}

const anyRevision = 0

// do gives the engine an event and does what the engine then wants. It is
// called with j.mu held, and releases it.
func (j *jobRun) do(ev engine.Event) {
	w := j.step(ev)
	j.mu.Unlock()
	j.perform(w)
}

// perform does what the engine wants, on other goroutines as far as that is user
// code.
func (j *jobRun) perform(w wishes) {
	if w.rare != nil && len(w.rare.delays) > 0 {
		questions := w.rare.delays
		j.c.spawn(func() { j.c.work(j.answer(questions)) })
	}
	if r := j.carryOut(w); r != nil {
		j.c.spawnRun(r)
	}
}

// tick tells the engine that something is due.
func (j *jobRun) tick() {
	j.lock()
	j.due = engine.Never
	j.do(engine.Event{Kind: engine.Tick})
}

// wishes are what the engine wants to be done once j.mu is released.
type wishes struct {
	first *run // to be executed
	rare  *rareWishes
}

// rareWishes are those that most steps do not have.
type rareWishes struct {
	cancels  []cancellation
	others   []*run     // to be executed, too
	delays   []question // to be answered
	dirs     []string   // to be removed
	abandons []abandoned
	finished bool
	gone     bool
}

// A cancellation ends a context.
type cancellation struct {
	ctx *liveContext
	why engine.Cause
}

// An abandoned attempt, as it was when it was abandoned.
type abandoned struct {
	run   *run
	seq   int64
	index int
}

// rarely returns the rare wishes, to be added to.
func (w *wishes) rarely() *rareWishes {
	if w.rare == nil {
		w.rare = new(rareWishes)
	}
	return w.rare
}

// step gives the engine an event, with the time. It needs j.mu.
func (j *jobRun) step(ev engine.Event) wishes {
	ev.At = j.c.now()
	return j.apply(j.engine.Step(ev))
}

// apply does of the engine's actions what is done under the lock, and returns
// the rest. It needs j.mu.
func (j *jobRun) apply(acts []engine.Action) (w wishes) {
	for i := range acts {
		if act := &acts[i]; act.Kind == engine.Start {
			j.start(act.Attempt, &w)
		} else {
			j.applyRare(act, &w)
		}
	}
	j.changed()
	if due := j.engine.Due(); due != j.due {
		j.due = due
		j.c.alarm.Set(&j.alarm, int64(due))
	}
	return w
}

func (j *jobRun) applyRare(act *engine.Action, w *wishes) {
	switch act.Kind {
	case engine.Stop:
		j.stop(act.Attempt, act.Cause, w)
	case engine.Close:
		if dir := runOf(act.Attempt).close(); dir != "" {
			w.rarely().dirs = append(w.rarely().dirs, dir)
		}
	case engine.Abandon:
		a := act.Attempt
		w.rarely().abandons = append(w.rarely().abandons, abandoned{runOf(a), a.Seq, a.Index})
	case engine.NeedDelay, engine.NeedRestartDelay:
		j.ask(act, w)
	case engine.Finished:
		w.rarely().finished = true
		j.failed = j.jobError()
		j.checkpoints.DropAll()
	case engine.Gone:
		w.rarely().gone = true
		if j.c.journal == nil {
			j.leave()
		}
	}
}

// changed lets watchers see that the job has changed, as soon as that is
// durable. It needs j.mu.
func (j *jobRun) changed() {
	switch {
	case j.c.journal != nil:
		if j.holds&creatingHold == 0 {
			j.c.journal.Changed(&j.place)
		}
	case !j.engine.IsGone():
		j.c.feed.Changed(&j.entry)
	case len(j.engine.Live()) == 0:
		j.c.forget(j)
	}
}

// hold begins or ends a reason for the job to start nothing. It needs j.mu, and
// returns what is then to be done.
func (j *jobRun) hold(reason hold, on bool) (w wishes) {
	before := j.holds
	j.holds &^= reason
	if on {
		j.holds |= reason
	}
	switch {
	case before == 0 && on:
		j.line = nil // they will be asked for again
		return j.step(engine.Event{Kind: engine.Paused, Pause: true})
	case before != 0 && j.holds == 0:
		return j.step(engine.Event{Kind: engine.Paused})
	}
	return w
}

// leave takes a job that is gone out of the controller.
func (j *jobRun) leave() {
	j.c.feed.Remove(&j.entry)
	j.c.mu.Lock()
	defer j.c.mu.Unlock()
	delete(j.c.jobs, j.id.Job)
	j.c.lingering[j] = struct{}{}
}

// forget lets go of a job that is gone and has no attempts left.
func (c *Controller) forget(j *jobRun) {
	if len(j.zombies) > 0 {
		return
	}
	j.engine.DropHistory() // watchers may keep j for long
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lingering, j)
}

// carryOut does what is done without the lock, but for finding delays. It
// returns an execution for the calling goroutine; others get goroutines of
// their own.
func (j *jobRun) carryOut(w wishes) *run {
	if w.rare != nil {
		j.carryOutRare(w.rare)
	}
	if j.c.turns != nil {
		return j.c.takeTurns()
	}
	return w.first
}

func (j *jobRun) carryOutRare(w *rareWishes) {
	for _, c := range w.cancels {
		c.ctx.cancel(stopCauses[c.why])
	}
	for _, r := range w.others {
		j.c.spawnRun(r)
	}
	for _, dir := range w.dirs {
		if err := os.RemoveAll(dir); err != nil {
			j.log(slog.LevelError, "scratch directory left behind", slog.Any("error", err))
		}
	}
	if w.finished || w.gone { // those who wait find everything cleared away
		j.cleared.Store(true)
		if j.c.journal == nil {
			j.announce(w.finished, w.gone)
		} else {
			j.endIfTold()
		}
	}
	if len(w.abandons) > 0 {
		j.logAbandoned(w.abandons)
	}
}

// announce tells of the job's end, or removal.
func (j *jobRun) announce(finished, gone bool) {
	if !finished && !gone {
		return
	}
	j.endTold.Store(true)
	j.endIfTold()
	if finished {
		j.logFinished()
	}
	if gone {
		j.log(slog.LevelInfo, "job removed")
	}
}

// endIfTold lets go those who wait for the end, if everything is as they will be
// told.
func (j *jobRun) endIfTold() {
	if j.cleared.Load() && j.endTold.Load() {
		j.end.Do(func() { close(j.done) })
	}
}

// spawn runs f, which runs executors, on a goroutine of its own.
func (c *Controller) spawn(f func()) {
	c.running.Add(1)
	c.attempts.Go(func() error {
		defer c.leave() // also if f calls runtime.Goexit
		f()
		return nil
	})
}

// spawnRun runs an attempt, and those after it, on a goroutine of its own.
func (c *Controller) spawnRun(r *run) { c.spawn(func() { c.work(r) }) }

// leave says that a goroutine of spawn ends.
func (c *Controller) leave() {
	if c.running.Add(-1) == 0 && c.isStopping() {
		c.becomeIdle.Do(func() {
			c.alarm.Stop()
			close(c.idle)
		})
	}
}

// takeTurns gives free slots to jobs in turn. It returns one execution for the
// calling goroutine; the others get goroutines of their own.
func (c *Controller) takeTurns() (mine *run) {
	for j, ok := c.turns.Take(); ok; j, ok = c.turns.Take() {
		r := j.takeTurn()
		switch {
		case r == nil:
			c.turns.Release()
		case mine == nil:
			mine = r
		default:
			c.spawnRun(r)
		}
	}
	return mine
}

// takeTurn starts the first attempt that still waits for it, and puts the job
// back in line if there are more.
func (j *jobRun) takeTurn() *run {
	j.lock()
	defer j.mu.Unlock()
	for len(j.line) > 0 && !j.c.isStopping() {
		a, seq := j.line[0].attempt, j.line[0].seq
		j.line[0] = start{}
		j.line = j.line[1:]
		if a.Seq != seq || a.Pinned || !a.AwaitsStart() {
			continue // it was stopped meanwhile
		}
		j.inLine = len(j.line) > 0
		if j.inLine {
			j.c.turns.Join(j)
		}
		return j.begin(a)
	}
	j.inLine = false
	return nil
}

// begin starts an attempt that has got its slot. It needs j.mu.
func (j *jobRun) begin(a *engine.Attempt) *run {
	r := runOf(a)
	j.engine.Pin(a)
	j.changed()
	restart := a.HasExit // it ends the Pending phase in any case
	if restart || a.Phase == engine.Running || !j.engine.Spec.HoldsPending {
		if w := j.step(engine.Event{Kind: engine.Started, Attempt: a}); w.rare != nil {
			j.c.spawn(func() { j.carryOutRare(w.rare); j.c.work(j.answer(w.rare.delays)) })
		}
	}
	return r
}

// wait waits until the job has finished or is gone.
func (j *jobRun) wait(ctx context.Context) (Status, error) {
	select {
	case <-j.done: // first, so that a finished job answers at any time
		return j.outcome()
	default:
	}
	select {
	case <-j.done:
		return j.outcome()
	case <-ctx.Done():
		return j.status(), context.Cause(ctx)
	case <-j.c.over:
		return j.status(), ErrShutdown
	}
}

// outcome is the answer of wait for a job that has finished or is gone.
func (j *jobRun) outcome() (Status, error) {
	status := j.status()
	j.lock()
	defer j.mu.Unlock()
	switch {
	case j.failed != nil:
		return status, j.failed.clone()
	case !status.Finished():
		return status, ErrJobDeleted
	}
	return status, nil
}

// tellAttempt gives the engine an event of an attempt that has not ended. It
// reports whether the job has such an attempt at all.
func (j *jobRun) tellAttempt(attempt string, ev engine.Event) (found bool, err error) {
	j.lock()
	a := j.findAttempt(attempt)
	switch {
	case a == nil:
		j.mu.Unlock()
		return false, nil
	case a.Phase >= engine.Succeeded:
		j.mu.Unlock()
		return true, fmt.Errorf("%w: %q", ErrFinished, attempt)
	}
	ev.Attempt = a
	j.do(ev)
	return true, nil
}

// findAttempt finds an attempt by its name or UID. It needs j.mu.
func (j *jobRun) findAttempt(attempt string) *engine.Attempt {
	for a := range j.engine.All() {
		if j.id.Name(a.Seq, a.Index) == attempt || j.id.AttemptUID(a.Seq) == attempt {
			return a
		}
	}
	return nil
}

func (j *jobRun) attemptLog(attempt string) *logtail.Log {
	j.lock()
	defer j.mu.Unlock()
	a := j.findAttempt(attempt)
	if a == nil {
		return nil
	}
	r, ok := a.Owner.(*run)
	if !ok || a.Phase >= engine.Succeeded && r.kept == nil {
		log := new(logtail.Log) // it has printed nothing, and never will
		log.Close()
		return log
	}
	return &r.keep().log
}

// executing returns the attempts whose executors run. It needs j.mu.
func (j *jobRun) executing() []*engine.Attempt {
	var list []*engine.Attempt
	for _, a := range j.engine.Live() {
		if a.Pinned {
			list = append(list, a)
		}
	}
	for r := range j.zombies {
		list = append(list, r.attempt)
	}
	return list
}

func (j *jobRun) log(level slog.Level, message string, attrs ...slog.Attr) {
	j.c.logger.LogAttrs(context.Background(), level, message, append(attrs, slog.String("job", j.id.Job))...)
}

func (j *jobRun) logFinished() {
	status := j.status()
	last, ok := status.Condition(ConditionFailed)
	if !ok {
		last, _ = status.Condition(ConditionComplete)
	}
	j.log(slog.LevelInfo, "job finished", slog.String("condition", string(last.Type)), slog.String("reason", string(last.Reason)),
		slog.Int("succeeded", status.Succeeded), slog.Int("failed", status.Failed))
}

// logFailure tells of an execution that failed by itself, and was not stopped.
func (j *jobRun) logFailure(a Attempt, stopped bool, text string) {
	if !stopped && j.c.logger.Enabled(context.Background(), slog.LevelWarn) {
		j.log(slog.LevelWarn, "attempt failed", slog.String("attempt", a.Name()), slog.Int("index", a.Index),
			slog.Int("restarts", a.Restarts), slog.String("error", text))
	}
}

// logAbandoned tells of executors that have not returned within their grace
// period. Taking stacks stops the world, so many at once share one look.
func (j *jobRun) logAbandoned(list []abandoned) {
	const most = 10
	stacks := allStacks()
	for _, a := range list[:min(most, len(list))] {
		j.log(slog.LevelError, "attempt abandoned: its executor has not returned within the grace period",
			slog.String("attempt", j.id.Name(a.seq, a.index)), slog.Int("index", a.index),
			slog.String("stack", a.run.stackIn(stacks)))
	}
	if more := len(list) - most; more > 0 {
		j.log(slog.LevelError, "more attempts abandoned", slog.Int("attempts", more))
	}
}
