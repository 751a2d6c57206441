package batch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/results"
	"github.com/runtocompletion/batch/internal/runner"
	"github.com/runtocompletion/batch/internal/seq"
	"github.com/runtocompletion/batch/internal/spec"
	"github.com/runtocompletion/batch/internal/turns"
)

// The errors of a controller's methods, some of them also causes of cancelled attempts.
var (
	// ErrExists: a job of that name exists.
	ErrExists = runner.ErrExists
	// ErrNotFound: there is no job, or attempt, of that name.
	ErrNotFound = runner.ErrNotFound
	// ErrShutdown: the controller is shut down, or shutting down. It is also a cause.
	ErrShutdown = runner.ErrShutdown
	// ErrDeleted: the job that was waited for was deleted before it finished. It is also the
	// cause if a user has deleted the attempt or its job.
	ErrDeleted = runner.ErrDeleted
	// ErrStoreInUse: another controller has the store, and the text says which; or it may
	// have it, as the claim is lost, which is also a cause. See [Claimer].
	ErrStoreInUse = runner.ErrStoreInUse
	// ErrStore: the [Store] failed, with an error that is in the chain as well. The change
	// may have been made, but is not known to be durable.
	ErrStore = runner.ErrStore
	// ErrStoreFormat: the [Store] was written in another format than this version of the
	// package has, or is none at all. The text names both formats.
	ErrStoreFormat = runner.ErrStoreFormat
	// ErrTooOld: deletions since the given revision are no longer known.
	ErrTooOld = runner.ErrTooOld
)

// Options configure a [Controller]. The zero value is ready to use.
type Options struct {
	// Logger receives starts and ends of jobs (Info), failed attempts (Warn), what needs
	// repair (Error), and what attempts log. If nil, nothing is logged. With a Store, its
	// handler must not wait for the controller, which may wait for the store.
	Logger *slog.Logger
	// MaxActive is the most executors that run at once over all jobs; further attempts are
	// Pending, and jobs take turns. Waiting for a restart does not count. Zero means no
	// limit. A negative value is an error.
	MaxActive int
	// Limits are what jobs share, by name: see [Job.Limits]. Their names are DNS-1123
	// subdomains. [Controller.SetLimit] changes them. Nil means none.
	Limits map[string]Limit
	// Namespace is what messages call the namespace; empty means "default".
	Namespace string
	// FinishedJobs is how many finished jobs are kept; beyond it the one that finished first
	// is removed, as by its TTL. Zero means 10,000. A negative value keeps all.
	FinishedJobs int
	// Wrap returns what runs the attempts of a job instead of its executor, such as one
	// around it that begins a span. It is called whenever a job is declared or updated; the
	// result is used by several goroutines at once, and passes on the attempt, and its
	// context or one made of that. Nil, or a nil result, means the executor itself.
	Wrap func(Executor) Executor
	// Managers are those that run jobs of this controller somewhere else, by the name that
	// such a job has in [Job.ManagedBy]. The function is called by Create, Apply and
	// Update, and says what the manager cannot do, best with a [*ValidationError]. They
	// also make [Controller.Cancel] available for such a job. Jobs may name a manager that
	// is not among them. Nil means none.
	Managers map[string]func(Job) error
	// BaseContext has values for the contexts of all attempts. Its end is ignored. Nil means
	// that there are none.
	BaseContext context.Context
	// Store keeps the jobs, so that they survive the process: see [Store]. Nil keeps them in
	// memory only. A store serves one controller at a time. It is not closed: do that after
	// Shutdown.
	Store Store
	// Standby lets [New] succeed while another controller has the store. This one works once
	// the store is free; until then, and again if its claim is lost, it shows what the store
	// has, without logs, and changes are refused with [ErrStoreInUse]. Only
	// [Controller.Apply] keeps a declaration for later. See [Controller.Claimed]. If false,
	// New fails, and a claim that is lost ends the controller.
	Standby bool
}

// A Store keeps the jobs of a [Controller], so that they survive the process. What is
// reported, by [Controller.Wait], [Controller.Get], [Controller.Watch] or an event, is
// stored before. Jobs do not wait for that: many changes share a commit. The next
// controller continues; functions must be declared again, with [Controller.Apply].
//
// A Store is a map of two levels: the records of each job, under keys. Package batchtest
// has one in memory for tests, and a test suite for implementations; contrib/boltstore
// keeps jobs in one file.
type Store interface {
	// Load returns all records, each once, those of one job together. The values belong to
	// the caller. After an error, what came before it is not used.
	Load(ctx context.Context) iter.Seq2[Record, error]
	// Commit applies the records in order, all of them or none, and returns when they are
	// durable. After an error it is unknown whether they are: they are committed again, with
	// what has changed since. There is one call at a time. Records and values must not be
	// retained or modified. A commit without records shows whether the store works. If ctx
	// has ended, nothing is written, and errors.Is finds its error. Commit should return soon
	// after ctx is done.
	Commit(ctx context.Context, records []Record) error
}

