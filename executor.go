package batch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/iterate"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/names"
	"github.com/runtocompletion/batch/internal/proc"
	"github.com/runtocompletion/batch/internal/runner"
)

// An Executor runs attempts. Execute returns nil if the attempt succeeded; any other
// result, a panic and a call of [runtime.Goexit] make it fail. It must return soon after
// ctx is done: context.Cause(ctx) says why it is, for instance [ErrDeleted]. Several
// goroutines call Execute at once. Ctx ends with Execute; one that is first looked at
// later, by a goroutine left behind, may end with another attempt.
type Executor interface {
	Execute(ctx context.Context, a Attempt) error
}

// ExecutorFunc adapts a function to an [Executor].
type ExecutorFunc func(ctx context.Context, a Attempt) error

// Execute calls f.
func (f ExecutorFunc) Execute(ctx context.Context, a Attempt) error { return f(ctx, a) }

// A PendingExecutor is an [Executor] that needs time to get going, such as one that hands
// its work to another machine. While HoldsPending is true its attempts stay Pending after
// Execute was called, until they call [Attempt.Started]. It is asked when the job is
// created. Time spent Pending does not count towards [Job.AttemptTimeout]. An executor
// that wraps another one should pass both methods on.
type PendingExecutor interface {
	Executor
	HoldsPending() bool
}

func holdsPending(e Executor) bool {
	p, ok := e.(PendingExecutor)
	return ok && p.HoldsPending()
}

// The causes with which an attempt's context is cancelled. They are found by errors.Is in
// context.Cause(ctx). [ErrDeleted] and [ErrShutdown] are more.
var (
	// ErrJobFinished: the job has failed or succeeded without this attempt.
	ErrJobFinished = runner.ErrJobFinished
	// ErrJobDeadline: the job has run for [Job.ActiveDeadline]. It is also ErrJobFinished and
	// [context.DeadlineExceeded], which ctx.Err() then is.
	ErrJobDeadline = runner.ErrJobDeadline
	// ErrSuspended: the job was suspended.
	ErrSuspended = runner.ErrSuspended
	// ErrScaledDown: the job needs fewer attempts or indexes than it has.
	ErrScaledDown = runner.ErrScaledDown
	// ErrDisrupted: the attempt was evicted or lost.
	ErrDisrupted = runner.ErrDisrupted
	// ErrAttemptTimeout: the attempt has run for [Job.AttemptTimeout]. It is also
	// [context.DeadlineExceeded], which ctx.Err() then is.
	ErrAttemptTimeout = runner.ErrAttemptTimeout
	// ErrNoProgress: the attempt gave no sign of life for [Job.ProgressDeadline].
	ErrNoProgress = runner.ErrNoProgress
	// ErrAttemptEnded: Execute has returned. It is also the error of what is attempted
	// through an [Attempt], or with one, after its end.
	ErrAttemptEnded = runner.ErrAttemptEnded
	// ErrTooLarge: what the attempt was to keep exceeds a limit, such as
	// [Job.CheckpointLimit]. It is no cause. The text gives both sizes.
	ErrTooLarge = runner.ErrTooLarge
	// ErrBadCheckpoint: the checkpoint of an [Iteration] cannot be read: it is damaged, or of
	// another sequence or version. It is left as it is. It is no cause.
	ErrBadCheckpoint = errors.New("batch: bad checkpoint")
)

// An Attempt is what an executor sees of the attempt it runs, and how it speaks about it.
// It is valid until Execute returns; afterwards its methods do nothing, or return
// [ErrAttemptEnded]. The zero Attempt is one that has ended. Its methods may be called by
// several goroutines at once.
type Attempt struct {
	// Job is the job's name.
	Job string
	// Index is the completion index, or -1 if the job is not Indexed.
	Index int
	// Number counts the attempts of the same index from 0, with a gap where an index was cut
	// off and added again; in a job that is not Indexed it counts all attempts of the job.
	Number int
	// Restarts is how often this attempt was restarted in place.
	Restarts int

	live runner.Attempt
}

