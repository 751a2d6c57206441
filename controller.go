package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/fields"
	"github.com/runtocompletion/batch/internal/journal"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/names"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/turns"
)

// The errors of a controller's methods.
var (
	// ErrExists: a job of that name exists.
	ErrExists = runner.ErrExists
	// ErrNotFound: there is no job, or attempt, of that name.
	ErrNotFound = runner.ErrNotFound
	// ErrShutdown: the controller is shut down, or shutting down. It is also
	// the cause with which attempts are cancelled then.
	ErrShutdown = runner.ErrShutdown
	// ErrDeleted: the job that was waited for was deleted before it finished. It is also
	// the cause with which attempts are cancelled that a user has deleted, or whose job.
	ErrDeleted = runner.ErrDeleted
	// ErrStoreInUse: another controller has the store, and the text says which; or it
	// may have it, as the claim is lost. It is also the cause with which attempts are
	// cancelled then. See [Claimer] and Options.Standby.
	ErrStoreInUse = runner.ErrStoreInUse
	// ErrStore: the [Store] failed, with an error that is in the chain as well. What was
	// called for may have been done, but it is not known to be durable.
	ErrStore = runner.ErrStore
	// ErrStoreFormat: the [Store] was written in another format than this version of
	// the package has, or is none at all. The text names both formats.
	ErrStoreFormat = runner.ErrStoreFormat
	// ErrTooOld: deletions since the given revision are no longer known.
	ErrTooOld = runner.ErrTooOld
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
	// Limits are what jobs share, by name: see [Job.Limits]. Their names are DNS-1123
	// subdomains. [Controller.SetLimit] changes them. Nil means none.
	Limits map[string]Limit
	// Namespace is what messages call the namespace; empty means
	// "default".
	Namespace string
	// FinishedJobs is how many finished jobs are kept; beyond it the one that finished
	// first is removed, as by its TTL. Zero means 10,000. A negative value keeps all,
	// and a controller that runs for months then grows for ever.
	FinishedJobs int
	// Wrap returns what runs the attempts of a job in the place of its executor, such as
	// one around it that begins a span, measures, or turns panics into errors. It is
	// called whenever a job is declared or updated, and its result is used by several
	// goroutines at once; it passes on the attempt, and its context or one made of that.
	// Nil, or a nil result, means the executor itself.
	Wrap func(Executor) Executor
	// BaseContext has values that the contexts of all attempts are to have. Its end means
	// nothing to them. Nil means that there are none.
	BaseContext context.Context
	// Store keeps the jobs, so that they survive the process: see [Store]. Nil
	// keeps them in memory only, at no cost. A store serves one controller at a
	// time; whoever opened it closes it, after Shutdown.
	Store Store
	// Standby has [New] not fail with [ErrStoreInUse]: the controller works once the
	// store is free. Until then, and again if its claim is lost, it shows what the store
	// has, without logs; changes are refused with ErrStoreInUse, which names the process
	// that works. But [Controller.Apply] keeps a declaration for when this controller
	// works. See [Controller.Claimed]. False means that a claim that is lost ends the
	// controller.
	Standby bool
}

// A Limit is how much of something attempts may use at once, or in a time: connections of
// a database, calls of a service. A job says in [Job.Limits] which ones its attempts need,
// and [Controller.Acquire] lets other code take part. The zero value limits nothing.
//
// An attempt gets all that it needs in one decision, and holds nothing while it waits. It
// is Pending then, and Status.WaitsFor names the limit. Jobs take turns by
// [Job.Priority]. Attempts that a limit would not let begin any more run on.
type Limit struct {
	// Active is the most that have it at once. Nil means any number. Zero lets nobody
	// begin, a pause. A negative value is an error.
	Active *int
	// Every is the time between two that begin: 200*time.Millisecond lets five begin a
	// second. Restarts in place begin, too. Zero means any number. A negative value is
	// an error.
	Every time.Duration
	// Burst is how many may begin at once when none has for a while. Zero means 1. It
	// needs Every. A negative value is an error.
	Burst int
	// PerKey is set if all of this holds for each key on its own: for each value of
	// [Job.LimitKey]. It cannot be changed.
	PerKey bool
}

func (l *Limit) check(path, name string) error {
	var errs []error
	wrong := func(field string, value any, detail string) {
		errs = append(errs, fmt.Errorf("batch: %s[%q]%s: %v: %s", path, name, field, value, detail))
	}
	if texts := names.Subdomain(name); texts != nil {
		errs = append(errs, fmt.Errorf("batch: %s[%q]: %s", path, name, strings.Join(texts, "; ")))
	}
	if l.Active != nil && *l.Active < 0 {
		wrong(".Active", *l.Active, "must not be negative")
	}
	if l.Every < 0 {
		wrong(".Every", l.Every, "must not be negative")
	}
	if l.Burst < 0 {
		wrong(".Burst", l.Burst, "must not be negative")
	} else if l.Burst > 0 && l.Every == 0 {
		wrong(".Burst", l.Burst, "needs Every")
	}
	return errors.Join(errs...)
}

func (l *Limit) turns() turns.Limit {
	return turns.Limit{Active: valueOr(l.Active, turns.Unlimited), Every: l.Every, Burst: l.Burst, PerKey: l.PerKey}
}

// A Store keeps the jobs of a [Controller], so that they survive the process. What
// is reported, by [Controller.Wait], [Controller.Get], [Controller.Watch] or an
// event, is stored before. Jobs do not wait for that: many changes share a commit.
//
// The next controller goes on where the last one was; functions must be declared
// again, with [Controller.Apply]. The package documentation says what becomes of
// attempts that ran, and of jobs while the store fails.
//
// A Store is a map of two levels: the records of each job, under keys. Package
// batchtest has one in memory for tests, and a test suite for implementations;
// contrib/boltstore keeps jobs in one file.
type Store interface {
	// Load returns all records, each once, those of one job together. The values
	// belong to the caller. After an error, what came before it is not used.
	Load(ctx context.Context) iter.Seq2[Record, error]
	// Commit applies the records in order, all of them or none, and returns when
	// they are durable. After an error it is unknown whether they are: they are
	// committed again, with what has changed since. There is one call at a time.
	// Records and values must not be retained or modified. A commit without
	// records shows whether the store works. If ctx has ended, nothing is written,
	// and errors.Is finds its error. Commit should return soon after ctx is done.
	Commit(ctx context.Context, records []Record) error
}

// A Claimer is a [Store] that one controller at a time can claim: [New] claims it
// before anything else, and [Controller.Shutdown] releases it after the last commit.
//
// A store that is no Claimer is claimed by a record in it, under the key "claim". A
// second controller is refused if the process of the first one is alive on this machine.
// Otherwise it begins to work, and the first one finds that out, at the latest with its
// first commit that comes five seconds or more after the one before.
type Claimer interface {
	Store
	// Claim makes the store that of one controller until release is called, once. If
	// another one has it, and wait is nil, the error is [ErrStoreInUse] at once, with
	// who it is in the text. Otherwise Claim waits until the store is free, or ctx ends.
	// Meanwhile it calls wait with the name of who has the store: at first, when somebody
	// else has it, and some time after the records have changed. Load shows them then, or
	// its error is ErrStoreInUse.
	//
	// The contexts of the controller's commits are made of held, so its values say whose
	// commit it is. It ends, with a cause, when another controller may have the store. From
	// then on commits with it are refused, with ErrStoreInUse, whatever else they are.
	Claim(ctx context.Context, wait func(holder string)) (held context.Context, release func(), err error)
}