// A Claimer is a [Store] that one controller at a time can claim: [New] claims it before
// anything else, and [Controller.Shutdown] releases it after the last commit.
//
// Any other store is claimed by a record in it, under the key "claim". A second
// controller is refused if the process of the first one is alive on this machine.
// Otherwise it begins to work, and the first one finds that out with its first commit
// that comes five seconds or more after the one before.
type Claimer interface {
	Store
	// Claim makes the store that of one controller until release is called, once. If another
	// one has it, and wait is nil, the error is [ErrStoreInUse], with its name in the text.
	// Otherwise Claim waits until the store is free, or ctx ends. Meanwhile it calls wait
	// with the name of the holder: at first, and some time after the records have changed.
	// Load shows them then, or its error is ErrStoreInUse.
	//
	// The contexts of commits are made of held. It ends, with a cause, when another
	// controller may have the store; then commits are refused, with ErrStoreInUse.
	Claim(ctx context.Context, wait func(holder string)) (held context.Context, release func(), err error)
}

// A Record is a value in a [Store].
type Record struct {
	Job   string // the job's UID; empty for what belongs to the whole store
	Key   string // at most 100 bytes; empty, with a nil Value: the job with all its records; never empty otherwise
	Value []byte // nil removes the record; an empty value is one
}

// A Controller runs jobs. Its methods may be called by several goroutines at once, also by
// executors. What they return are copies. A method that reads, and has a context, waits
// until what it returns is durable; with [ErrStore], or the error of ctx, it returns the
// same, not known to be durable.
type Controller struct {
	runners runner.Succession
	wrap    func(Executor) Executor // see Options.Wrap; may be nil
	limits  *runner.Limits

	managers map[string]func(Job) error // see Options.Managers
	slots    int                        // see Options.MaxActive
}

// current is the runner that answers now.
func (c *Controller) current() *runner.Runner { return c.runners.Current() }

// New returns a controller. It has no goroutine until a job runs, but call
// [Controller.Shutdown] when done with it. The error names a bad option, or is that of
// Options.Store, such as [ErrStoreFormat], or of ctx, which limits the time to read it.
func New(ctx context.Context, o Options) (*Controller, error) {
	c, options, err := o.controller(context.Background())
	switch {
	case err != nil:
		return nil, err
	case o.Store == nil:
		c.runners.Begin(runner.New(options))
		return c, nil
	}
	if err := c.runners.Open(ctx, options, storeOf(o.Store), o.Standby); err != nil {
		return nil, err
	}
	return c, nil
}

// controller returns a controller whose attempts have contexts made of ctx, the options of
// its runners, or what is wrong with o.
func (o Options) controller(ctx context.Context) (*Controller, runner.Options, error) {
	const finishedJobs = 10_000
	c := &Controller{wrap: o.Wrap, limits: new(runner.Limits), managers: maps.Clone(o.Managers), slots: o.MaxActive}
	return c, runner.Options{
		Logger: o.Logger, Namespace: cmp.Or(o.Namespace, "default"), MaxActive: o.MaxActive, Limits: c.limits,
		FinishedJobs: cmp.Or(o.FinishedJobs, finishedJobs), Parent: runner.WithValuesOf(ctx, o.BaseContext),
		Decode: c.load, FunctionsOf: functionsOf, Panicked: panicked,
		Manages: func(name string) bool { return c.managers[name] != nil },
	}, o.check(c.limits)
}

// check returns what is wrong with the options, and sets the limits.
func (o Options) check(limits *runner.Limits) error {
	var errs []error
	if o.MaxActive < 0 {
		errs = append(errs, fmt.Errorf("batch: Options.MaxActive: %d: must not be negative", o.MaxActive))
	}
	if o.Standby && o.Store == nil {
		errs = append(errs, errors.New("batch: Options.Standby: true: needs Options.Store"))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Limits)) {
		limit, err := turns.Declaration(o.Limits[name]).Limit("Options.Limits", name)
		errs = append(errs, err)
		limits.Set(name, limit)
	}
	return errors.Join(errs...)
}

// storeOf is a store as the runner wants it.
func storeOf(s Store) runner.Store {
	if claimer, ok := s.(Claimer); ok {
		return runner.StoreOf(s.Load, s.Commit, claimer.Claim)
	}
	return runner.StoreOf(s.Load, s.Commit, nil)
}