// newAttempt is an attempt for its executor.
func newAttempt(x runner.Execution) Attempt {
	return Attempt{x.Job(), x.Index, x.Number, x.Restarts, x.Attempt}
}

// AttemptFrom returns the attempt that ctx was made for. Helpers that are handed only the
// context, such as the function of [Map], use it. Without one it returns an attempt that
// has ended, with index -1, and false.
func AttemptFrom(ctx context.Context) (Attempt, bool) {
	a, ok := runner.AttemptFrom(ctx)
	if !ok {
		return Attempt{Index: -1}, false
	}
	return newAttempt(a), true
}

// Name is the attempt's name: the job's name, the index if there is one, and five random
// characters.
func (a Attempt) Name() string {
	if a.live.IsZero() {
		return ""
	}
	return a.live.Name(a.Index)
}

// UID tells the attempt from all others. A restart in place keeps it.
func (a Attempt) UID() string {
	if a.live.IsZero() {
		return ""
	}
	return a.live.UID()
}

// Token tells this attempt from every other of any job, in a form that says where it
// belongs: "<job UID>/<index>/<number>". A restart in place keeps it, a retry has another
// one. With a [Store], an attempt of which nobody was told before a crash is made undone
// by it, and is repeated with the same token. Use it to name what an attempt writes, such
// as a staging file. What must happen once for a completion needs a key that its retries
// share, such as the record that the index stands for.
func (a Attempt) Token() string {
	if a.live.IsZero() {
		return ""
	}
	return a.live.Token(a.Index, a.Number)
}

// Fence is higher than that of any attempt that began under an earlier claim of the
// store: what the attempt writes elsewhere can be refused there once a higher one was
// seen. It is for executors that another process may overtake, because this one was
// suspended. Zero means that there is no [Store].
func (a Attempt) Fence() int64 {
	if a.live.IsZero() {
		return 0
	}
	return a.live.Fence()
}

// Labels returns a copy of the labels that the job has now.
func (a Attempt) Labels() map[string]string {
	if a.live.IsZero() {
		return nil
	}
	return maps.Clone(sourceOf(a.live.Definition()).job.Labels)
}

// Annotations returns a copy of the annotations that the job has now.
func (a Attempt) Annotations() map[string]string {
	if a.live.IsZero() {
		return nil
	}
	return maps.Clone(sourceOf(a.live.Definition()).job.Annotations)
}

// Input returns [Job.Input] of an attempt's job as a value of type T. It is decoded once
// for each type, so it costs an attempt next to nothing; all attempts have the same
// value, which must not be modified. The error is that of [json.Unmarshal], or says that
// the job has no input.
func Input[T any](a Attempt) (T, error) {
	value, ok, err := runner.DecodeInput[T](a.live.Input())
	switch {
	case !ok:
		return value, fmt.Errorf("batch: job %q has no input", a.Job)
	case err != nil:
		return value, fmt.Errorf("batch: input of job %q: %w", a.Job, err)
	}
	return value, nil
}

// Logger returns a logger to the controller's logger, with the attributes job, attempt
// and index (-1 if the job is not Indexed), and to the attempt's own log, there from
// level Info on. It is made anew at each call.
func (a Attempt) Logger() *slog.Logger {
	own := slog.NewTextHandler(a.Stderr(), nil)
	if a.live.IsZero() || a.live.Handler() == nil {
		return slog.New(own)
	}
	shared := a.live.Handler().WithAttrs([]slog.Attr{
		slog.String("job", a.Job), slog.String("attempt", a.Name()), slog.Int("index", a.Index)})
	return slog.New(slog.NewMultiHandler(shared, own))
}

// Stdout and Stderr are writers whose last lines are kept with the attempt (see
// [Job.LogLimit] and [Controller.Logs]). They split what is written into lines, never
// wait for a reader, and may be used by several goroutines at once. Lines over 16 KiB are
// cut. After the attempt's end, Write returns [ErrAttemptEnded].
func (a Attempt) Stdout() io.Writer { return a.writer(logtail.Stdout) }