// A Record is a value in a [Store].
type Record struct {
	Job   string // the job's UID; empty for what belongs to the whole store
	Key   string // at most 100 bytes; empty, with a nil Value: the job with all its records; never empty otherwise
	Value []byte // nil removes the record; an empty value is one
}

// A Controller runs jobs. Its methods may be called by several goroutines at
// once, also by executors. What they return are copies.
type Controller struct {
	runners  runner.Succession
	declared *declarations           // nil unless it may have to wait for its store
	wrap     func(Executor) Executor // see Options.Wrap; may be nil
	limits   *runner.Limits
}

// current is the runner that answers now.
func (c *Controller) current() *runner.Runner { return c.runners.Current() }

// New returns a controller. It has no goroutine until a job runs, but call
// [Controller.Shutdown] when done with it. The error names a bad option, or is
// that of Options.Store, such as [ErrStoreFormat], or of ctx, which limits how long
// reading the store may take.
func New(ctx context.Context, o Options) (*Controller, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	values := o.BaseContext
	if values == nil {
		values = context.Background()
	}
	values = context.WithoutCancel(values)
	c := &Controller{wrap: o.Wrap, limits: o.runnerLimits()}
	if o.Store == nil {
		c.runners.Begin(runner.New(c.runnerOptions(values, o, false)))
		return c, nil
	}
	var declare func(context.Context, *runner.Runner, func())
	if o.Standby {
		c.declared = newDeclarations()
		declare = c.declareAll
	}
	err := c.runners.Open(ctx, c.runnerOptions(values, o, false), storeOf(o.Store), declare)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (o Options) validate() error {
	var errs []error
	if o.MaxActive < 0 {
		errs = append(errs, fmt.Errorf("batch: Options.MaxActive: %d: must not be negative", o.MaxActive))
	}
	if o.Standby && o.Store == nil {
		errs = append(errs, errors.New("batch: Options.Standby: true: needs Options.Store"))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Limits)) {
		limit := o.Limits[name]
		errs = append(errs, limit.check("Options.Limits", name))
	}
	return errors.Join(errs...)
}

func (o Options) runnerLimits() *runner.Limits {
	limits := new(runner.Limits)
	for name, limit := range o.Limits {
		limits.Set(name, limit.turns())
	}
	return limits
}

// SetLimit adds a limit, or changes the one of that name at once; see [Options.Limits].
// Nobody who has more than the new one allows is stopped. A limit is not stored. The error
// names a bad value.
func (c *Controller) SetLimit(name string, limit Limit) error {
	if err := limit.check("limit ", name); err != nil {
		return err
	}
	err := c.current().SetLimit(name, limit.turns())
	if errors.Is(err, turns.ErrPerKey) {
		return fmt.Errorf("batch: limit [%q].PerKey: %v: cannot be changed", name, limit.PerKey)
	}
	if err == nil {
		c.limits.Set(name, limit.turns())
	}
	return err
}

// Acquire waits until code that is no attempt may have the named limits, all at once, as
// attempts of priority 0 do. Key is for those that are PerKey. Release gives them back,
// and may be called again, to no effect; who never calls it keeps them. [Options.MaxActive]
// is not about other code. An executor that calls it holds what its attempt has meanwhile:
// [Job.Limits] cannot wait for itself in that way.
//
// The errors are [ErrNotFound] for an unknown limit, [ErrShutdown], and the cause of ctx.
func (c *Controller) Acquire(ctx context.Context, key string, limits ...string) (release func(), err error) {
	return c.current().Acquire(ctx, key, limits)
}

const defaultFinishedJobs = 10_000

func (c *Controller) runnerOptions(parent context.Context, o Options, brief bool) runner.Options {
	return runner.Options{
		FinishedJobs: cmp.Or(o.FinishedJobs, defaultFinishedJobs),
		Logger:       o.Logger, Namespace: cmp.Or(o.Namespace, "default"), MaxActive: o.MaxActive, Parent: parent,
		Limits: c.limits,
		Brief:  brief, Decode: c.decode, FunctionsOf: functionsOf,
		Panicked: func(value any, stack []byte) error {
			return &PanicError{Value: cmp.Or(value, any(ErrGoexit)), Stack: stack}
		},
	}
}

// storeOf is a store as the runner wants it.
func storeOf(s Store) runner.Store {
	store := runner.Store{Load: loadOf(s)}
	claimer, ok := s.(Claimer)
	if !ok {
		store.Claim = runner.ClaimByRecord(loadOf(s), commitOf(s))
		return store
	}
	store.Claim = func(ctx context.Context, wait func(holder string)) (runner.Claim, error) {
		held, release, err := claimer.Claim(ctx, wait)
		if err != nil {
			return runner.Claim{}, err
		}
		return runner.Claim{Load: loadOf(s), Commit: commitOf(s), Context: held, Release: release}, nil
	}
	return store
}

func loadOf(s Store) func(ctx context.Context) iter.Seq2[journal.Record, error] {
	return func(ctx context.Context) iter.Seq2[journal.Record, error] {
		return func(yield func(journal.Record, error) bool) {
			for r, err := range s.Load(ctx) {
				if !yield(journal.Record(r), err) {
					return
				}
			}
		}
	}
}

func commitOf(s Store) func(ctx context.Context, records []journal.Record) error {
	return func(ctx context.Context, records []journal.Record) error {
		converted := make([]Record, len(records))
		for i, r := range records {
			converted[i] = Record(r)
		}
		return s.Commit(ctx, converted)
	}
}

// Claimed waits until the controller works on its store, and returns nil: at once
// unless it is a standby; see Options.Standby. If ctx ends before, the error has its
// cause, and is [ErrStoreInUse] with the process that works in its text; so it is if
// the claim of a controller that is not to wait for another one is lost. With a ctx that
// has ended it says who works now. Other errors are those of [Controller.Shutdown].
func (c *Controller) Claimed(ctx context.Context) error { return c.runners.Claimed(ctx) }

// Declarations are what a controller was given by Apply, for when it works.
type declarations struct {
	mu      sync.Mutex // guards the fields below
	jobs    map[string]*declaration
	order   []string // of names
	changes int
}

// A declaration was found in the store, or not: one that was there, and is not any
// more, has been done.
type declaration struct {
	job      Job
	wasThere bool
}

func newDeclarations() *declarations { return &declarations{jobs: make(map[string]*declaration)} }

// keepLocked remembers a declaration.
func (d *declarations) keepLocked(job Job, isThere bool) {
	kept := d.jobs[job.Name]
	if kept == nil {
		kept = new(declaration)
		d.jobs[job.Name] = kept
		d.order = append(d.order, job.Name)
	}
	kept.job, kept.wasThere = job, kept.wasThere || isThere
	d.changes++
}

// list returns all declarations, and how many changes there had been.
func (d *declarations) list(r *runner.Runner) (list []Job, changes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.order {
		kept := d.jobs[name]
		if _, err := r.Find(name); err == nil || !kept.wasThere {
			list = append(list, kept.job)
		}
	}
	return list, d.changes
}