// Claimed waits until the controller works on its store, and returns nil: at once unless
// it is a standby; see Options.Standby. If ctx ends before, the error is its cause and
// [ErrStoreInUse], with the process that works in the text: a ctx that has ended asks who
// works now. The error is also ErrStoreInUse if the claim is lost without Standby, or
// that of [Controller.Shutdown].
func (c *Controller) Claimed(ctx context.Context) error { return c.runners.Claimed(ctx) }

// SetLimit adds a limit, or changes it at once; see [Options.Limits]. What exceeds the
// new one is not stopped. A limit is not stored. The error names a bad value.
func (c *Controller) SetLimit(name string, limit Limit) error {
	l, err := turns.Declaration(limit).Limit("limit ", name)
	if err != nil {
		return err
	}
	return c.current().SetLimit(name, l)
}

// Acquire waits until code that is no attempt may have the named limits, all at once, as
// attempts of priority 0 do. Key is for those that are PerKey. Release gives them back;
// it may be called again. [Options.MaxActive] does not count other code. An executor
// holds what its attempt has: it must not wait for the limits of its own job. The errors
// are [ErrNotFound] for an unknown limit, [ErrShutdown], and the cause of ctx.
func (c *Controller) Acquire(ctx context.Context, key string, limits ...string) (release func(), err error) {
	return c.current().Acquire(ctx, key, limits)
}

// define returns the definition of a job. It calls user code: a [PendingExecutor], and
// Options.Wrap.
func (c *Controller) define(job Job, declared *Job) *runner.Definition {
	s := &source{job: job, declared: declared}
	if c.wrap != nil && !isUndeclared(job.Executor) {
		if around := c.wrap(job.Executor); around != nil {
			s.around = &around
		}
	}
	return c.definition(s, holdsPending(job.Executor))
}

// definition calls no user code.
func (c *Controller) definition(s *source, holdsPending bool) *runner.Definition {
	job, data := &s.job, s.job.spec()
	d := &runner.Definition{
		Spec: s.engineSpec(data, holdsPending), ManagedBy: data.OtherManager(), Source: s,
		Judge:   judgeOf(job.FailurePolicy, c.logPanic),
		Backoff: makerOf(job.Backoff), RestartBackoff: makerOf(job.RestartBackoff),
		LogLimit: *job.LogLimit, CheckpointLimit: *job.CheckpointLimit, ResultLimit: *job.ResultLimit,
		Input: data.InputBytes(), After: job.After,
		Limits: slices.Sorted(slices.Values(job.Limits)), LimitKey: job.LimitKey, Priority: job.Priority,
	}
	if k, ok := job.Executor.(interface{ keep(index int, value any) }); ok {
		d.Keep = k.keep
	}
	if executor := job.Executor; !isUndeclared(executor) {
		if s.around != nil {
			executor = *s.around
		}
		d.Execute = executeWith(executor)
	}
	return d
}

// logPanic logs that user code has panicked.
func (c *Controller) logPanic(message string, value any) {
	c.current().Log(slog.LevelError, message, slog.Any("panic", value))
}

// load makes the definition of a stored job.
func (c *Controller) load(definition, input []byte, f any) (runner.SavedJob, error) {
	given, _ := f.(*functions)
	s, stored, err := decode(definition, input, given)
	if err != nil {
		return runner.SavedJob{}, err
	}
	saved := runner.SavedJob{Name: s.job.Name, Generation: stored.Generation,
		Definition: c.definition(s, stored.HoldsPending), Indexed: s.job.CompletionMode == Indexed}
	if given != nil { // it was valid, and executors may have changed since
		return saved, nil
	}
	return saved, s.job.Validate()
}

// Create takes a copy of job and starts it. The error is a [*ValidationError],
// [ErrExists], [ErrShutdown], [ErrStore] or that of ctx. Then nothing was created, except
// that after ErrStore the next controller may find the job in the store. Ctx only limits
// how long that takes: the job does not end with it, and attempts do not see its values.
func (c *Controller) Create(ctx context.Context, job Job) error {
	_, err := c.create(ctx, job)
	return err
}

func (c *Controller) create(ctx context.Context, job Job) (*runner.Job, error) {
	job, err := c.checked(job)
	if err != nil {
		return nil, err
	}
	j, err := c.current().Create(ctx, job.Name, c.define(job, nil))
	return j, refused(job.Name, err)
}

// checked returns a job with its defaults, if it is valid.
func (c *Controller) checked(job Job) (Job, error) {
	job, data := job.resolve()
	errs := slices.Concat(data.Validate(), spec.CheckLimits(job.Limits, c.limits.Has), c.checkManager(&job))
	return job, validationError(job.Name, errs)
}