// Stderr is like [Attempt.Stdout].
func (a Attempt) Stderr() io.Writer { return a.writer(logtail.Stderr) }

func (a Attempt) writer(stream logtail.Stream) io.Writer {
	log := a.live.Log()
	if log == nil {
		return endedWriter{}
	}
	if beside := a.live.Beside(stream); beside != nil {
		return io.MultiWriter(logWriter{log.Writer(stream)}, beside)
	}
	return logWriter{log.Writer(stream)}
}

// Waited is how long the attempt waited for a free slot of [Options.MaxActive] before
// this run of its executor; zero without a limit.
func (a Attempt) Waited() time.Duration { return a.live.Waited() }

// Progress reports that done of total units are done; a total of zero is unknown. Phase
// names what is being done and may be empty.
func (a Attempt) Progress(done, total int64, phase string) {
	a.live.SetProgress(runner.Progress{Done: done, Total: total, Phase: phase})
}

// maxOutput is how much of a termination message is kept, as in Kubernetes.
const maxOutput = 4096

// SetOutput leaves the attempt's termination message, at most 4096 bytes of it. It is
// kept with the attempt's status; the last call counts.
func (a Attempt) SetOutput(message string) {
	a.live.SetOutput(shorten(message))
}

// SetResult sets what the attempt results in, for [Results]: a value that encodes as
// JSON, in at most [Job.ResultLimit] bytes. It counts if this execution succeeds and is
// counted as a success, together with that; the last call counts. The error is that of
// [json.Marshal], [ErrTooLarge], or [ErrAttemptEnded]; then what was set before stays.
func (a Attempt) SetResult(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("batch: result: %w", err)
	}
	return a.live.SetResult(runner.Result{Data: data})
}

// SetReady says whether the attempt can do its work. An attempt is ready from its start
// unless it says otherwise.
func (a Attempt) SetReady(ready bool) {
	a.live.SetReady(ready)
}

// Started ends the Pending phase of an attempt whose executor is a [PendingExecutor].
// Otherwise it does nothing.
func (a Attempt) Started() { a.live.Started() }

// SetCondition sets a condition of the attempt, which a failure policy may match
// ([FailureRule.OnConditions]). LastTransitionTime is set by the controller. The error is
// [ErrAttemptEnded], or says that the type is not a qualified name or the status none of
// the three.
func (a Attempt) SetCondition(c Condition) error {
	if problems := names.Qualified(c.Type); len(problems) > 0 {
		return fmt.Errorf("batch: condition type %q: %s", c.Type, strings.Join(problems, "; "))
	}
	if !slices.Contains([]string{"True", "False", "Unknown"}, c.Status) {
		return fmt.Errorf("batch: condition status %q: must be True, False or Unknown", c.Status)
	}
	if !a.live.SetCondition(engine.Condition{
		Type: c.Type, Status: c.Status, Reason: strings.ToValidUTF8(c.Reason, "\uFFFD"),
		Message: strings.ToValidUTF8(c.Message, "\uFFFD")}) {
		return ErrAttemptEnded
	}
	return nil
}

// Checkpoint returns what an attempt has saved last with SaveCheckpoint for the same
// index: this one, or one before it. In a job that is not Indexed, an attempt takes over
// from one that has ended without success, if there is one whose checkpoint no other
// attempt has taken. It is nil if there is none, and a copy. A checkpoint lasts until its
// index has succeeded or the job has finished; with a [Store], also across processes.
func (a Attempt) Checkpoint() []byte { return a.live.Checkpoint("") }