// keep remembers the declaration of a job, and reports whether that is all that can be
// done now.
func (c *Controller) keep(job Job) bool {
	d := c.declared
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := c.current()
	isThere := r.IsReader() && r.Expect(job.Name)
	d.keepLocked(job, isThere || !r.IsReader())
	return r.IsReader()
}

// declareAll gives a runner what has been declared, before it becomes the current one.
func (c *Controller) declareAll(ctx context.Context, r *runner.Runner, begin func()) {
	d := c.declared
	reader := c.current()
	for {
		d.note(reader)
		jobs, changes := d.list(r)
		for _, job := range jobs {
			if _, err := c.applyTo(ctx, r, job); err != nil {
				r.Log(slog.LevelError, "declaration refused", slog.String("job", job.Name), slog.Any("error", err))
			}
		}
		if d.isUnchanged(changes, begin) {
			return
		}
	}
}

// note remembers which jobs were in the store while another controller worked.
func (d *declarations) note(reader *runner.Runner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, kept := range d.jobs {
		kept.wasThere = kept.wasThere || reader.Expect(name)
	}
}

// isUnchanged calls begin if nothing was declared meanwhile.
func (d *declarations) isUnchanged(changes int, begin func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes != changes {
		return false
	}
	for _, kept := range d.jobs {
		kept.wasThere = true
	}
	begin()
	return true
}

// A source is what a definition was made of.
type source struct {
	spec Job // with its defaults
	// declared is what Create or Apply was given last, with its defaults; nil if that is
	// spec, as it is for most jobs.
	declared *Job
	around   *Executor // what runs in the place of the executor; nil if it is that itself
}

func (s *source) declaration() *Job {
	if s.declared == nil {
		return &s.spec
	}
	return s.declared
}

// around is what runs in the place of an executor; nil if it is the executor itself.
func (c *Controller) around(executor Executor) Executor {
	if c.wrap == nil || isUndeclared(executor) {
		return nil
	}
	return c.wrap(executor)
}

// define returns the definition of a job. It calls user code: a [PendingExecutor], and
// Options.Wrap.
func (c *Controller) define(spec Job, declared *Job) *runner.Definition {
	return c.definition(spec, declared, c.around(spec.Executor), holdsPending(spec.Executor))
}

// definition calls no user code. Around is what runs in the place of the executor, or nil.
func (c *Controller) definition(spec Job, declared *Job, around Executor, holdsPending bool) *runner.Definition {
	s := &source{spec: spec, declared: declared}
	if around != nil {
		s.around = &around
	}
	d := &runner.Definition{
		Spec: spec.engineSpec(holdsPending), ManagedBy: spec.otherManager(), Source: s,
		Judge:   c.judge(spec.FailurePolicy),
		Backoff: makerOf(spec.Backoff), RestartBackoff: makerOf(spec.RestartBackoff),
		LogLimit: *spec.LogLimit, CheckpointLimit: *spec.CheckpointLimit, ResultLimit: *spec.ResultLimit,
		Input: spec.inputBytes(), After: spec.After,
		Limits: slices.Sorted(slices.Values(spec.Limits)), LimitKey: spec.LimitKey, Priority: spec.Priority,
	}
	d.Encode = func(generation int64) []byte { return s.encode(generation, holdsPending) }
	if k, ok := spec.Executor.(interface{ keep(index int, value any) }); ok {
		d.Keep = k.keep
	}
	if executor := spec.Executor; !isUndeclared(executor) {
		if around != nil {
			executor = around
		}
		d.Execute = executeWith(executor)
	}
	return d
}

// executeWith calls an executor. A million of them may be blocked at once, so no frame is
// on their stacks that is not needed: a function is called without its adapter.
func executeWith(executor Executor) func(context.Context, runner.Attempt) error {
	if f, ok := executor.(ExecutorFunc); ok {
		return func(ctx context.Context, a runner.Attempt) error { return f(ctx, newAttempt(a.Begun())) }
	}
	return func(ctx context.Context, a runner.Attempt) error { return executor.Execute(ctx, newAttempt(a.Begun())) }
}

// judge returns what judges errors. Most jobs have no rules for them, and cost nothing.
func (c *Controller) judge(rules []FailureRule) func(err, stopped error) runner.Verdict {
	if slices.ContainsFunc(rules, func(r FailureRule) bool { return r.OnError != nil }) {
		return (&judge{rules, c.logPanic}).judge
	}
	return func(err, stopped error) runner.Verdict { return (&judge{log: c.logPanic}).judge(err, stopped) }
}

// logPanic logs that user code has panicked.
func (c *Controller) logPanic(message string, value any) {
	c.current().Log(slog.LevelError, message, slog.Any("panic", value))
}

func sourceOf(d *runner.Definition) *source { return d.Source.(*source) }

// Create takes a copy of job and starts it. The error is a [*ValidationError],
// [ErrExists], [ErrShutdown], [ErrStore] or that of ctx; then nothing was
// created, but for a job that its store has in spite of the error if the process
// ends before that works again. Ctx is looked at only at the start: the job does
// not end with it, and attempts do not see its values.
func (c *Controller) Create(ctx context.Context, job Job) error {
	_, err := c.create(ctx, c.current(), job)
	return err
}

func (c *Controller) create(ctx context.Context, r *runner.Runner, job Job) (*runner.Job, error) {
	job = job.withDefaults()
	if err := validationError(job.Name, append(job.validate(), c.checkLimits(&job)...)); err != nil {
		return nil, err
	}
	return c.createIn(ctx, r, job)
}

// createIn is create for a job that is valid.
func (c *Controller) createIn(ctx context.Context, r *runner.Runner, job Job) (*runner.Job, error) {
	j, err := r.Create(ctx, job.Name, c.define(job, nil))
	if cycle, ok := errors.AsType[*runner.CycleError](err); ok {
		const path = "spec.after"
		return nil, validationError(job.Name, []FieldError{invalid(path, cycle.Jobs[1], cycleText(cycle.Jobs))})
	}
	return j, err
}

// checkLimits finds limits that do not exist.
func (c *Controller) checkLimits(job *Job) []FieldError {
	var errs []FieldError
	for i, name := range job.Limits {
		if !c.limits.Has(name) {
			path := fmt.Sprintf("spec.limits[%d]", i)
			errs = append(errs, invalid(path, name, "is no limit of this controller"))
		}
	}
	return errs
}

// cycleText says how jobs wait for each other.
func cycleText(jobs []string) string {
	return "jobs would wait for each other: " + strings.Join(jobs, " after ")
}

// Apply creates a job, or updates the one of that name to its declaration, and
// returns its status. A service calls it for each of its jobs when it starts: a job
// found in the store gets its functions and goes on. A finished job is left alone: one
// found in the store gets its functions, for [Controller.Again].
//
// A field is updated, by the rules of [Controller.Update], if its declaration has
// changed since Create or Apply was last given it; a field that only Update has
// changed stays. Functions are always those of the declaration, and run the attempts
// that start from then on. The errors are those of [Controller.Create] and
// [Controller.Update].
//
// Another [Job.Input] for a job that has not finished is a [*ValidationError], and
// nothing changes, but that a job found in the store gets its functions and goes on
// with its own input.
func (c *Controller) Apply(ctx context.Context, job Job) (Status, error) {
	job = job.withDefaults()
	if err := validationError(job.Name, append(job.validate(), c.checkLimits(&job)...)); err != nil {
		return Status{}, err
	}
	if c.keep(job) {
		s, err := c.Get(job.Name)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrStoreInUse) {
			err = nil
		}
		return s, err
	}
	return c.applyTo(ctx, c.current(), job)
}