// checkManager finds what the manager of a job cannot do.
func (c *Controller) checkManager(job *Job) []spec.FieldError {
	if job.ManagedBy == nil || len(c.managers) == 0 {
		return nil
	}
	name := job.spec().OtherManager()
	can := c.managers[name]
	if can == nil {
		return nil
	}
	var errs []spec.FieldError
	if c.slots > 0 {
		errs = append(errs, spec.Forbidden("spec.managedBy", name,
			"Options.MaxActive does not hold where the manager runs the job"))
	}
	switch err := can(job.clone()); e := err.(type) {
	case nil:
	case *ValidationError:
		for _, field := range e.Fields {
			errs = append(errs, spec.FieldError(field))
		}
	default:
		errs = append(errs, spec.Forbidden("spec.managedBy", name, errorText(err)))
	}
	return errs
}

// Apply creates a job, or updates the one of that name to its declaration, and returns
// its status. A service calls it for each of its jobs when it starts: a job found in the
// store gets its functions and continues, or, if it has finished, gets them for
// [Controller.Again]. A finished job is not changed otherwise.
//
// A field is updated, by the rules of [Controller.Update], if its declaration has changed
// since Create or Apply was last given it; a field that only Update has changed stays.
// Functions are always those of the declaration. The errors are those of
// [Controller.Create] and [Controller.Update]. With another [Job.Input] nothing changes,
// except that a job found in the store continues with its own.
func (c *Controller) Apply(ctx context.Context, job Job) (Status, error) {
	job, err := c.checked(job)
	if err != nil {
		return Status{}, err
	}
	later := func(ctx context.Context, r *runner.Runner) error {
		_, err := c.applyTo(ctx, r, job)
		return err
	}
	if !c.runners.Keep(job.Name, later) {
		return c.applyTo(ctx, c.current(), job)
	}
	s, err := c.Get(job.Name)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrStoreInUse) {
		err = nil
	}
	return s, err
}

// applyTo is Apply for one runner, and a job that is valid.
func (c *Controller) applyTo(ctx context.Context, r *runner.Runner, job Job) (Status, error) {
	j, err := r.Apply(ctx, job.Name, func() *runner.Definition { return c.define(job, nil) },
		func(j *runner.Job) (bool, error) { return c.declare(j, job) })
	if j == nil {
		return Status{}, refused(job.Name, err)
	}
	return statusNow(j), err
}

// declare gives a job its declaration, unless there was another update meanwhile: then it
// reports false. A finished job only gets its functions, if it has none.
func (c *Controller) declare(j *runner.Job, job Job) (done bool, err error) {
	before := j.Revision()
	old := sourceOf(before.Definition)
	if statusNow(j).Finished() {
		return before.Declared || j.Redeclare(before, c.define(old.job.withFunctionsOf(&job), old.declared)), nil
	}
	if job.Input == nil {
		job.Input = old.job.Input
	}
	changed := job.apply(&old.job, old.declaration())
	faults := changed.spec().ValidateUpdate(old.job.spec())
	if before.Declared || !spec.OnlyInput(faults) {
		return c.revise(j, before, changed, &job)
	}
	// It has waited for its functions, and continues with what it has.
	done = j.Revise(before, c.define(old.job.withFunctionsOf(&job), old.declared), false)
	return done, validationError(job.Name, faults)
}

// revise puts a changed job in the place of what it was before.
func (c *Controller) revise(j *runner.Job, before runner.Revision, job Job, declared *Job) (done bool, err error) {
	old := &sourceOf(before.Definition).job
	errs := append(job.spec().ValidateUpdate(old.spec()), c.checkManager(&job)...)
	if err := validationError(old.Name, errs); err != nil {
		return true, err
	}
	raise, kept := !job.sameAs(old), *declared
	job.Input, kept.Input = old.Input, old.Input // equal, and perhaps large: one is enough
	return j.Revise(before, c.define(job, &kept), raise), nil
}

// Get returns the status of a job, or [ErrNotFound]. Its cost is the same for any job.
func (c *Controller) Get(name string) (Status, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return Status{}, err
	}
	return statusNow(j), nil
}

// Job returns what was declared of a job with its defaults resolved, or [ErrNotFound].
func (c *Controller) Job(name string) (Job, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return Job{}, err
	}
	return sourceOf(j.Definition()).shown(), nil
}

// All returns an iterator over the statuses of all jobs, in order of name. Jobs that are
// created or removed meanwhile may be missed; the loop holds no lock.
func (c *Controller) All() iter.Seq[Status] { return seq.Each(c.current().Each, statusNow) }

// Update changes a job: change is called with a copy of what was declared, and the result
// is validated and takes effect at once. A field that may not change is reported in a
// [*ValidationError]; then nothing has changed. If the job was updated meanwhile, change
// is called again; no lock is held, and it must not retain its argument. Of a finished
// job a change of TTLAfterFinished has an effect, and the rest is for [Controller.Again].
//
// A stored job that waits for its functions has none in the copy, except back-offs that
// are values. If change sets Executor, the job continues, as after [Controller.Apply].
// Other errors are [ErrNotFound], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Update(ctx context.Context, name string, change func(*Job)) error {
	_, err := c.current().Update(ctx, name, func(j *runner.Job) (bool, error) { return c.update(j, change) })
	return err
}