// SaveCheckpoint saves how far the attempt has come, for [Attempt.Checkpoint]. With a
// [Store], it returns when that is durable, which takes as long as a commit; while the
// store fails, it waits until the store works again. The error is [ErrTooLarge], or
// [ErrAttemptEnded], also if a newer attempt has saved one for the index or the index has
// succeeded: then nothing has changed. If ctx or the attempt's own ends first, it is the
// cause or [ErrStore]: then this process has the checkpoint, but it is not known to be
// durable.
func (a Attempt) SaveCheckpoint(ctx context.Context, data []byte) error {
	return a.live.SaveCheckpoint(ctx, "", append([]byte{}, data...))
}

// Dir is a scratch directory of the attempt's own, made at the first call. It survives
// restarts in place and is removed when the attempt has ended. What a process that was
// killed has left is removed by the next one that opens its [Store].
func (a Attempt) Dir() (string, error) { return a.live.Dir() }

// errorText is the text of err, of bounded length.
func errorText(err error) string { return shorten(textOf(err)) }

// textOf calls user code, which may panic.
func textOf(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose text cannot be had: panic: %v", err, v)
		}
	}()
	return err.Error()
}

// shorten cuts a text to what is kept of an output or an error.
func shorten(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxOutput)], "")
}

// A logWriter is a writer of an attempt's log for its executor.
type logWriter struct{ w io.Writer }

func (w logWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		return n, ErrAttemptEnded
	}
	return n, nil
}

type endedWriter struct{}

func (endedWriter) Write([]byte) (int, error) { return 0, ErrAttemptEnded }

// AttemptOptions say which attempt [RunAttempt] runs, and with what. Functions may be
// called by several goroutines at once.
type AttemptOptions struct {
	// Job is the attempt's job. Its Executor runs; its FailurePolicy says what an error
	// means. What it says of other attempts, and of the job as a whole, does not matter.
	Job Job
	// Name, UID and Token are what the attempt says of itself.
	Name, UID, Token string
	// Index is -1 if the job is not Indexed. Number is that of the attempt.
	Index, Number int
	// Stdout and Stderr get all that the attempt prints, as it does so. Nil means that
	// only its log has that.
	Stdout, Stderr io.Writer
	// Logger is that of [Options].
	Logger *slog.Logger
	// Checkpoint returns what was saved last under a name, nil if nothing, and
	// SaveCheckpoint saves it, and returns when that is durable. The name is that of an
	// [Iteration], or empty. Nil means that there are no checkpoints.
	Checkpoint     func(name string) []byte
	SaveCheckpoint func(ctx context.Context, name string, data []byte) error
	// Progress is called for each [Attempt.Progress]. If nil, it is not.
	Progress func(Progress)
}

// AttemptEnd is how an attempt has ended that [RunAttempt] has run.
type AttemptEnd struct {
	AttemptStatus
	// Result is what [Attempt.SetResult] was given last; nil if nothing.
	Result json.RawMessage
	// Rule is the first rule of the job's FailurePolicy with an OnError that has matched
	// the error; -1 if none has. Permanent and Snoozed say whether the error is one of
	// [Permanent] or [Snooze].
	Rule               int
	Permanent, Snoozed bool
}