// applyTo is Apply for one runner, and a job with its defaults that is valid.
func (c *Controller) applyTo(ctx context.Context, r *runner.Runner, job Job) (Status, error) {
	for {
		j, err := r.Change(ctx, job.Name)
		if errors.Is(err, ErrNotFound) {
			if j, err = c.createIn(ctx, r, job); err == nil {
				return statusNow(j), nil
			}
			if errors.Is(err, ErrExists) { // somebody else was faster
				if err = r.Durable(ctx); err == nil {
					continue
				}
			}
		}
		if err != nil {
			return Status{}, err
		}
		done, err := c.declare(j, job)
		if err != nil {
			return statusNow(j), err
		}
		if err := j.Durable(ctx); done || err != nil {
			return statusNow(j), err
		}
	}
}

// declare gives a job its declaration, unless there was another update meanwhile:
// then it reports false. A job that has finished is left alone, but gets its functions
// if it has none.
func (c *Controller) declare(j *runner.Job, job Job) (done bool, err error) {
	before := j.Revision()
	old := sourceOf(before.Definition)
	if status := statusNow(j); status.Finished() {
		if before.Declared {
			return true, nil
		}
		return j.Redeclare(before, c.define(job.functionsFor(&old.spec), old.declared)), nil
	}
	if job.Input == nil {
		job.Input = old.spec.Input
	}
	otherInput := job.checkInputUpdate(&old.spec)
	if len(otherInput) == 0 || before.Declared {
		return c.revise(j, before, job.apply(&old.spec, old.declaration()), &job)
	}
	job.Input = old.spec.Input // the job has waited for its functions: it goes on with what it has
	done, err = c.revise(j, before, job.apply(&old.spec, old.declaration()), &job)
	if wrong, ok := err.(*ValidationError); ok {
		wrong.Fields = append(wrong.Fields, otherInput...)
	}
	if !done {
		return false, err
	}
	return true, cmp.Or(err, validationError(job.Name, otherInput))
}

// revise puts a spec in place.
func (c *Controller) revise(j *runner.Job, before runner.Revision, spec Job, declared *Job) (done bool, err error) {
	old := &sourceOf(before.Definition).spec
	if err := validationError(old.Name, spec.validateUpdate(old)); err != nil {
		return true, err
	}
	same := sameSpec(*old, spec)
	kept := *declared
	spec.Input, kept.Input = old.Input, old.Input // equal, and perhaps large: one is enough
	return j.Revise(before, c.define(spec, &kept), !same), nil
}

func statusNow(j *runner.Job) Status { return statusOf(j.View(), j.Now()) }

// Get returns the status of a job, or [ErrNotFound]. It takes the same short
// time for a job of any size.
func (c *Controller) Get(name string) (Status, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return Status{}, err
	}
	return statusNow(j), nil
}

// Job returns the spec of a job with its defaults resolved, or [ErrNotFound].
func (c *Controller) Job(name string) (Job, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return Job{}, err
	}
	def := j.Definition()
	spec := sourceOf(def).spec.clone()
	if def.Execute == nil {
		spec.undeclare()
	}
	return spec, nil
}

// All walks over the status of every job, in order of name. Jobs that come and
// go meanwhile may be missed; nothing waits for the walk.
func (c *Controller) All() iter.Seq[Status] {
	return func(yield func(Status) bool) {
		for _, j := range c.current().All() {
			if !yield(statusNow(j)) {
				return
			}
		}
	}
}

// Update changes a job: change is called with a copy of its spec, and what it
// makes of it is validated and takes effect at once. A field that may not
// change is reported in a [*ValidationError]; then nothing has
// changed. If the job was updated meanwhile, change is called again with a
// newer copy; no lock is held while it runs, and it must not keep its argument.
// A finished job accepts changes, but only that of TTLAfterFinished has an
// effect.
//
// The copy of a stored job that waits for its executor, with the condition
// [ConditionStalled], has none, nor other functions but constant back-offs. If
// change sets Executor, and with it the others that are needed, the job goes on,
// as after [Controller.Apply]: the way for jobs that were declared at run time.
//
// Other errors are [ErrNotFound], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Update(ctx context.Context, name string, change func(*Job)) error {
	for {
		j, err := c.current().Change(ctx, name)
		if err != nil {
			return err
		}
		done, err := c.update(j, change)
		if err != nil {
			return err
		}
		if err := j.Durable(ctx); done || err != nil {
			return err
		}
	}
}

// update lets change work on a copy of the spec, and puts that in place unless
// there was another update meanwhile, or the job was removed: then it reports
// false.
func (c *Controller) update(j *runner.Job, change func(*Job)) (done bool, err error) {
	before := j.Revision()
	old := sourceOf(before.Definition)
	changed := old.spec.clone()
	if !before.Declared {
		changed.undeclare()
	}
	change(&changed)
	spec := changed.withDefaults() // a copy: change may have kept the pointer
	if !before.Declared && spec.Executor == nil {
		spec.standIn(&old.spec)
	}
	return c.revise(j, before, spec, old.declaration())
}

// Suspend holds a job: its attempts are stopped, uncounted. Doing it
// again changes nothing. The errors are those of [Controller.Update].
func (c *Controller) Suspend(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = true })
}

// Resume lets a suspended job go on. Doing it again changes nothing. The
// errors are those of [Controller.Update].
func (c *Controller) Resume(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = false })
}

// What becomes of the attempts of a deleted job; see [Controller.Delete].
const (
	// DeleteBackground removes the job at once and stops its attempts, which may
	// take their grace period.
	DeleteBackground = "Background"
	// DeleteForeground stops the attempts and removes the job once they have ended.
	DeleteForeground = "Foreground"
	// DeleteOrphan removes the job and lets its attempts run to their end.
	DeleteOrphan = "Orphan"
)

// Delete removes a job. Its name is free again as soon as the job is gone.
// Attempts that are stopped see [ErrDeleted]. An unknown propagation is an error;
// others are [ErrNotFound], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Delete(ctx context.Context, name, propagation string) error {
	if !slices.Contains([]string{DeleteBackground, DeleteForeground, DeleteOrphan}, propagation) {
		return fmt.Errorf("batch: propagation %q: must be Background, Foreground or Orphan", propagation)
	}
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return err
	}
	return cmp.Or(j.Delete(propagation == DeleteOrphan, propagation == DeleteForeground), j.Durable(ctx))
}

// Cancel fails a job that has not been decided yet, with [ReasonCancelled] and the text
// of cause, or the given indexes of an Indexed job. The job stays, as any failed one.
// Attempts that run are stopped, with cause as the cause of their contexts; a suspended
// job ends, too. Indexes fail at once, whether they run, wait or were never tried; they
// count as failed indexes, and their attempts as nothing. A nil cause is
// [context.Canceled]. A [*JobError] has cause in its chain; after a restart, its text.
//
// A [*ValidationError] names each index that does not exist or is over; then nothing was
// cancelled. Other errors are [ErrJobFinished], [ErrDeleted], [ErrNotFound],
// [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Cancel(ctx context.Context, name string, cause error, indexes ...int) error {
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return err
	}
	if manager := j.Definition().ManagedBy; manager != "" {
		return validationError(name, []FieldError{{Field: "spec.managedBy", Kind: "Forbidden", Value: manager,
			Detail: "another controller has the job"}})
	}
	if cause == nil {
		cause = context.Canceled
	}
	faults, err := j.Cancel(cause, errorText(cause), slices.Clone(indexes))
	if err != nil {
		return err
	}
	var errs []FieldError
	for _, f := range faults {
		errs = append(errs, invalid(fmt.Sprintf("indexes[%d]", f.Place), f.Index, f.Why))
	}
	return cmp.Or(validationError(name, errs), j.Durable(ctx))
}