// update has change work on a copy, and puts that in place unless there was another
// update meanwhile, or the job was removed: then it reports false.
func (c *Controller) update(j *runner.Job, change func(*Job)) (done bool, err error) {
	before := j.Revision()
	old := sourceOf(before.Definition)
	changed := old.shown()
	change(&changed)
	job := changed.withDefaults() // a copy: change may have kept the pointer
	if !before.Declared && job.Executor == nil {
		job.redeclare(&old.job)
	}
	return c.revise(j, before, job, old.declaration())
}

// Suspend holds a job: its attempts are stopped, uncounted. Suspending it again changes
// nothing. The errors are those of [Controller.Update].
func (c *Controller) Suspend(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = true })
}

// Resume ends the suspension of a job. Resuming it again changes nothing. The errors are
// those of [Controller.Update].
func (c *Controller) Resume(ctx context.Context, name string) error {
	return c.Update(ctx, name, func(j *Job) { j.Suspend = false })
}

// What becomes of the attempts of a deleted job; see [Controller.Delete].
const (
	// DeleteBackground removes the job at once and stops its attempts.
	DeleteBackground = runner.Background
	// DeleteForeground stops the attempts and removes the job once they have ended.
	DeleteForeground = runner.Foreground
	// DeleteOrphan removes the job and lets its attempts run to their end.
	DeleteOrphan = runner.Orphan
)

// Delete removes a job. Its name is free again as soon as the job is gone. Attempts that
// are stopped see [ErrDeleted]. An unknown propagation is an error; others are
// [ErrNotFound], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Delete(ctx context.Context, name, propagation string) error {
	return c.current().Delete(ctx, name, propagation)
}

// Cancel fails a job that has not been decided yet, with [ReasonCancelled] and the text
// of cause, or the given indexes of an Indexed job. Attempts that run are stopped, with
// cause as the cause of their contexts; a suspended job ends, too. Indexes fail at once,
// whether they run, wait or were never tried; they count as failed indexes, their
// attempts do not count. A nil cause is [context.Canceled]. A [*JobError] has cause in
// its chain; after a restart, its text.
//
// A [*ValidationError] names each index that does not exist or is over; then nothing was
// cancelled. Other errors are [ErrJobFinished], [ErrDeleted], [ErrNotFound],
// [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Cancel(ctx context.Context, name string, cause error, indexes ...int) error {
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return err
	}
	cause = cmp.Or(cause, context.Canceled)
	faults, err := j.Cancel(cause, errorText(cause), slices.Clone(indexes))
	if err = cmp.Or(err, validationError(name, faults)); err != nil {
		return err
	}
	return j.Durable(ctx)
}

// A Report is what the manager of a job knows of it; see [Controller.Report].
type Report struct {
	// UID is that of the job that is meant: see [Status].
	UID string
	// Status replaces, of the job's status, the counters, index sets, StartTime,
	// CompletionTime and Conditions; its other fields are not looked at. Nil leaves all.
	Status *Status
	// Attempts are those that are new or have changed, by their UID; of one that has
	// ended, nothing changes any more. The newest of them are kept; see [Job.History].
	Attempts []AttemptStatus
	// Results are those of Attempts that have succeeded, by UID; see [Results].
	Results map[string]json.RawMessage
	// Logs are lines to be added to the logs of attempts, by UID.
	Logs map[string][]LogLine
	// Events replaces all events of the job. Nil leaves them.
	Events []Event
}

// Report says how a job is that names another manager in [Job.ManagedBy]. That manager
// finds its jobs, and what users want of them, by [Controller.Watch] and
// [Controller.Job]. It may report as much as it likes: saying the same again changes
// nothing. All of a report is stored together.
//
// A status has to follow from the one before, by the rules of the API server for
// jobs/status: a [*ValidationError] names each field that does not, and nothing has
// changed. Other errors are [ErrNotFound], also for a job of another UID, [ErrShutdown],
// [ErrStore] and that of ctx.
func (c *Controller) Report(ctx context.Context, name string, r Report) error {
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return err
	}
	faults, err := j.Report(runnerReport(&r))
	if err = cmp.Or(err, validationError(name, faults)); err != nil {
		return err
	}
	return j.Durable(ctx)
}