// RunAttempt runs one attempt of a job whose controller is somewhere else, and returns
// how it has ended: the executor sees what it would see there. The end of ctx cancels the
// attempt, with the same cause, and gives it its grace period. It is not retried.
//
// The error is a [*ValidationError] if the job is invalid, or an [*AbandonedError] if the
// executor has not returned after the grace period.
func RunAttempt(ctx context.Context, o AttemptOptions) (AttemptEnd, error) {
	job := o.Job.withDefaults()
	if err := validationError(job.Name, job.spec().Validate()); err != nil {
		return AttemptEnd{}, err
	}
	end := AttemptEnd{Rule: engine.None}
	c, options, err := Options{Logger: o.Logger}.controller(ctx)
	if err != nil {
		return AttemptEnd{}, err
	}
	options.Brief = true
	r := runner.New(options)
	c.runners.Begin(r)
	def := c.define(job.forOneAttempt(), nil)
	def.Alone = o.alone()
	judge := judgeOf(job.FailurePolicy, c.logPanic)
	def.Judge = func(err, stopped error) runner.Verdict {
		v := judge(err, stopped)
		end.Rule, end.Permanent, end.Snoozed = v.Result.ErrorRule, v.Result.Permanent, v.Result.Snooze
		// Whatever it is, there is no other attempt.
		v.Result = engine.Result{Code: v.Result.Code, ErrorRule: engine.None, Permanent: true}
		return v
	}
	j, err := r.Create(ctx, job.Name, def)
	if err != nil {
		return AttemptEnd{}, err
	}
	_, _ = c.wait(ctx, j) // how the attempt has ended says more than the job
	err = c.Shutdown(ctx)
	for _, a := range j.Attempts() {
		end.AttemptStatus = attemptOf(a)
	}
	end.Name, end.UID, end.Index, end.Number = o.Name, o.UID, o.Index, o.Number
	end.Result = def.Alone.Result(j)
	return end, err
}

// forOneAttempt is the job without what concerns more than one attempt.
func (j *Job) forOneAttempt() Job {
	one := j.clone()
	one.Completions, one.Parallelism, one.CompletionMode = new(1), new(1), NonIndexed
	one.BackoffLimit, one.BackoffLimitPerIndex, one.MaxFailedIndexes = new(0), nil, nil
	one.RestartPolicy, one.FailurePolicy, one.SuccessPolicy = RestartNever, nil, nil
	one.ReplacementPolicy, one.Suspend, one.ManagedBy = ReplaceTerminatingOrFailed, false, nil
	one.ActiveDeadline, one.TTLAfterFinished, one.After = nil, nil, nil
	one.Limits, one.LimitKey, one.History = nil, nil, new(1)
	return one
}

func (o *AttemptOptions) alone() *runner.Alone {
	alone := &runner.Alone{Name: o.Name, UID: o.UID, Token: o.Token, Index: o.Index, Number: o.Number,
		Stdout: o.Stdout, Stderr: o.Stderr, Load: o.Checkpoint, Save: o.SaveCheckpoint}
	if o.Checkpoint == nil {
		alone.Load = func(string) []byte { return nil }
	}
	if o.SaveCheckpoint == nil {
		alone.Save = func(context.Context, string, []byte) error {
			return errors.New("batch: attempt without its job: there are no checkpoints")
		}
	}
	if o.Progress != nil {
		alone.Progress = func(p runner.Progress) {
			o.Progress(Progress{Done: p.Done, Total: p.Total, Phase: p.Phase})
		}
	}
	return alone
}

// Exit codes that are not the executor's own.
const (
	exitError      = 1
	exitPanic      = 2
	exitSignal     = 128 // plus the signal's number
	exitTerminated = 143 // by SIGTERM
)

// ExitCode is the exit code that err stands for: 0 for nil; the code of the first error
// in the chain with a method ExitCode() int, such as [*os/exec.ExitError], unless that is
// 0; 2 for a [PanicError]; otherwise 1. A process ended by signal n has 128+n.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := exitCodeIn(err); ok {
		return code
	}
	return exitError
}

// exitCodeIn finds the exit code that err carries, if it does.
func exitCodeIn(err error) (code int, ok bool) {
	coded, ok := errors.AsType[exitCoder](err)
	if !ok {
		return 0, false
	}
	if e, ok := coded.(*exec.ExitError); ok {
		if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal()), true
		}
	}
	return cmp.Or(coded.ExitCode(), exitError), true
}

type exitCoder interface {
	error
	ExitCode() int
}

// A PanicError is the error of an attempt whose executor panicked, or called
// [runtime.Goexit]: then Value is nil, which it cannot be otherwise.
type PanicError struct {
	Value any
	Stack []byte // as [debug.Stack] gives it
}

func panicked(value any, stack []byte) error { return &PanicError{value, stack} }