// AgainOptions say what [Controller.Again] runs. The zero value runs everything.
type AgainOptions struct {
	// FailedOnly leaves done what has succeeded, with its results: only the indexes, or
	// completions, that are missing run. A work queue always runs as a whole.
	FailedOnly bool
}

// Again runs a finished job once more, whether it is Complete, has Failed or was
// cancelled, and returns its status. It stays the same job: name, UID, events and the
// kept attempts stay, Status.Run is one more. Everything else begins anew: counters,
// conditions, deadlines, TTL and the budget of retries. The condition
// [ConditionRunAgain] says how the run before has ended. Checkpoints are not kept.
//
// What was declared last runs it: after a restart it waits for [Controller.Apply] if
// that was not called yet. The error is a [*JobError] without a Reason for a job that
// has not finished, so that of several calls at once one succeeds; or [ErrNotFound],
// [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Again(ctx context.Context, name string, o AgainOptions) (Status, error) {
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return Status{}, err
	}
	if err := j.Durable(ctx); err != nil { // its end is reported before it begins anew
		return statusNow(j), err
	}
	err = j.Again(o.FailedOnly)
	if errors.Is(err, runner.ErrUnfinished) {
		status := statusNow(j)
		return status, &JobError{Status: status, Err: fmt.Errorf("it is %s", status.State())}
	}
	if err == nil {
		err = j.Durable(ctx)
	}
	return statusNow(j), err
}

// Run creates a job and waits for it, also if it is removed as soon as it has
// finished: see [Controller.Create] and [Controller.Wait]. When ctx ends, the job
// goes on.
func (c *Controller) Run(ctx context.Context, job Job) (Status, error) {
	j, err := c.create(ctx, c.current(), job)
	if err != nil {
		return Status{}, err
	}
	return c.wait(ctx, j)
}

// Wait waits until a job has finished and returns its final status. The error
// is nil if the job is Complete, a [*JobError] if it has Failed, and otherwise
// says why there is nothing to wait for: [ErrNotFound], [ErrDeleted],
// [ErrShutdown], or the error of ctx; the status is then the last one known.
func (c *Controller) Wait(ctx context.Context, name string) (Status, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return Status{}, err
	}
	return c.wait(ctx, j)
}

func (c *Controller) wait(ctx context.Context, j *runner.Job) (Status, error) {
	outcome, err := j.Wait(ctx)
	if errors.Is(err, ErrStoreInUse) {
		if next := c.succeeding(ctx, j); next != nil {
			return c.wait(ctx, next)
		}
	}
	status := statusOf(outcome.View, j.Now())
	if err != nil {
		return status, unfinished(status, err, j)
	}
	if failure := outcome.Failure; failure != nil {
		return status, failed(status, failure)
	}
	if !status.Finished() {
		return status, ErrDeleted
	}
	return status, nil
}

// succeeding waits for the runner that comes after that of a job, and returns the job as
// that one has it, or nil.
func (c *Controller) succeeding(ctx context.Context, j *runner.Job) *runner.Job {
	r := c.runners.Successor(ctx, j.Runner())
	if r == nil {
		return nil
	}
	next, err := r.Find(j.Name())
	if err != nil || next.UID() != j.UID() {
		return nil
	}
	return next
}

// A Change is one step of [Controller.Watch].
type Change struct {
	Status  Status
	Added   bool // the job is new since the revision that the watcher knew
	Deleted bool // it is gone, and the status is its last
}

// Watch walks over the changes of all jobs after revision since, in order of
// revision: nothing is missed between a [Status] whose Revision is since and
// the first change. Zero begins with every job there is, as Added. What an
// attempt reports, such as its progress, is a change of its job.
//
// Changes of one job that come faster than they are taken are delivered as
// one, with the latest status; a job's end and deletion are never left out, but for the
// end of a run after which the job was run again at once: Status.Run says so.
// So a slow watcher costs nothing and is never cut off. The walk ends with
// the error of ctx, with [ErrShutdown], or with [ErrTooOld] if deletions since
// then are no longer known: the newest thousand are. Then list again, and
// watch from there. Revisions belong to one controller: one that it has not
// given out is too old as well. The loop may be left at any time, and several
// watchers do not disturb each other.
func (c *Controller) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		r := c.current()
		for change, err := range r.Watch(ctx, since) {
			if c.declared != nil && errors.Is(err, ErrStoreInUse) {
				err = fmt.Errorf("%w: %w", ErrTooOld, err)
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
			status := statusOf(change.View, r.Now())
			if !yield(Change{status, change.Added && !change.Removed, change.Removed}, nil) {
				return
			}
		}
	}
}

// Subscribe calls deliver for each end of a job, in order: when it becomes Complete or
// Failed, or is deleted before (Change.Deleted). It returns when ctx or the controller
// ends. A call has a minute; after an error or a panic it is repeated, with back-off.
//
// Name has 1 to 60 bytes, and one subscriber at a time. A new one begins with the finished
// jobs, and is kept until Subscribe is called with a nil deliver. While nobody
// subscribes to it, the newest [Options.FinishedJobs] ends are kept. Over crashes, see the
// package documentation. Other errors are those of [Controller.SaveRecord].
func (c *Controller) Subscribe(ctx context.Context, name string, deliver func(context.Context, Change) error) error {
	const longest = 60
	switch {
	case name == "" || len(name) > longest:
		return fmt.Errorf("batch: name of a subscription: %q: must have 1 to %d bytes", name, longest)
	case deliver == nil:
		return c.current().Unsubscribe(ctx, name)
	}
	r := c.current()
	return r.Subscribe(ctx, name, func(ctx context.Context, change runner.Change) error {
		return deliver(ctx, Change{Status: statusOf(change.View, r.Now()), Deleted: change.Removed})
	})
}

// Revision is that of the latest change. Who lists all jobs after it, and watches
// from it on, misses nothing, not even deletions before the watch begins.
func (c *Controller) Revision() uint64 { return c.current().Revision() }

// Attempts returns what is known of the attempts of a job in order of
// creation: those that have not ended, and the newest that have
// ([Job.History]). Attempts of deleted jobs of that name come first as long as
// they have not ended; AttemptStatus.JobUID tells them apart. The error is
// [ErrNotFound] if there is neither, or [ErrStore] or that of ctx: then the
// list is right, but not known to be durable.
func (c *Controller) Attempts(ctx context.Context, name string) ([]AttemptStatus, error) {
	var list []AttemptStatus
	r := c.current()
	jobs := r.Named(name)
	for _, j := range jobs {
		for _, a := range j.Attempts() {
			list = append(list, attemptOf(a))
		}
	}
	if len(jobs) == 0 {
		_, err := r.Find(name)
		return nil, cmp.Or(err, fmt.Errorf("%w: job %q", ErrNotFound, name))
	}
	return list, r.Durable(ctx)
}