// runnerReport is a report as the runner wants it.
func runnerReport(r *Report) *runner.Report {
	report := &runner.Report{UID: r.UID, Status: reportedStatus(r.Status), Attempts: seq.Slice(r.Attempts, attemptView),
		Results: make(map[string][]byte), Logs: make(map[string][]logtail.Line)}
	for uid, data := range r.Results {
		report.Results[uid] = bytes.Clone(data)
	}
	for uid, lines := range r.Logs {
		report.Logs[uid] = seq.Slice(lines, LogLine.tail)
	}
	if r.Events != nil { // none is not the same
		report.Events = append([]runner.Event{}, seq.Slice(r.Events, Event.view)...)
	}
	return report
}

// Again runs a finished job once more, whatever its outcome was, and returns its status.
// With failedOnly, what has succeeded stays done, with its results: only the indexes, or
// completions, that are missing run; a work queue always runs as a whole. Name, UID,
// events and the kept attempts stay, Status.Run is one more. Everything else begins anew,
// also deadlines, TTL and the budget of retries. Checkpoints are not kept. The condition
// [ConditionRunAgain] says how the run before has ended.
//
// What is run is the spec as it was, and as Update has left it, with the functions that
// were declared last: after a restart the job waits for [Controller.Apply].
// The error is a [*JobError] without a Reason if the job has not finished; or
// [ErrNotFound], [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) Again(ctx context.Context, name string, failedOnly bool) (Status, error) {
	j, err := c.current().Change(ctx, name)
	if err != nil {
		return Status{}, err
	}
	if manager := j.Definition().ManagedBy; manager != "" {
		return statusNow(j), validationError(name, []spec.FieldError{spec.Forbidden("spec.managedBy", manager,
			"another controller has the job: it cannot be run again here")})
	}
	if err := j.Durable(ctx); err != nil { // its end is reported before it begins anew
		return statusNow(j), err
	}
	err = j.Again(failedOnly)
	if errors.Is(err, runner.ErrUnfinished) {
		status := statusNow(j)
		return status, &JobError{Status: status, Err: fmt.Errorf("it is %s", status.State())}
	}
	if err == nil {
		err = j.Durable(ctx)
	}
	return statusNow(j), err
}

// Run creates a job and waits for it, also if it is removed as soon as it has finished:
// see [Controller.Create] and [Controller.Wait]. When ctx ends, the job continues.
func (c *Controller) Run(ctx context.Context, job Job) (Status, error) {
	j, err := c.create(ctx, job)
	if err != nil {
		return Status{}, err
	}
	return c.wait(ctx, j)
}

// Wait waits until a job has finished and returns its final status. The error is nil if
// the job is Complete, a [*JobError] if it has Failed, and otherwise says why there is
// nothing to wait for: [ErrNotFound], [ErrDeleted], [ErrShutdown], or the error of ctx;
// the status is then the last one known.
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
		if next := c.runners.Next(ctx, j); next != nil {
			return c.wait(ctx, next)
		}
	}
	status := statusOf(outcome.View, j.Now())
	switch {
	case err != nil:
		return status, unfinished(status, err, j.LastFailed())
	case outcome.Failure != nil:
		return status, failed(status, outcome.Failure)
	case !status.Finished():
		return status, ErrDeleted
	}
	return status, nil
}

// Watch returns an iterator over the changes of all jobs after revision since, in order
// of revision: nothing is missed after a [Status] whose Revision is since. Zero begins
// with every job there is, as Added.
//
// Changes of one job that come faster than they are taken are delivered as one, so a slow
// loop costs nothing. An end, and a deletion, are always delivered, except the end of a
// run after which the job was run again at once: see Status.Run. The loop ends with the
// error of ctx, with [ErrShutdown], or with [ErrTooOld] if since is no revision of this
// controller, or older than the newest thousand deletions: then list the jobs again, and
// watch from there.
func (c *Controller) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return seq.EachUntilError(c.runners.Watch(ctx, since), c.changeOf)
}

func (c *Controller) changeOf(change runner.Change) Change {
	status := statusOf(change.View, c.current().Now())
	return Change{Status: status, Added: change.Added && !change.Removed, Deleted: change.Removed}
}

// Subscribe calls deliver for each end of a job, in order: when it becomes Complete or
// Failed, or is deleted before (Change.Deleted). It returns when ctx or the controller
// ends. A call has a minute; after an error or a panic it is repeated, with back-off.
//
// Name has 1 to 60 bytes, and one subscriber at a time. A new subscription begins with
// the finished jobs, and is kept until Subscribe is called with a nil deliver. While it
// has no subscriber, the newest [Options.FinishedJobs] ends are kept. About crashes, see
// the package documentation. Other errors are those of [Controller.SaveRecord].
func (c *Controller) Subscribe(ctx context.Context, name string, deliver func(context.Context, Change) error) error {
	var each func(context.Context, runner.Change) error
	if deliver != nil {
		each = func(ctx context.Context, change runner.Change) error { return deliver(ctx, c.changeOf(change)) }
	}
	return c.current().Subscribe(ctx, name, each)
}