// Error gives the value, without the stack.
func (e *PanicError) Error() string {
	if e.Value == nil {
		return "batch: executor called runtime.Goexit"
	}
	return fmt.Sprintf("batch: executor panicked: %v", e.Value)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ExitCode is 2, that of a Go program that panics.
func (e *PanicError) ExitCode() int { return exitPanic }

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

// executeWith calls an executor. A million of them may be blocked at once, so no frame is
// on their stacks that is not needed: a function is called without its adapter.
func executeWith(executor Executor) func(context.Context, runner.Attempt) error {
	if f, ok := executor.(ExecutorFunc); ok {
		return func(ctx context.Context, a runner.Attempt) error { return f(ctx, newAttempt(a.Begun())) }
	}
	return func(ctx context.Context, a runner.Attempt) error { return executor.Execute(ctx, newAttempt(a.Begun())) }
}

// An Iteration works through a long sequence inside an attempt, so that the next attempt
// continues where this one stopped: after a failure, a shutdown, a disruption or, with a
// [Store], a crash. Every item is done at least once, or recorded as skipped. What was at
// work at a crash, or done since the last checkpoint, is done again, so Do should be
// idempotent. Without a Store it resumes within the process.
//
// Several attempts may use one at once if its functions may be called so. It holds at
// most about 4 × Parallelism × ChunkSize items, however long the sequence is.
type Iteration[T, C any] struct {
	// Name tells the iterations of an attempt apart; it may be empty if there is only one. An
	// iteration over another sequence needs another name. At most 50 bytes.
	Name string
	// Items returns the items behind the place that the cursor marks, in an order that does
	// not change. The zero C is the place before all items; if an item may have that as its
	// cursor, let C be a pointer. Items and its iterator run on the goroutine of Run, and
	// should end soon after ctx does. An error that the iterator yields ends the attempt,
	// once the items before it are done. The next one looks whether more items share their
	// last cursor; if the iterator fails at the same place, it calls Items again, with that
	// cursor. Required.
	Items func(ctx context.Context, after C) iter.Seq2[T, error]
	// Cursor returns the place behind an item, such as its key, the offset of its end or, for
	// an index, the index plus one. It is saved as JSON and must come back unchanged: keys
	// that are not UTF-8 need []byte. Items in a row may share a cursor, such as the token of
	// the next page: it is saved when all of them are done. Required.
	Cursor func(item T) C

	// Do works on one item, DoChunk on up to ChunkSize at once; at least one is required. If
	// DoChunk fails, its items are tried again one by one, with Do if it is set. A panic is
	// an error like others. An error marked by [Permanent] ends the iteration at once:
	// nothing is tried again or skipped.
	Do      func(ctx context.Context, item T) error
	DoChunk func(ctx context.Context, items []T) error

	// ChunkSize is how many items one goroutine takes at a time. Zero means 100 with DoChunk
	// and 1 without. A negative value is an error.
	ChunkSize int
	// Parallelism is how many chunks are worked on at once, up to 1,048,576. Zero means 1. A
	// negative value is an error.
	Parallelism int
	// MaxSkipped is how many failing items may be skipped, in all attempts together. Zero
	// means that the first item that fails ends the iteration with an [*ItemError]; the next
	// attempt begins with it. Each skipped item is logged. The checkpoint counts them, and
	// lists them with up to 256 bytes of their errors until the list has 256 KiB: the job's
	// CheckpointLimit must be more.
	MaxSkipped int
	// SkipOn says which errors permit to skip an item, such as ErrorAs[*json.SyntaxError]().
	// Nil means all.
	SkipOn func(err error) bool
	// SaveEvery is the least time between checkpoints. Zero means a second, a negative time
	// none. The last one is always saved.
	SaveEvery time.Duration
	// Total is how many items there are, for [Attempt.Progress], which Run calls at each
	// checkpoint. Zero means that it is not known.
	Total int
}

// Run works through the items behind the last checkpoint and returns nil once every item
// is done or skipped; in later attempts it then returns at once. When ctx ends it starts
// no further item, waits for those at work, saves, and returns context.Cause(ctx); what
// fails then is not counted or skipped. Other errors are an [*ItemError], that of the
// iterator, that of saving a checkpoint (what was done since the last one is done again),
// [ErrBadCheckpoint], or say which field is wrong. The result says how far it came with
// an error, too. While the [Store] fails it continues, and waits at its end until the
// last checkpoint is durable.
func (it Iteration[T, C]) Run(ctx context.Context, a Attempt) (Iterated[C], error) {
	const longestName = 50
	if len(it.Name) > longestName {
		return Iterated[C]{}, fmt.Errorf(
			"batch: name of an iteration: %d bytes: at most %d are allowed", len(it.Name), longestName,
		)
	}
	work := iterate.Work[T, C]{Items: it.Items, Cursor: it.Cursor, Do: it.Do, DoChunk: it.DoChunk,
		ChunkSize: it.ChunkSize, Parallelism: it.Parallelism, MaxSkipped: it.MaxSkipped, SkipOn: it.SkipOn,
		SaveEvery: it.SaveEvery}
	r, err := iterate.Run(ctx, work, iterationCheckpoint{a, "iteration/" + it.Name}, it.hooks(a))
	done := Iterated[C]{Done: r.Done, Unlisted: r.Unlisted, ResumedFrom: r.ResumedFrom}
	for _, s := range r.Skipped {
		done.Skipped = append(done.Skipped, &ItemError[C]{s.Cursor, 1, errors.New(s.Err)})
	}
	return done, iterationError[C](ctx, err)
}

// Iterated says how far an [Iteration] has come.
type Iterated[C any] struct {
	Done        int             // items done, in all attempts, each counted once
	Skipped     []*ItemError[C] // items skipped, in all attempts, in order; the first 256 KiB
	Unlisted    int             // items skipped beyond those
	ResumedFrom *C              // the cursor behind which it went on; nil if from the start
}

// An ItemError is the error of the item, or chunk, that ended an [Iteration], or of an
// item that it skipped: then Err has only the beginning of the text.
type ItemError[C any] struct {
	Cursor C   // of the item, or of the chunk's last one
	Items  int // how many items the call was for
	Err    error
}

// Error names the cursor and gives the error.
func (e *ItemError[C]) Error() string { return "batch: " + (*iterate.ItemError[C])(e).Error() }

// Unwrap returns the error that Do or DoChunk returned.
func (e *ItemError[C]) Unwrap() error { return e.Err }

func (it Iteration[T, C]) hooks(a Attempt) iterate.Hooks[C] {
	return iterate.Hooks[C]{
		Final:     isPermanent,
		Recovered: panicked,
		Skipped: func(cursor C, err error) {
			a.Logger().Warn("item skipped", slog.Any("cursor", cursor), slog.Any("error", err))
		},
		Progress: func(settled int) { a.Progress(int64(settled), int64(it.Total), it.Name) },
	}
}

// An iterationCheckpoint is the checkpoint of one iteration of an attempt.
type iterationCheckpoint struct {
	Attempt
	name string
}

func (c iterationCheckpoint) Load() ([]byte, error) { return c.live.Checkpoint(c.name), nil }

func (c iterationCheckpoint) Save(ctx context.Context, data []byte) error {
	return c.live.SaveCheckpoint(ctx, c.name, append([]byte{}, data...))
}

// iterationError gives an error of package iterate its public form.
func iterationError[C any](ctx context.Context, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *iterate.ItemError[C]:
		return (*ItemError[C])(e)
	case *iterate.CheckpointError:
		return fmt.Errorf("%w: %w", ErrBadCheckpoint, e)
	case interface{ Unwrap() []error }:
		var errs []error
		for _, part := range e.Unwrap() {
			errs = append(errs, iterationError[C](ctx, part))
		}
		return errors.Join(errs...)
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return fmt.Errorf("batch: iteration: %w", err)
}

// A Command is an [Executor] that runs a program. It ends as the program does: its exit
// code is that of the attempt. When the attempt is to stop, the program's process group
// gets SIGTERM and, after the grace period, SIGKILL. On systems without process groups
// the program is killed at once. If this process is killed, its programs are not: one may
// still run when, with a [Store], the next process repeats it.
//
// The end of what it prints to its standard error is in the attempt's error, and so in
// [Status.LastFailure]. A program that is not found has exit code 127, one that cannot be
// started 126, and one ended by signal n 128+n; errors.As finds the [*exec.ExitError] of
// one that ran. A running program costs a thread.
type Command struct {
	// Args are the program and its arguments. Args[0] is looked up in PATH if it has no
	// slash: that of this process, not of Env. Required.
	Args []string
	// Env is added to the environment of this process, "NAME=value". A pod's own variables
	// come on top unless Env has them: JOB_COMPLETION_INDEX for an Indexed job and HOSTNAME,
	// the name that a pod would have.
	Env []string
	// Dir is the working directory; empty means that of this process.
	Dir string
	// Stdin makes what the program reads, anew for each execution; what is an [io.Closer] is
	// closed at its end. An error fails the attempt. Nil means that the standard input is
	// empty.
	Stdin func() (io.Reader, error)
	// Stdout and Stderr receive the program's output in addition to the attempt's log; nil
	// means only the log. They must allow concurrent use. If both are the same writer, the
	// program has one pipe for both, as in [os/exec]: then the order of what it prints is
	// kept, and the log has all of it as stdout.
	Stdout, Stderr io.Writer
}

// Execute runs the program.
func (c Command) Execute(ctx context.Context, a Attempt) (err error) {
	p := proc.Program{Args: c.Args, Env: c.environment(a), Dir: c.Dir, Grace: a.live.Grace(killTime)}
	if c.Stdin != nil {
		if p.Stdin, err = c.Stdin(); err != nil {
			return fmt.Errorf("batch: stdin of %q: %w", c.Args[0], err)
		}
		if closer, ok := p.Stdin.(io.Closer); ok {
			defer func() { err = errors.Join(err, closer.Close()) }()
		}
	}
	var said logtail.Tail
	if c.Stdout != nil && proc.SameWriter(c.Stdout, c.Stderr) {
		p.Stdout = io.MultiWriter(a.Stdout(), c.Stdout, &said)
		p.Stderr = p.Stdout
	} else {
		p.Stdout, p.Stderr = tee(a.Stdout(), c.Stdout), io.MultiWriter(tee(a.Stderr(), c.Stderr), &said)
	}
	if err = proc.Run(ctx, p); err == nil || said.String() == "" {
		return err
	}
	return &saidError{err, said.String()}
}

// A saidError is the error of a program, with what it said last.
type saidError struct {
	err  error
	said string
}

func (e *saidError) Error() string { return e.err.Error() + ": " + e.said }
func (e *saidError) Unwrap() error { return e.err }

// environment puts the pod's variables between those of this process and Env: of two
// values, the last one counts.
func (c Command) environment(a Attempt) []string {
	env := append(os.Environ(), "HOSTNAME="+a.hostname())
	if a.Index >= 0 {
		env = append(env, "JOB_COMPLETION_INDEX="+strconv.Itoa(a.Index))
	}
	return append(env, c.Env...)
}

// hostname is the job's name and the index of an Indexed job, and the attempt's name of
// others.
func (a Attempt) hostname() string {
	if a.Index >= 0 {
		return a.Job + "-" + strconv.Itoa(a.Index)
	}
	return a.Name()
}

// killTime is what it takes, at most, to kill a program and to read the rest of its
// output: an attempt is not to be given up just before that.
const killTime = 2 * time.Second

func tee(log, other io.Writer) io.Writer {
	if other == nil {
		return log
	}
	return io.MultiWriter(log, other)
}