// Results returns what the attempts of a job have set with [Attempt.SetResult], in
// order: of an Indexed job by index, of another one by the number of the completion,
// from 0. Completions without a result are left out. It may be called while the job
// runs, and decodes the results there are then before it returns. A controller keeps
// them in memory, as JSON, as long as the job.
//
// The error is that of [json.Unmarshal], [ErrNotFound], or [ErrStore] or that of ctx:
// then the results are right, but not known to be durable.
func Results[T any](ctx context.Context, c *Controller, job string) (iter.Seq2[int, T], error) {
	type result struct {
		index int
		value T
	}
	var all []result
	walk := func(yield func(int, T) bool) {
		for _, r := range all {
			if !yield(r.index, r.value) {
				return
			}
		}
	}
	j, err := c.current().Find(job)
	if err != nil {
		return walk, err
	}
	encoded := j.Results()
	decoded := make([]result, len(encoded))
	for i, r := range encoded {
		decoded[i].index = r.Index
		if err := json.Unmarshal(r.Value, &decoded[i].value); err != nil {
			return walk, fmt.Errorf("batch: result %d of job %q: %w", r.Index, job, err)
		}
	}
	all = decoded
	return walk, j.Durable(ctx)
}

// Failures walks over the indexes of a job that have failed and not succeeded since, in
// order, each with its last failure: those in [Status].FailedIndexes, and those that are
// tried again. It may be called while the job runs; the walk shows what happens
// meanwhile. [Job.History] makes no difference. A controller keeps these failures, each
// with up to 4 KiB of text, as long as the job; after a restart, of errors only the texts.
//
// The error is [ErrNotFound], or [ErrStore] or that of ctx: then the failures are
// right, but not known to be durable.
func (c *Controller) Failures(ctx context.Context, job string) (iter.Seq2[int, *AttemptError], error) {
	j, err := c.current().Find(job)
	if err != nil {
		return func(func(int, *AttemptError) bool) {}, err
	}
	return func(yield func(int, *AttemptError) bool) {
		for f := range j.Failures() {
			if !yield(f.Index, failureOf(&f)) {
				return
			}
		}
	}, j.Durable(ctx)
}

// Events returns the newest events of a job, oldest first: the last 200 about
// attempts, and the last 100 about the job. The error is [ErrNotFound], or
// [ErrStore] or that of ctx: then the list is right, but not known to be durable.
func (c *Controller) Events(ctx context.Context, name string) ([]Event, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return nil, err
	}
	var list []Event
	for _, e := range j.Events() {
		list = append(list, eventOf(e))
	}
	return list, j.Durable(ctx)
}

// A LogLine is one line an attempt has written.
type LogLine struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"
	Text   string // without the line's end
	// Cut is whether the line was too long, and goes on in the next LogLine of the
	// same stream. A line is cut after 16 KiB, or less if the log has no room.
	Cut bool
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
		log, err := c.current().AttemptLog(job, attempt)
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
			if ctx.Err() != nil {
				break
			}
			if !yield(logLine(line), nil) {
				return
			}
		}
		if ctx.Err() != nil {
			yield(LogLine{}, context.Cause(ctx))
		}
	}
}

func logLine(l logtail.Line) LogLine {
	return LogLine{Time: l.Time, Stream: l.Stream.String(), Text: l.Text, Cut: l.Cut, Dropped: l.Dropped}
}

// Stack returns the stack of the goroutine that runs an attempt, given by its name
// or UID, in the form of [runtime/debug.Stack]; empty if it has not started. It stops
// the world for as long as all stacks take to be written. The error is [ErrNotFound] or
// [ErrAttemptEnded].
func (c *Controller) Stack(job, attempt string) (string, error) {
	return c.current().Stack(job, attempt)
}

// DeleteAttempt stops one attempt, given by its name or UID, as deleting its
// pod would: its context is cancelled with [ErrDeleted]; whether it counts as
// failed, and when it is replaced, is for the job's policies to say. The error is
// [ErrNotFound], [ErrAttemptEnded], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) DeleteAttempt(ctx context.Context, job, attempt string) error {
	return c.tellAttempt(ctx, func(r *runner.Runner) error { return r.DeleteAttempt(job, attempt) })
}

// Disrupt ends one attempt, given by its name or UID, for a reason outside of
// it: one of those of the condition [ConditionDisruptionTarget].
// "TerminationByKubelet" makes it Failed with exit code 137 at once, and
// "DeletionByPodGC" without an exit code, as if its node were lost:
// whatever its executor does later is ignored, and it may still run when the
// attempt is replaced. Any other reason is an eviction, which stops it
// gracefully. The errors are those of [Controller.DeleteAttempt].
func (c *Controller) Disrupt(ctx context.Context, job, attempt string, reason string) error {
	if !slices.Contains(disruptions, reason) {
		return fmt.Errorf("batch: disruption reason %q: must be one of %q", reason, disruptions)
	}
	return c.tellAttempt(ctx, func(r *runner.Runner) error { return r.Disrupt(job, attempt, reason) })
}

func (c *Controller) tellAttempt(ctx context.Context, tell func(*runner.Runner) error) error {
	r := c.current()
	if err := r.MayChange(ctx); err != nil {
		return err
	}
	return cmp.Or(tell(r), r.Durable(ctx))
}

var disruptions = []string{"PreemptionByScheduler", "DeletionByTaintManager", "EvictionByEvictionAPI",
	"DeletionByPodGC", "TerminationByKubelet"}

// SaveRecord keeps a value of an extension beside the jobs: with a [Store], it is
// durable when SaveRecord returns, and found again by the next controller. A nil
// value removes the record. A key has at most 90 bytes and begins with the
// extension's name, such as "cron/nightly". Calls for one key must come one at a
// time. The error names a bad key, or is [ErrShutdown], [ErrStore] or that of
// ctx; then [Controller.Records] has the old value.
func (c *Controller) SaveRecord(ctx context.Context, key string, value []byte) error {
	const longest = 90
	if key == "" || len(key) > longest {
		return fmt.Errorf("batch: key of a record: %q: must have 1 to %d bytes", key, longest)
	}
	return c.current().SaveRecord(ctx, key, value)
}

// Records returns the records that [Controller.SaveRecord] has kept under keys with
// that prefix, in order of key. The values are copies.
func (c *Controller) Records(prefix string) iter.Seq2[string, []byte] {
	return c.current().Records(prefix)
}

// Shutdown starts no further attempt and waits for those that run. When ctx
// ends it cancels them with [ErrShutdown] and waits for their grace periods.
// It returns nil if all have returned, and otherwise an [*AbandonedError] that
// names those that have not. Interrupted attempts do not count. Jobs can still
// be read afterwards; what would create or change one answers ErrShutdown. It
// may be called more than once, but not by an executor, which it would wait for:
// then it does nothing and says so. With a [Store], the error may be [ErrStore]
// as well: then the last changes are not durable.
func (c *Controller) Shutdown(ctx context.Context) error {
	left, err := c.runners.Shutdown(ctx)
	if left.IsZero() {
		return err
	}
	abandoned := error(&AbandonedError{Attempts: left.Attempts, Calls: left.Calls})
	if err == nil {
		return abandoned
	}
	return errors.Join(abandoned, err)
}