// Revision is that of the latest change. To list all jobs after it, and to watch from it
// on, misses nothing, not even deletions before the watch begins.
func (c *Controller) Revision() uint64 { return c.current().Revision() }

// Attempts returns what is known of the attempts of a job in order of creation: those
// that have not ended, and the newest that have ([Job.History]). Attempts of deleted jobs
// of that name come first until they end; AttemptStatus.JobUID differs. The error is
// [ErrNotFound], [ErrStore] or that of ctx.
func (c *Controller) Attempts(ctx context.Context, name string) ([]AttemptStatus, error) {
	r := c.current()
	list, err := r.Attempts(name)
	if err != nil {
		return nil, err
	}
	return seq.Slice(list, attemptOf), r.Durable(ctx)
}

// Results returns what the attempts of a job have set with [Attempt.SetResult], in order
// of the index or, without indexes, of the number of the completion, from 0. Completions
// without a result are left out. It may be called while the job runs, and decodes the
// results there are before it returns. A controller keeps them in memory, as JSON, as
// long as the job. The error is that of [json.Unmarshal], [ErrNotFound], [ErrStore] or
// that of ctx.
func Results[T any](ctx context.Context, c *Controller, job string) (iter.Seq2[int, T], error) {
	j, err := c.current().Find(job)
	if err != nil {
		return results.None[T], err
	}
	all, err := results.Decode[T](j.Results(), job)
	if err == nil {
		err = j.Durable(ctx)
	}
	return all, err
}

// Failures returns an iterator over the indexes of a job that have failed and not
// succeeded since, in order, each with its last failure; some may be tried again. It may
// be called while the job runs; the loop shows what happens meanwhile. A controller keeps
// these failures, each with up to 4 KiB of text, as long as the job, whatever
// [Job.History] is; after a restart, of errors only the texts. The error is
// [ErrNotFound], [ErrStore] or that of ctx.
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

// Events returns the newest events of a job, oldest first: the last 200 about attempts,
// and the last 100 about the job. The error is [ErrNotFound], [ErrStore] or that of ctx.
func (c *Controller) Events(ctx context.Context, name string) ([]Event, error) {
	j, err := c.current().Find(name)
	if err != nil {
		return nil, err
	}
	return seq.Slice(j.Events(), eventOf), j.Durable(ctx)
}

// Logs returns an iterator over the lines that an attempt has written, oldest first: the
// last ones that are kept, at most tail of them, or all if tail is negative. With follow,
// it continues with new lines until the attempt has ended. Attempt is its name or its
// UID. The error is [ErrNotFound], also for an attempt that is no longer kept, or that of
// ctx.
func (c *Controller) Logs(ctx context.Context, job, attempt string, tail int, follow bool) iter.Seq2[LogLine, error] {
	return seq.EachUntilError(c.current().Logs(ctx, job, attempt, tail, follow), logLine)
}

// Stack returns the stack of the goroutine that runs an attempt, given by its name or
// UID, in the form of [runtime/debug.Stack]; empty if it has not started. It stops the
// world for as long as all stacks take to be written. The error is [ErrNotFound] or
// [ErrAttemptEnded].
func (c *Controller) Stack(job, attempt string) (string, error) {
	return c.current().Stack(job, attempt)
}

// DeleteAttempt stops one attempt, given by its name or UID, as deleting its pod would:
// its context is cancelled with [ErrDeleted]; whether it counts as failed, and when it is
// replaced, the job's policies say. The error is [ErrNotFound], [ErrAttemptEnded],
// [ErrShutdown], [ErrStore] or that of ctx.
func (c *Controller) DeleteAttempt(ctx context.Context, job, attempt string) error {
	return c.current().DeleteAttempt(ctx, job, attempt)
}

// Disrupt ends one attempt, given by its name or UID, for a reason outside of it: one of
// those of the condition [ConditionDisruptionTarget]. "TerminationByKubelet" makes it
// Failed with exit code 137 at once, and "DeletionByPodGC" without an exit code, as if
// its node were lost: the end of its executor is ignored, which may still run when the
// attempt is replaced. Any other reason is an eviction, which stops it gracefully. The
// errors are those of [Controller.DeleteAttempt], and one for an unknown reason.
func (c *Controller) Disrupt(ctx context.Context, job, attempt string, reason string) error {
	return c.current().Disrupt(ctx, job, attempt, reason)
}

// SaveRecord keeps a value of an extension beside the jobs: with a [Store], it is durable
// when SaveRecord returns, and the next controller has it. A nil value removes the
// record. A key has at most 90 bytes and begins with the extension's name, such as
// "cron/nightly". Calls for one key must come one at a time. The error names a bad key,
// or is [ErrShutdown], [ErrStore] or that of ctx; then [Controller.Records] has the old
// value.
func (c *Controller) SaveRecord(ctx context.Context, key string, value []byte) error {
	return c.current().SaveRecord(ctx, key, value)
}

// Records returns the records that [Controller.SaveRecord] has kept under keys with that
// prefix, in order of key. The values are copies.
func (c *Controller) Records(prefix string) iter.Seq2[string, []byte] {
	return c.current().Records(prefix)
}

// Shutdown starts no further attempt and waits for those that run. When ctx ends it
// cancels them with [ErrShutdown] and waits for their grace periods. Interrupted attempts
// do not count. The error is an [*AbandonedError] if some have not returned, and
// [ErrStore] if the last changes are not durable. Jobs can still be read afterwards;
// creating or changing one is ErrShutdown. It may be called more than once. An executor
// must not call it, as it would wait for itself: then it only returns an error.
func (c *Controller) Shutdown(ctx context.Context) error {
	left, err := c.runners.Shutdown(ctx)
	if left.IsZero() {
		return err
	}
	abandoned := error((*AbandonedError)(&left))
	if err == nil {
		return abandoned
	}
	return errors.Join(abandoned, err)
}

// Run runs one job and waits for it: see [Controller.Wait]. When ctx ends, the job's
// attempts are cancelled and waited for as by [Controller.Shutdown], and the error is the
// cause of ctx. Attempts see the values of ctx. Nothing is logged, unless by
// [Options.Run], and attempts, events and logs are not kept: for them use a [Controller].
// A job that is suspended or managed by another controller waits until ctx ends.
func Run(ctx context.Context, job Job) (Status, error) { return Options{}.Run(ctx, job) }

// Run is the function [Run] with options, such as a Logger. A Store is an error: a job
// that outlasts the process is one of a [Controller].
func (o Options) Run(ctx context.Context, job Job) (Status, error) {
	if o.Store != nil {
		return Status{}, errors.New("batch: Options.Store: must be nil for Run, which keeps nothing")
	}
	c, options, err := o.controller(ctx)
	if err = cmp.Or(err, validationError(job.Name, job.spec().CheckAlone())); err != nil {
		return Status{}, err
	}
	options.Brief = true
	c.runners.Begin(runner.New(options))
	j, err := c.create(ctx, job)
	if err != nil {
		return Status{}, err
	}
	_, ended := c.wait(ctx, j)
	abandoned := c.Shutdown(ctx)
	status := statusNow(j)
	if e, ok := ended.(*unfinishedError); ok {
		ended = unfinished(status, e.Err, j.LastFailed()) // with what has failed meanwhile
	}
	if abandoned != nil {
		ended = errors.Join(ended, abandoned)
	}
	return status, ended
}

// Map applies fn to every item, as one Indexed job with an index for each item, and
// returns the results in the order of the items. [AttemptFrom] finds the attempt in fn's
// context. Completions, CompletionMode and Executor must not be set. Parallelism nil
// means [runtime.GOMAXPROCS], and Backoff nil means
// ExponentialBackoff(100*time.Millisecond, 10*time.Second, 0.5).
//
// Each item is retried on its own: if job sets neither BackoffLimit nor
// BackoffLimitPerIndex, each item may fail 6 times. Items that fail for good do not stop
// the others; with BackoffLimit alone the job ends when it is exceeded. Either way, and
// if ctx ends, the error is a [*JobError]; CompletedIndexes of its status are the items
// that have a result, the others have zero. No items are a success.
func Map[T, R any](ctx context.Context, job Job, items []T, fn func(context.Context, T) (R, error)) ([]R, error) {
	if err := validationError(job.Name, job.spec().CheckMapped(fn != nil, job.Executor != nil)); err != nil {
		return nil, err
	}
	m := &mapped[T, R]{fn: fn, items: items, results: make([]R, len(items))}
	job.CompletionMode, job.Completions, job.Executor = Indexed, new(len(items)), m
	if job.Parallelism == nil {
		job.Parallelism = new(runtime.GOMAXPROCS(0))
	}
	if job.Backoff == nil {
		job.Backoff = ExponentialBackoff(100*time.Millisecond, 10*time.Second, 0.5)
	}
	if job.BackoffLimit == nil && job.BackoffLimitPerIndex == nil {
		job.BackoffLimitPerIndex = new(spec.BackoffLimit)
	}
	_, err := Run(ctx, job)
	if _, ok := err.(*ValidationError); ok {
		return nil, err
	}
	e, unfinished := errors.AsType[*unfinishedError](err)
	left, abandoned := errors.AsType[*AbandonedError](err)
	switch {
	case unfinished && abandoned:
		err = errors.Join(&e.JobError, left)
	case unfinished:
		err = &e.JobError
	}
	return m.results, err
}