// An AbandonedError says what has not returned when a controller was shut down.
type AbandonedError struct {
	Attempts []string // whose executors have not, by name, sorted
	Calls    int      // of other functions, such as back-offs and log handlers
}

// Error lists the first attempts.
func (e *AbandonedError) Error() string {
	const most = 5
	text := strings.Join(e.Attempts[:min(most, len(e.Attempts))], ", ")
	if more := len(e.Attempts) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if len(e.Attempts) == 0 {
		return fmt.Sprintf("batch: %d calls of back-offs or log handlers have not returned", e.Calls)
	}
	return "batch: executors that have not returned: " + text
}

// Run runs one job and waits for it: see [Controller.Wait]. When ctx ends, the
// job's attempts are cancelled and waited for as by [Controller.Shutdown], and
// the error is the cause of ctx. Attempts see the values of ctx. Nothing is
// logged, unless by [Options.Run], and attempts, events and logs are not kept: use a
// [Controller] to see them. A job that is suspended or managed by another controller keeps Run
// waiting until ctx ends.
func Run(ctx context.Context, job Job) (Status, error) { return Options{}.Run(ctx, job) }

// Run is the function [Run] with options, such as a Logger. A Store is an error: a job
// that outlasts the process is one of a [Controller].
func (o Options) Run(ctx context.Context, job Job) (Status, error) {
	if o.Store != nil {
		return Status{}, errors.New("batch: Options.Store: must be nil for Run, which keeps nothing")
	}
	if err := o.validate(); err != nil {
		return Status{}, err
	}
	if err := validationError(job.Name, job.checkAlone()); err != nil {
		return Status{}, err
	}
	c := &Controller{wrap: o.Wrap, limits: o.runnerLimits()}
	c.runners.Begin(runner.New(c.runnerOptions(ctx, o, true)))
	j, err := c.create(ctx, c.current(), job)
	if err != nil {
		return Status{}, err
	}
	_, ended := c.wait(ctx, j)
	abandoned := c.Shutdown(ctx)
	status, err := statusNow(j), ended
	if e, ok := ended.(*unfinishedError); ok {
		err = unfinished(status, e.Err, j) // with what has failed meanwhile
	}
	if abandoned != nil {
		err = errors.Join(err, abandoned)
	}
	return status, err
}

// checkAlone finds what a job needs that one without a controller does not have.
func (j *Job) checkAlone() []FieldError {
	if len(j.After) == 0 {
		return nil
	}
	return []FieldError{{Field: "spec.after", Kind: "Forbidden", Detail: "Run has no other job"}}
}

// Map applies fn to every item, as one Indexed job with an index for each
// item, and returns the results in the order of the items. [AttemptFrom] finds
// the attempt in fn's context.
//
// Each item is retried on its own: if job sets neither BackoffLimit nor
// BackoffLimitPerIndex, each item may fail 6 times. Two defaults are other than
// those of a Job: Parallelism nil means [runtime.GOMAXPROCS], and Backoff nil means
// ExponentialBackoff(100*time.Millisecond, 10*time.Second, 0.5). Completions,
// CompletionMode and Executor are set by Map and must not be set by the caller.
//
// With a limit per index, items that fail for good do not stop the others; with
// BackoffLimit alone the job ends when it is exceeded. Either way, and if ctx ends,
// the error is a [*JobError], and items without a success have zero results: the
// CompletedIndexes of its status are the items that have one. No items are a success.
func Map[T, R any](ctx context.Context, job Job, items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	if err := checkMapped(&job, fn == nil); err != nil {
		return nil, err
	}
	m := &mapped[T, R]{fn: fn, items: items, results: make([]R, len(items))}
	job.CompletionMode, job.Completions = Indexed, new(len(items))
	job.Executor, job.Parallelism = m, orDefault(job.Parallelism, runtime.GOMAXPROCS(0))
	if job.Backoff == nil {
		job.Backoff = ExponentialBackoff(100*time.Millisecond, 10*time.Second, 0.5)
	}
	if job.BackoffLimit == nil && job.BackoffLimitPerIndex == nil {
		job.BackoffLimitPerIndex = new(defaultBackoffLimit)
	}
	_, err := Run(ctx, job)
	if _, ok := err.(*ValidationError); ok {
		return nil, err
	}
	if e, ok := errors.AsType[*unfinishedError](err); ok {
		stopped := error(&e.JobError)
		if left, ok := errors.AsType[*AbandonedError](err); ok {
			stopped = errors.Join(stopped, left)
		}
		err = stopped
	}
	return m.results, err
}

// A mapped is the executor of a [Map].
type mapped[T, R any] struct {
	fn      func(context.Context, T) (R, error)
	items   []T
	results []R // written by keep only
}

func (m *mapped[T, R]) Execute(ctx context.Context, a Attempt) error {
	result, err := m.fn(ctx, m.items[a.Index])
	if err != nil {
		return err
	}
	return a.live.SetResult(runner.Result{Value: result})
}

// keep is called for each item that has succeeded, one at a time. It keeps the value as
// it is: nothing outlasts a Map, and not every R encodes as JSON.
func (m *mapped[T, R]) keep(index int, value any) {
	m.results[index], _ = value.(R) // a nil interface is none
}

func checkMapped(job *Job, noFunction bool) error {
	var errs []FieldError
	if noFunction {
		errs = append(errs, FieldError{Field: "spec.executor", Kind: "Required", Detail: "the function of Map is nil"})
	}
	const detail = "is set by Map"
	if job.Executor != nil {
		errs = append(errs, FieldError{Field: "spec.executor", Kind: "Forbidden", Detail: detail})
	}
	if job.Completions != nil {
		errs = append(errs, FieldError{Field: "spec.completions", Kind: "Forbidden", Detail: detail})
	}
	if job.CompletionMode == NonIndexed {
		errs = append(errs, FieldError{Field: "spec.completionMode", Kind: "Forbidden", Detail: detail})
	}
	return validationError(job.Name, errs)
}

// A savedJob is what a [Store] has of a job besides its state.
type savedJob struct {
	Spec       any             // what differs from savedDefaults
	Declared   json.RawMessage `json:",omitempty"` // as it was last declared, see Controller.Apply: what differs from Spec
	Generation int64           `json:",omitzero"`

	// Functions are not stored. These say which ones there were.
	HoldsPending            bool          `json:",omitzero"`
	Backoff, RestartBackoff *savedBackoff `json:",omitempty"`
	ErrorRules              []int         `json:",omitempty"` // of the failure policy
}

// A savedBackoff is one that is a value, or one that is not known.
type savedBackoff struct {
	Constant    *time.Duration      `json:",omitempty"`
	Exponential *exponentialBackoff `json:",omitempty"`
}

// savedDefaults is what a stored job has where nothing is said. It belongs to the format
// of stores: another default of a field does not change it.
func savedDefaults() Job {
	return Job{CompletionMode: NonIndexed, RestartPolicy: RestartNever, ContainerName: "main",
		Completions: new(1), Parallelism: new(1), BackoffLimit: new(6), TerminationGracePeriod: new(30 * time.Second),
		ReplacementPolicy: ReplaceTerminatingOrFailed,
		History:           new(1000), LogLimit: new(64 << 10), CheckpointLimit: new(1 << 20), ResultLimit: new(64 << 10)}
}

// encode calls no user code: whether the executor holds Pending was asked before.
func (s *source) encode(generation int64, pending bool) []byte {
	spec, declared := s.spec, *s.declaration()
	spec.Input, declared.Input = nil, nil // it has a record of its own
	defaults := savedDefaults()
	saved := savedJob{Spec: json.RawMessage(fields.Difference(&spec, &defaults)),
		Declared: fields.Difference(&declared, &spec), Generation: generation,
		HoldsPending: pending, Backoff: saveBackoff(s.spec.Backoff), RestartBackoff: saveBackoff(s.spec.RestartBackoff)}
	if s.spec.FailurePolicy != nil {
		for i, rule := range s.spec.FailurePolicy {
			if rule.OnError != nil {
				saved.ErrorRules = append(saved.ErrorRules, i)
			}
		}
	}
	data, _ := json.Marshal(saved) // as in fields.Difference
	return data
}

func saveBackoff(b Backoff) *savedBackoff {
	switch b := b.(type) {
	case nil:
		return nil
	case constantBackoff:
		return &savedBackoff{Constant: &b.Delay}
	case exponentialBackoff:
		return &savedBackoff{Exponential: &b}
	}
	return &savedBackoff{}
}

// decode is the reverse of encode. If there are no functions, stand-ins take their
// places.
func (c *Controller) decode(definition, input []byte, f any) (runner.SavedJob, error) {
	spec := savedDefaults()
	s := savedJob{Spec: &spec}
	if err := json.Unmarshal(definition, &s); err != nil {
		return runner.SavedJob{}, err
	}
	around, err := s.giveFunctions(&spec, f)
	if err != nil {
		return runner.SavedJob{}, err
	}
	if input != nil {
		spec.Input = json.RawMessage(input)
	}
	var declared *Job
	if s.Declared != nil {
		declared = new(spec.clone())
		if err := fields.Patch(declared, s.Declared); err != nil {
			return runner.SavedJob{}, err
		}
	}
	saved := runner.SavedJob{Name: spec.Name, Generation: s.Generation,
		Definition: c.definition(spec, declared, around, s.HoldsPending), Indexed: spec.CompletionMode == Indexed}
	if f != nil { // it was valid, and executors may have changed since
		return saved, nil
	}
	return saved, validationError(spec.Name, spec.validate())
}

// giveFunctions gives a job its functions, or stand-ins if f is nil, and returns what
// runs in the place of its executor, if there is such.
func (s *savedJob) giveFunctions(j *Job, f any) (Executor, error) {
	if f, ok := f.(*functions); ok {
		f.giveTo(j)
		if f.around != nil {
			return *f.around, nil
		}
		return nil, nil
	}
	j.Executor = undeclared{s.HoldsPending}
	j.Backoff, j.RestartBackoff = s.Backoff.load(), s.RestartBackoff.load()
	for _, i := range s.ErrorRules {
		if i < 0 || i >= len(j.FailurePolicy) {
			return nil, fmt.Errorf("no failure rule %d", i)
		}
		j.FailurePolicy[i].OnError = undeclaredRule
	}
	return nil, nil
}

// Functions are what of a job JSON does not have.
type functions struct {
	executor                Executor
	around                  *Executor // what Options.Wrap has returned; nil if nothing
	backoff, restartBackoff Backoff
	limitKey                func(int) string
	rules                   []func(error) bool // of the failure policy
}

// functionsOf returns those of the source of a definition; nil if there are only
// stand-ins.
func functionsOf(of any) any {
	s := of.(*source)
	j := &s.spec
	if isUndeclared(j.Executor) {
		return nil
	}
	f := &functions{executor: j.Executor, backoff: j.Backoff, restartBackoff: j.RestartBackoff,
		limitKey: j.LimitKey, around: s.around}
	for _, rule := range j.FailurePolicy {
		f.rules = append(f.rules, rule.OnError)
	}
	return f
}

func (f *functions) giveTo(j *Job) {
	j.Executor, j.Backoff, j.RestartBackoff, j.LimitKey = f.executor, f.backoff, f.restartBackoff, f.limitKey
	for i, rule := range f.rules {
		j.FailurePolicy[i].OnError = rule
	}
}

func (s *savedBackoff) load() Backoff {
	switch {
	case s == nil:
		return nil
	case s.Constant != nil:
		return ConstantBackoff(*s.Constant)
	case s.Exponential != nil:
		return *s.Exponential
	}
	return BackoffFunc(undeclaredBackoff)
}

// An undeclared executor stands in for one that has not been declared yet.
type undeclared struct{ pending bool }

func (undeclared) Execute(context.Context, Attempt) error {
	return errors.New("batch: executor not declared") // it is never called
}

func (u undeclared) HoldsPending() bool { return u.pending }

func isUndeclared(e Executor) bool {
	_, ok := e.(undeclared)
	return ok
}

func undeclaredBackoff() backoff.BackOff { return nil }

func undeclaredRule(error) bool { return false }

// standIn gives j, as it was changed, the stand-ins back that old has.
func (j *Job) standIn(old *Job) {
	j.Executor = old.Executor
	j.Backoff, j.RestartBackoff = cmp.Or(j.Backoff, old.Backoff), cmp.Or(j.RestartBackoff, old.RestartBackoff)
	if j.FailurePolicy == nil || old.FailurePolicy == nil {
		return
	}
	for i := range min(len(j.FailurePolicy), len(old.FailurePolicy)) {
		if rule := &j.FailurePolicy[i]; rule.OnError == nil {
			rule.OnError = old.FailurePolicy[i].OnError
		}
	}
}

// undeclare takes the stand-ins out, which users do not see.
func (j *Job) undeclare() {
	j.Executor = nil
	for _, b := range []*Backoff{&j.Backoff, &j.RestartBackoff} {
		if _, ok := (*b).(BackoffFunc); ok {
			*b = nil
		}
	}
	if j.FailurePolicy != nil {
		for i := range j.FailurePolicy {
			j.FailurePolicy[i].OnError = nil
		}
	}
}

// apply returns live with the changes that were made to its declaration since
// before: what was changed by an update stays, as with kubectl apply. Functions are
// always the declared ones.
func (j *Job) apply(live, before *Job) Job {
	merged := live.clone()
	fields.Merge(&merged, j, before)
	return merged.clone()
}

// functionsFor is the spec of a job that has finished, with the functions of j.
func (j *Job) functionsFor(spec *Job) Job {
	merged := spec.clone()
	fields.Give(&merged, j)
	merged.Input = spec.Input // it does not change, and may be large: one is enough
	if sameFailureRules(j.FailurePolicy, spec.FailurePolicy) {
		merged.FailurePolicy = cloneFailureRules(j.FailurePolicy)
	}
	return merged
}

// sameSpec reports whether two specs of one job are the same, as far as can be told:
// functions are not compared.
func sameSpec(a, b Job) bool {
	backoffs := sameBackoff(a.Backoff, b.Backoff) && sameBackoff(a.RestartBackoff, b.RestartBackoff)
	for _, j := range []*Job{&a, &b} {
		j.Labels, j.Annotations = nil, nil // metadata
		fields.Drop(j)                     // back-offs are compared, the failure policy is immutable
	}
	return backoffs && reflect.DeepEqual(a, b)
}
