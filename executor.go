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
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/checkpoint"
	"github.com/runtocompletion/batch/internal/delay"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/iterate"
	"github.com/runtocompletion/batch/internal/logtail"
	"github.com/runtocompletion/batch/internal/names"
	"github.com/runtocompletion/batch/internal/proc"
)

// An Executor runs attempts. Execute returns nil if the attempt succeeded; any
// other result, a panic and a call of [runtime.Goexit] make it fail. It must
// return soon after ctx is done: context.Cause(ctx) says why it is, for
// instance [ErrDeleted]. Several goroutines call Execute at once. Ctx ends with
// Execute; one that is first looked at later, by a goroutine left behind, may
// end with another attempt.
type Executor interface {
	Execute(ctx context.Context, a Attempt) error
}

// ExecutorFunc adapts a function to an [Executor].
type ExecutorFunc func(ctx context.Context, a Attempt) error

// Execute calls f.
func (f ExecutorFunc) Execute(ctx context.Context, a Attempt) error { return f(ctx, a) }

// A PendingExecutor is an [Executor] that needs time to get going, such as one
// that hands its work to another machine. While HoldsPending is true its
// attempts stay Pending after Execute was called, until they call
// [Attempt.Started]. It is asked when the job is created. Time spent Pending does
// not count towards [Job.AttemptTimeout]. An executor that wraps another one
// should pass both methods on.
type PendingExecutor interface {
	Executor
	HoldsPending() bool
}

// The causes with which an attempt's context is cancelled. They are found by
// errors.Is in context.Cause(ctx). [ErrShutdown] is one more.
var (
	// ErrDeleted: the attempt was asked to stop, by a user or because its job
	// was deleted.
	ErrDeleted = errors.New("batch: attempt deleted")
	// ErrJobFinished: the job has failed or succeeded without this attempt.
	ErrJobFinished = errors.New("batch: job finished")
	// ErrSuspended: the job was suspended.
	ErrSuspended = errors.New("batch: job suspended")
	// ErrScaledDown: the job needs fewer attempts or indexes than it has.
	ErrScaledDown = errors.New("batch: job scaled down")
	// ErrDisrupted: the attempt was evicted or lost.
	ErrDisrupted = errors.New("batch: attempt disrupted")
	// ErrAttemptTimeout: the attempt has run for [Job.AttemptTimeout].
	ErrAttemptTimeout = errors.New("batch: attempt timed out")
	// ErrAttemptEnded: Execute has returned; also the error of what is
	// attempted through an [Attempt] after its end.
	ErrAttemptEnded = errors.New("batch: attempt ended")
)

// An Attempt is what an executor sees of the attempt it runs, and how it
// speaks about it. It is valid until Execute returns; afterwards its methods
// do nothing, or return [ErrAttemptEnded]. The zero Attempt is one that has
// ended. Its methods may be called by several goroutines at once.
type Attempt struct {
	// Job is the job's name.
	Job string
	// Index is the completion index, or -1 if the job is not Indexed.
	Index int
	// Number counts the attempts of the same index from 0, with a gap where an
	// index was cut off and added again; in a job that is not Indexed it counts
	// all attempts of the job.
	Number int
	// Restarts is how often this attempt was restarted in place.
	Restarts int

	run *run
	seq int64 // tells the run's attempts apart
}

// AttemptFrom returns the attempt that ctx was made for. Helpers that are
// handed only the context, such as the function of [Map], use it. Without one
// it returns an attempt that has ended, with index -1, and false.
func AttemptFrom(ctx context.Context) (Attempt, bool) {
	if a, ok := ctx.Value(attemptKey{}).(Attempt); ok {
		return a, true
	}
	return Attempt{Index: -1}, false
}

// Name is the attempt's name: the job's name, the index if there is one, and
// five random characters (R117).
func (a Attempt) Name() string {
	if a.run == nil {
		return ""
	}
	return a.run.job.id.Name(a.seq, a.Index)
}

// UID tells the attempt from all others. A restart in place keeps it.
func (a Attempt) UID() string {
	if a.run == nil {
		return ""
	}
	return a.run.job.id.AttemptUID(a.seq)
}

// Token tells this attempt from every other of any job, in a form that says
// where it belongs: "<job UID>/<index>/<number>". A restart in place keeps it, a
// retry has another one. With a [Store], an attempt of which nobody was told
// before a crash is made undone by it, and is repeated with the same token. Use it
// to name what an attempt writes, such as a staging file. What must happen once
// for a completion needs a key that its retries share, such as the record that the
// index stands for.
func (a Attempt) Token() string {
	if a.run == nil {
		return ""
	}
	return a.run.job.id.String() + "/" + strconv.Itoa(a.Index) + "/" + strconv.Itoa(a.Number)
}

// Logger returns a logger to the controller's logger, with the attributes job,
// attempt and index (-1 if the job is not Indexed), and to the attempt's own
// log, there from level Info on. It is made anew at each call.
func (a Attempt) Logger() *slog.Logger {
	own := slog.NewTextHandler(a.Stderr(), nil)
	if a.run == nil {
		return slog.New(own)
	}
	shared := a.run.job.c.logger.Handler().WithAttrs([]slog.Attr{
		slog.String("job", a.Job), slog.String("attempt", a.Name()), slog.Int("index", a.Index)})
	return slog.New(slog.NewMultiHandler(shared, own))
}

// Stdout and Stderr are writers whose last lines are kept with the attempt
// (see [Job.LogLimit] and [Controller.Logs]). They split what is written into
// lines, never wait for a reader, and may be used by several goroutines at once.
// Lines over 16 KiB are cut. After the attempt's end, Write returns
// [ErrAttemptEnded].
func (a Attempt) Stdout() io.Writer { return a.writer(logtail.Stdout) }

// Stderr is like [Attempt.Stdout].
func (a Attempt) Stderr() io.Writer { return a.writer(logtail.Stderr) }

func (a Attempt) writer(stream logtail.Stream) io.Writer {
	var w io.Writer = endedWriter{}
	a.with(func(r *run) { w = logWriter{r.keep().log.Writer(stream)} })
	return w
}

// Progress reports that done of total units are done; a total of zero is
// unknown. Phase names what is being done and may be empty.
func (a Attempt) Progress(done, total int64, phase string) {
	a.with(func(r *run) {
		r.keep().progress = AttemptProgress{done, total, phase}
		r.job.changed()
	})
}

// maxOutput is how much of a termination message is kept, as in Kubernetes.
const maxOutput = 4096

// SetOutput leaves the attempt's termination message, at most 4096 bytes of
// it. It is kept with the attempt's status; the last call counts.
func (a Attempt) SetOutput(message string) {
	message = shorten(message)
	a.with(func(r *run) {
		r.keep().output = message
		r.job.engine.Touch(r.attempt)
		r.job.changed()
	})
}

// SetReady says whether the attempt can do its work. An attempt is ready from
// its start unless it says otherwise (R40).
func (a Attempt) SetReady(ready bool) {
	a.tell(engine.Event{Kind: engine.ReadyChanged, Ready: ready})
}

// Started ends the Pending phase of an attempt whose executor is a
// [PendingExecutor]. Otherwise it does nothing.
func (a Attempt) Started() { a.tell(engine.Event{Kind: engine.Started}) }

// SetCondition sets a condition of the attempt, which a failure policy may
// match ([FailureRule.OnConditions]). LastTransitionTime is set by the
// controller. The error is [ErrAttemptEnded], or says that the type is not a
// qualified name (R81) or the status none of the three.
func (a Attempt) SetCondition(c Condition) error {
	if problems := names.Qualified(string(c.Type)); len(problems) > 0 {
		return fmt.Errorf("batch: condition type %q: %s", c.Type, strings.Join(problems, "; "))
	}
	if !slices.Contains([]ConditionStatus{ConditionTrue, ConditionFalse, ConditionUnknown}, c.Status) {
		return fmt.Errorf("batch: condition status %q: must be True, False or Unknown", c.Status)
	}
	if !a.tell(engine.Event{Kind: engine.ConditionSet, Cond: engine.Condition{
		Type: string(c.Type), Status: string(c.Status), Reason: strings.ToValidUTF8(string(c.Reason), "\uFFFD"),
		Message: strings.ToValidUTF8(c.Message, "\uFFFD")}}) {
		return ErrAttemptEnded
	}
	return nil
}

// Checkpoint returns what an attempt has saved last with SaveCheckpoint for the
// same index: this one, or one before it. In a job that is not Indexed, an
// attempt takes over from one that has ended without success, if there is one
// whose checkpoint no other attempt has taken. It is nil if there is none, and a
// copy. A checkpoint lasts until its index has succeeded or the job has finished;
// with a [Store], also across processes.
func (a Attempt) Checkpoint() []byte { return a.checkpoint("") }

// checkpoint is Checkpoint for one of several things that an attempt saves.
func (a Attempt) checkpoint(name string) (data []byte) {
	a.with(func(r *run) {
		if c := r.checkpoint(); c != nil {
			data = c.Value(name)
		}
	})
	return data
}

// SaveCheckpoint saves how far the attempt has come, for [Attempt.Checkpoint].
// With a [Store], it returns when that is durable, which takes as long as a
// commit; while the store fails, it waits until the store works again. The error is
// a [*CheckpointSizeError], or [ErrAttemptEnded], also if a newer attempt has saved
// one for the index or the index has succeeded: then nothing has changed. It is a
// [*StoreError] if the attempt's context ends while the store fails: then this
// process has the checkpoint, but it is not known to be durable.
func (a Attempt) SaveCheckpoint(data []byte) error {
	return a.saveCheckpoint(context.Background(), "", data)
}

// saveCheckpoint is SaveCheckpoint for one of several things that an attempt saves.
// If ctx ends first, the error is its cause.
func (a Attempt) saveCheckpoint(ctx context.Context, name string, data []byte) error {
	err := ErrAttemptEnded
	var attempt context.Context
	a.with(func(r *run) { attempt, err = r.ctx, r.saveCheckpoint(a, name, append([]byte{}, data...)) })
	if err != nil {
		return err
	}
	c := a.run.job.c
	err = c.durable(ctx)
	if _, ok := errors.AsType[*StoreError](err); ok {
		return storeError(c.journal.Outlast(attempt))
	}
	return err
}

// A CheckpointSizeError reports a checkpoint that is too large.
type CheckpointSizeError struct {
	Size, Limit int // in bytes; see [Job.CheckpointLimit]
}

// Error gives both sizes.
func (e *CheckpointSizeError) Error() string {
	return fmt.Sprintf("batch: checkpoint of %d bytes: at most %d are allowed", e.Size, e.Limit)
}

// LoadCheckpoint decodes [Attempt.Checkpoint] from JSON; ok is false if there is
// none. The error is that of [json.Unmarshal].
func LoadCheckpoint[T any](a Attempt) (value T, ok bool, err error) {
	data := a.Checkpoint()
	if data == nil {
		return value, false, nil
	}
	err = json.Unmarshal(data, &value)
	return value, err == nil, err
}

// SaveCheckpoint saves a value as JSON with [Attempt.SaveCheckpoint]. The error
// is its, or that of [json.Marshal].
func SaveCheckpoint[T any](a Attempt, value T) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return a.SaveCheckpoint(data)
}

// Dir is a scratch directory of the attempt's own, made at the first call. It
// survives restarts in place and is removed when the attempt has ended.
func (a Attempt) Dir() (string, error) {
	if dir, ok := a.dir(); !ok || dir != "" {
		return dir, endedUnless(ok)
	}
	made, err := os.MkdirTemp("", "batch-"+a.Job+"-")
	if err != nil {
		return "", err
	}
	dir := ""
	a.with(func(r *run) {
		if k := r.keep(); k.dir == "" {
			k.dir = made
		}
		dir = r.kept.dir
	})
	if dir != made { // another goroutine was first, or the attempt has ended
		return dir, errors.Join(os.RemoveAll(made), endedUnless(dir != ""))
	}
	return dir, nil
}

func (a Attempt) dir() (dir string, ok bool) {
	ok = a.with(func(r *run) {
		if r.kept != nil {
			dir = r.kept.dir
		}
	})
	return dir, ok
}

func endedUnless(ok bool) error {
	if ok {
		return nil
	}
	return ErrAttemptEnded
}

// with calls f under the job's lock if the attempt has not ended, and reports
// whether it did.
func (a Attempt) with(f func(r *run)) bool {
	if a.run == nil {
		return false
	}
	j := a.run.job
	j.lock()
	defer j.mu.Unlock()
	if !a.run.runs(a) {
		return false
	}
	f(a.run)
	return true
}

// tell gives the engine an event of the attempt, if it has not ended.
func (a Attempt) tell(ev engine.Event) bool {
	if a.run == nil {
		return false
	}
	j := a.run.job
	j.lock()
	if !a.run.runs(a) {
		j.mu.Unlock()
		return false
	}
	ev.Attempt = a.run.attempt
	if ev.Kind == engine.ConditionSet {
		ev.Cond.At = j.c.now()
	}
	j.do(ev)
	return true
}

// A run is one attempt as seen from the goroutine that runs it. It belongs to
// the engine's record of the attempt and is used again with it.
type run struct {
	job     *jobRun
	attempt *engine.Attempt
	ctx     *attemptContext

	// The next two belong to the goroutine that runs the executor.
	lane     *engine.Lane // nil until it has had one
	revision uint64       // of the job; once that has been seen, others are to be told of what happens in the lane

	// The fields below are guarded by job.mu.
	seq  int64  // of the attempt that they belong to
	err  error  // of the last call of the executor
	text string // of err: a method Error is user code, not to be called under a lock
	kept *kept  // what the executor has left; nil if nothing
}

func runOf(a *engine.Attempt) *run { return a.Owner.(*run) }

// start prepares an execution, or has it wait for the job's turn.
func (j *jobRun) start(a *engine.Attempt, w *wishes) {
	r := j.own(a)
	if j.c.turns != nil {
		j.line = append(j.line, start{a, a.Seq})
		if !j.inLine {
			j.inLine = true
			j.c.turns.Join(j)
		}
		return
	}
	j.engine.Pin(a)
	if w.first == nil {
		w.first = r
	} else {
		w.rarely().others = append(w.rarely().others, r)
	}
}

// own returns the run of an attempt that is to start, or to start again. One
// whose record served another attempt before has nothing of that any more.
func (j *jobRun) own(a *engine.Attempt) *run {
	r, ok := a.Owner.(*run)
	switch {
	case !ok:
		r = &run{job: j, attempt: a}
		r.ctx = &attemptContext{run: r}
		a.Owner = r
	case r.seq != a.Seq && (r.err != nil || r.kept != nil):
		r.err, r.text, r.kept = nil, "", nil
	}
	r.seq = a.Seq
	return r
}

// stop ends an attempt's context.
func (j *jobRun) stop(a *engine.Attempt, why engine.Cause, w *wishes) {
	r := runOf(a)
	if live := r.ctx.stop(stopCauses[why]); live != nil {
		w.rarely().cancels = append(w.rarely().cancels, cancellation{live, why})
	}
	if a.Phase >= engine.Succeeded { // it was lost, and nobody waits for it
		if j.zombies == nil {
			j.zombies = make(map[*run]struct{})
		}
		j.zombies[r] = struct{}{}
	}
}

var stopCauses = [...]error{
	engine.CauseDeleted:    ErrDeleted,
	engine.CauseFinished:   ErrJobFinished,
	engine.CauseSuspended:  ErrSuspended,
	engine.CauseScaledDown: ErrScaledDown,
	engine.CauseDisrupted:  ErrDisrupted,
	engine.CauseTimeout:    ErrAttemptTimeout,
	engine.CauseShutdown:   ErrShutdown,
}

// deadline is when the attempt or its job runs out of time; zero if never. It
// needs j.mu.
func (j *jobRun) deadline(a *engine.Attempt) time.Time {
	at := engine.Never
	if j.spec.ActiveDeadline != nil {
		at = j.engine.StartTime.Add(*j.spec.ActiveDeadline)
	}
	if j.spec.AttemptTimeout != nil && a.StartedAt != 0 {
		at = min(at, a.StartedAt.Add(*j.spec.AttemptTimeout))
	}
	if at == engine.Never {
		return time.Time{}
	}
	return asTime(at)
}

// kept is what an attempt leaves besides its outcome.
type kept struct {
	log      logtail.Log
	output   string
	progress AttemptProgress
	dir      string
	saved    *checkpoint.Checkpoint // of a job that is not Indexed, the one it has taken
	delays   delay.Sequence         // before restarts, of a job with a RestartBackoff
}

// keep returns what the attempt has left, to be added to. It needs job.mu.
func (r *run) keep() *kept {
	if r.kept == nil {
		r.kept, r.seq = new(kept), r.attempt.Seq
		r.kept.log.Reset(cmp.Or(*r.job.spec.LogLimit, -1)) // 0 is the log's default
		r.attempt.Notify = true
	}
	return r.kept
}

// close ends the attempt's log, drops its checkpoint or leaves it to the attempt
// that goes on with the work, and returns the directory to be removed. It needs job.mu.
func (r *run) close() (dir string) {
	r.kept.log.Close()
	if c := r.kept.saved; c != nil {
		r.kept.saved = nil
		if r.attempt.IsCompletion() {
			r.job.checkpoints.Drop(c.ID)
		} else {
			r.job.checkpoints.Leave(c)
		}
	}
	dir, r.kept.dir = r.kept.dir, ""
	return dir
}

// lastLines are the last lines that the attempt printed. It needs job.mu.
func (r *run) lastLines() []LogLine {
	if r.kept == nil {
		return nil
	}
	var lines []LogLine
	for _, line := range r.kept.log.Lines(10) {
		lines = append(lines, logLine(line))
	}
	return lines
}

// restarts asks for the delay before the n-th restart of an attempt, if this is
// still its run. It calls user code.
func (r *run) restarts(seq int64, n int, fresh Backoff) (time.Duration, error) {
	r.job.lock()
	if r.seq != seq {
		r.job.mu.Unlock()
		return 0, nil
	}
	delays := &r.keep().delays // only this goroutine asks it
	r.job.mu.Unlock()
	return delays.After(n, fresh)
}

// checkpoint finds what the attempt goes on from. It needs job.mu.
func (r *run) checkpoint() *checkpoint.Checkpoint {
	c := r.ownCheckpoint()
	if c == nil && r.attempt.Index < 0 {
		if c = r.job.checkpoints.TakeOver(); c != nil {
			r.keep().saved = c
		}
	}
	return c
}

// ownCheckpoint is the one that the attempt has, without taking over one. It
// needs job.mu.
func (r *run) ownCheckpoint() *checkpoint.Checkpoint {
	switch {
	case r.attempt.Index >= 0:
		return r.job.checkpoints.Of(int64(r.attempt.Index))
	case r.kept != nil:
		return r.kept.saved
	}
	return nil
}

// saveCheckpoint keeps a checkpoint, to be stored with what else has changed. It
// needs job.mu.
func (r *run) saveCheckpoint(a Attempt, name string, data []byte) error {
	j := r.job
	if limit := *j.spec.CheckpointLimit; len(data) > limit {
		return &CheckpointSizeError{len(data), limit}
	}
	c := r.ownCheckpoint()
	if c != nil && c.By > a.seq || j.engine.Completed.Contains(a.Index) {
		return ErrAttemptEnded
	}
	if c == nil {
		c = r.newCheckpoint()
	}
	j.checkpoints.Save(c, name, data, a.seq)
	if j.c.journal != nil {
		j.changed()
	}
	return nil
}

func (r *run) newCheckpoint() *checkpoint.Checkpoint {
	if r.attempt.Index >= 0 {
		return r.job.checkpoints.Add(int64(r.attempt.Index))
	}
	r.keep().saved = r.job.checkpoints.Add(r.attempt.Seq)
	return r.kept.saved
}

// A stackMark is an argument that shows in a stack trace as it is: arrays are
// passed on the stack, where other arguments are in registers, of which a trace
// shows what is left in them.
type stackMark [2]*run

// stackIn finds the stack of the goroutine that runs the executor among those
// of allStacks: the one with the mark of r.
func (r *run) stackIn(stacks string) string {
	mark := fmt.Sprintf("{%p, %p}", r, r)
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		if strings.Contains(stack, mark) {
			return stack
		}
	}
	return "not found"
}

// allStacks returns the stacks of all goroutines, as far as a megabyte goes.
func allStacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

// runs reports whether a is the execution that is going on. It needs job.mu.
func (r *run) runs(a Attempt) bool {
	e := r.attempt
	return e.Pinned && e.Seq == a.seq && e.Restarts == a.Restarts && e.Phase < engine.Succeeded
}

// view is the attempt as its executor sees it. It needs job.mu, or that the
// executor runs: what it reads does not change meanwhile.
func (r *run) view() Attempt {
	e := r.attempt
	return Attempt{Job: r.job.id.Job, Index: e.Index, Number: e.Number, Restarts: e.Restarts, run: r, seq: e.Seq}
}

// returned takes in that the executor has returned. It needs job.mu.
func (r *run) returned() {
	r.attempt.Pinned = false
	r.seq = r.attempt.Seq
	if len(r.job.zombies) > 0 {
		delete(r.job.zombies, r)
	}
	if !r.ctx.untouched() {
		r.ctx.end()
		r.ctx = &attemptContext{run: r}
	}
}

// call runs the executor. It is a function of its own for stackIn to find.
//
//go:noinline
func (r *run) call(_ stackMark) error { return r.job.executor.Execute(r.ctx, r.view()) }

// plain reports whether there is nothing to put in order before the run can
// serve another attempt. It needs job.mu.
func (r *run) plain() bool {
	a := r.attempt
	return r.err == nil && r.kept == nil && len(r.job.zombies)+r.job.checkpoints.Len() == 0 && r.ctx.untouched() &&
		(a.Failures+a.Ignored == 0 || !r.job.engine.Spec.CustomDelay)
}

// work runs an attempt, and after it whatever attempt its end makes room for:
// a goroutine goes on as long as there is something to run, as handing over to
// another one costs more than a short attempt does.
func (c *Controller) work(r *run) {
	for r != nil {
		r = c.workUntilPanic(r)
	}
}

// workUntilPanic is work until an executor panics. It then returns what is to
// be run next. If an executor calls runtime.Goexit, this goroutine ends and
// another one goes on. To defer this once, and not for each attempt, saves a
// tenth of what a short one costs.
func (c *Controller) workUntilPanic(r *run) (next *run) {
	executing := false
	defer func() {
		if !executing {
			return
		}
		if v := recover(); v != nil {
			next = r.job.ended(r, &PanicError{Value: v, Stack: debug.Stack()})
			return
		}
		exited := &PanicError{Value: ErrGoexit, Stack: debug.Stack()}
		c.spawn(func() { c.work(r.job.ended(r, exited)) })
	}()
	for r != nil {
		executing = true
		err := r.call(stackMark{r, r})
		executing = false
		r = r.job.ended(r, err)
	}
	return nil
}

// ended takes in how an execution ended and returns the next one for this
// goroutine, if there is one.
func (j *jobRun) ended(r *run, err error) *run {
	if err != nil {
		return j.endedWith(r, err)
	}
	now := j.c.now()
	if r.lane != nil && r.lane.Renew(r.attempt, now) {
		if j.c.feed.HasSeen(r.revision) {
			r.revision = j.c.feed.Changed(&j.entry)
		}
		return r
	}
	j.mu.Lock() // and the lanes of others stay open
	if r.plain() && j.renew(r, now) {
		j.changed()
		r.revision = j.entry.Revision()
		j.mu.Unlock()
		return r
	}
	j.catchUp()
	index, failed := r.attempt.Index, r.attempt.Failures+r.attempt.Ignored
	r.returned()
	if r.err != nil { // of an execution before a restart in place
		r.err, r.text = nil, ""
	}
	w := j.apply(j.engine.Ended(r.attempt, engine.Result{ErrorRule: engine.None}, now))
	over := failed > 0 && j.indexIsOver(index)
	if j.checkpoints.Len() > 0 && j.engine.Completed.Contains(index) {
		j.checkpoints.Drop(int64(index))
	}
	j.mu.Unlock()
	return j.afterwards(index, over, w)
}

// renew lets a run go on with the next attempt, if nothing but that is to be done,
// and from then on in a lane, if there is one for it. It needs j.mu, but not what
// the lanes have.
func (j *jobRun) renew(r *run, now engine.Time) bool {
	r.lane = j.engine.Lane(r.attempt, now)
	if r.lane != nil && r.lane.Renew(r.attempt, now) {
		return true
	}
	j.catchUp()
	return j.engine.Renew(r.attempt, now)
}

// endedWith is ended for an execution that returned an error.
func (j *jobRun) endedWith(r *run, err error) *run {
	return j.endedAs(r, err, r.judge(err))
}

// endedAs is endedWith once it is known what the error came to.
func (j *jobRun) endedAs(r *run, err error, v verdict) *run {
	now := j.c.now()
	j.lock()
	a := r.view()
	stopped := r.ctx.cause != nil
	r.returned()
	r.err, r.text = err, v.text
	before := j.lastText
	j.lastText = failureText{a.seq, err, v.text}
	if next := j.engine.Retry(r.attempt, v.result, now); next != nil {
		j.engine.Pin(next)
		j.changed()
		r = j.own(next)
		j.mu.Unlock()
		j.logFailure(a, false, v.text)
		return r
	}
	w := j.apply(j.engine.Ended(r.attempt, v.result, now))
	if f := j.engine.LastFailure; f.At == 0 || f.Seq != a.seq { // it was stopped, and does not count
		j.lastText = before
	}
	over := j.indexIsOver(a.Index)
	j.mu.Unlock()
	j.logFailure(a, stopped, v.text)
	return j.afterwards(a.Index, over, w)
}

// indexIsOver reports whether an index needs no more delays from a back-off of
// its own. It needs j.mu.
func (j *jobRun) indexIsOver(index int) bool {
	e := j.engine
	return index >= 0 && e.Spec.CustomDelay && (e.Completed.Contains(index) || e.GivenUp.Contains(index))
}

// afterwards gives back what an execution had taken, and goes on.
func (j *jobRun) afterwards(index int, over bool, w wishes) *run {
	if over {
		j.retries.Drop(index)
	}
	if j.c.turns != nil {
		j.c.turns.Release()
	}
	return j.goOn(w)
}

// goOn is carryOut for a goroutine of spawn, which finds the delays itself.
func (j *jobRun) goOn(w wishes) *run {
	next := j.carryOut(w)
	if w.rare == nil || len(w.rare.delays) == 0 {
		return next
	}
	if next != nil {
		j.c.spawnRun(next)
	}
	return j.answer(w.rare.delays)
}

// A verdict is what the error of an executor came to.
type verdict struct {
	result engine.Result
	text   string
}

// judge finds out what an error came to. It calls user code: if that calls
// runtime.Goexit, this goroutine ends, and the rest is done on another.
func (r *run) judge(err error) (v verdict) {
	judged := false
	defer func() {
		if !judged {
			exited := &PanicError{Value: ErrGoexit, Stack: debug.Stack()}
			v := verdict{engine.Result{Code: exitPanic, ErrorRule: engine.None}, exited.Error()}
			r.job.c.spawn(func() { r.job.c.work(r.job.endedAs(r, exited, v)) })
		}
	}()
	v = verdict{r.result(err), errorText(err)}
	judged = true
	return v
}

// result says what an error means to the job. It calls user code; an error
// whose methods panic has exit code 1.
func (r *run) result(err error) (res engine.Result) {
	res = engine.Result{Code: exitError, ErrorRule: engine.None}
	defer func() {
		if v := recover(); v != nil {
			r.job.log(slog.LevelError, "error of an executor panicked", slog.Any("panic", v))
		}
	}()
	res.Code = r.exitCode(err)
	permanent, _ := errors.AsType[*backoff.PermanentError](err)
	res.Permanent = permanent != nil
	res.ErrorRule = slices.IndexFunc(r.job.rules, func(rule FailureRule) bool {
		return rule.OnError != nil && r.matches(rule.OnError, err)
	})
	return res
}

// exitCode is ExitCode, but for an attempt that was asked to stop and says no
// more than that it did: such a container exits with 143.
func (r *run) exitCode(err error) int {
	if code, ok := exitCodeIn(err); ok {
		return code
	}
	if r.ctx.live.Load() == nil {
		return exitError // it cannot know that it was asked to stop
	}
	r.job.lock()
	cause := r.ctx.cause
	r.job.mu.Unlock()
	if cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cause)) {
		return exitTerminated
	}
	return exitError
}

func (r *run) matches(match func(error) bool, err error) (matched bool) {
	defer func() {
		if v := recover(); v != nil {
			matched = false
			r.job.log(slog.LevelError, "failure rule panicked", slog.Any("panic", v))
		}
	}()
	return match(err)
}

// errorText is the text of err, of bounded length. It calls user code.
func errorText(err error) (text string) {
	if err == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose text cannot be had: panic: %v", err, v)
		}
	}()
	return shorten(err.Error())
}

// shorten cuts a text to what is kept of an output or an error.
func shorten(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxOutput)], "")
}

type attemptKey struct{}

// An attemptContext is the context of one attempt. What it takes to cancel it
// is made when somebody first asks; a context that nobody has asked serves the
// next attempt of its goroutine too, so an executor that does not look at its
// context costs nothing for it.
type attemptContext struct {
	run   *run
	live  atomic.Pointer[liveContext]
	cause error // why it was cancelled; guarded by job.mu
}

// A liveContext is a context that somebody has asked.
type liveContext struct {
	context.Context
	cancel   context.CancelCauseFunc
	attempt  Attempt
	deadline time.Time
}

func (c *attemptContext) asked() *liveContext {
	if live := c.live.Load(); live != nil {
		return live
	}
	j := c.run.job
	j.lock()
	defer j.mu.Unlock()
	if live := c.live.Load(); live != nil {
		return live
	}
	ctx, cancel := context.WithCancelCause(j.c.values)
	live := &liveContext{ctx, cancel, c.run.view(), j.deadline(c.run.attempt)}
	if !c.run.attempt.Pinned { // somebody was left behind by the executor
		cancel(ErrAttemptEnded)
		return live // not stored: c may serve another attempt
	}
	if c.cause != nil {
		cancel(c.cause)
	}
	c.live.Store(live)
	return live
}

// stop says why the context ends, and returns what is to be cancelled as soon as
// job.mu is released: whoever wakes up wants it. It is nil if nobody has asked,
// or the context has been stopped before. It needs job.mu.
func (c *attemptContext) stop(cause error) *liveContext {
	if c.cause != nil {
		return nil
	}
	c.cause = cause
	return c.live.Load()
}

// end cancels the context of an attempt that has ended. It needs job.mu.
func (c *attemptContext) end() {
	c.cause = cmp.Or(c.cause, ErrAttemptEnded)
	if live := c.live.Load(); live != nil {
		live.cancel(c.cause)
	}
}

// untouched reports whether the context may serve another attempt. It needs
// job.mu.
func (c *attemptContext) untouched() bool { return c.cause == nil && c.live.Load() == nil }

// Deadline is when the attempt or its job runs out of time.
func (c *attemptContext) Deadline() (time.Time, bool) {
	deadline := c.asked().deadline
	return deadline, !deadline.IsZero()
}

func (c *attemptContext) Done() <-chan struct{} { return c.asked().Done() }
func (c *attemptContext) Err() error            { return c.asked().Err() }

func (c *attemptContext) Value(key any) any {
	if key == (attemptKey{}) {
		return c.asked().attempt
	}
	return c.asked().Value(key)
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

// Exit codes that are not the executor's own.
const (
	exitError      = 1
	exitPanic      = 2
	exitSignal     = 128 // plus the signal's number
	exitKilled     = 137 // by SIGKILL
	exitTerminated = 143 // by SIGTERM
)

// ExitCode is the exit code that err stands for: 0 for nil; the code of the
// first error in the chain with a method ExitCode() int, such as
// [*os/exec.ExitError], unless that is 0; 2 for a [PanicError]; otherwise 1. A
// process ended by signal n has 128+n.
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
// [runtime.Goexit]: then Value is [ErrGoexit].
type PanicError struct {
	Value any
	Stack []byte // as [debug.Stack] gives it
}

// ErrGoexit is the value of a [PanicError] for a call of [runtime.Goexit].
var ErrGoexit = errors.New("batch: executor called runtime.Goexit")

// Error gives the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("batch: executor panicked: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ExitCode is 2, that of a Go program that panics.
func (e *PanicError) ExitCode() int { return exitPanic }

// An Iteration works through a long sequence inside an attempt, so that the next
// attempt goes on where this one stopped: after a failure, a shutdown, a
// disruption or, with a [Store], a crash. Every item is done at least once, or
// recorded as skipped. What was at work at a crash, or done since the last
// checkpoint, is done again, so Do should be idempotent. Without a Store it
// resumes within the process.
//
// Several attempts may use one at once if its functions may be called so. It
// holds at most about 4 × Parallelism × ChunkSize items, however long the
// sequence is.
type Iteration[T, C any] struct {
	// Name tells the iterations of an attempt apart; it may be empty if there is
	// only one. An iteration over another sequence needs another name. At most 50
	// bytes.
	Name string
	// Items returns the items behind the place that the cursor marks, in an order
	// that does not change. The zero C is the place before all items; if an item
	// may have that as its cursor, let C be a pointer. Items is called once, its
	// iterator is driven by the goroutine of Run, and both should end soon after
	// ctx does. An error that the iterator yields ends the iteration, once the
	// items before it are done. Required.
	Items func(ctx context.Context, after C) iter.Seq2[T, error]
	// Cursor returns the place behind an item, such as its key, the offset of its
	// end or, for an index, the index plus one. It is saved as JSON and must come
	// back unchanged: keys that are not UTF-8 need []byte. Items in a row may
	// share a cursor, such as the token of the next page: it is saved when all of
	// them are done. Required.
	Cursor func(item T) C

	// Do works on one item, DoChunk on up to ChunkSize at once; at least one is
	// required. If DoChunk fails, its items are tried again one by one, with Do if
	// it is set. A panic is an error like others. An error marked by [Permanent]
	// ends the iteration at once: nothing is tried again or skipped.
	Do      func(ctx context.Context, item T) error
	DoChunk func(ctx context.Context, items []T) error

	// ChunkSize is how many items one goroutine takes at a time. Zero means 100
	// with DoChunk and 1 without. A negative value is an error.
	ChunkSize int
	// Parallelism is how many chunks are worked on at once, up to 1,048,576. Zero
	// means 1. A negative value is an error.
	Parallelism int
	// MaxSkipped is how many failing items may be skipped, in all attempts
	// together. Zero means that the first item that fails ends the iteration with
	// an [*ItemError]; the next attempt begins with it. Each skipped item is kept
	// in the checkpoint, with up to 256 bytes of its error, and logged.
	MaxSkipped int
	// SkipOn says which errors permit to skip an item, such as
	// ErrorAs[*json.SyntaxError](). Nil means all.
	SkipOn func(err error) bool
	// SaveEvery is the least time between checkpoints. Zero means a second, a
	// negative time none. The last one is always saved.
	SaveEvery time.Duration
	// Total is how many items there are, for [Attempt.Progress], which Run calls
	// at each checkpoint. Zero means that it is not known.
	Total int
}

// Run works through the items behind the last checkpoint and returns nil once
// every item is done or skipped; in later attempts it then returns at once. When
// ctx ends it starts no further item, waits for those at work, saves, and returns
// context.Cause(ctx); what fails then is not counted or skipped. Other errors are
// an [*ItemError], that of the iterator, that of saving a checkpoint (what was
// done since the last one is done again), a [*CheckpointError], or say which field
// is wrong. The result says how far it came with an error, too. While the [Store]
// fails it goes on, and waits at its end until the last checkpoint is durable.
func (it Iteration[T, C]) Run(ctx context.Context, a Attempt) (Iterated[C], error) {
	const longestName = 50
	if len(it.Name) > longestName {
		return Iterated[C]{}, fmt.Errorf("batch: name of an iteration: %d bytes: at most %d are allowed", len(it.Name), longestName)
	}
	work := iterate.Work[T, C]{Items: it.Items, Cursor: it.Cursor, Do: it.Do, DoChunk: it.DoChunk,
		ChunkSize: it.ChunkSize, Parallelism: it.Parallelism, MaxSkipped: it.MaxSkipped, SkipOn: it.SkipOn, SaveEvery: it.SaveEvery}
	r, err := iterate.Run(ctx, work, iterationCheckpoint{a, "iteration/" + it.Name}, it.hooks(a))
	done := Iterated[C]{Done: r.Done, ResumedFrom: r.ResumedFrom}
	for _, s := range r.Skipped {
		done.Skipped = append(done.Skipped, Skipped[C](s))
	}
	return done, iterationError[C](ctx, err)
}

// Iterated says how far an [Iteration] has come.
type Iterated[C any] struct {
	Done        int          // items done, in all attempts, each counted once
	Skipped     []Skipped[C] // items skipped, in all attempts, in order
	ResumedFrom *C           // the cursor behind which it went on; nil if from the start
}

// Skipped is an item that an [Iteration] gave up.
type Skipped[C any] struct {
	Cursor C      `json:"cursor"`
	Err    string `json:"error"` // the beginning of its error's text
}

// An ItemError is the error of the item, or chunk, that ended an [Iteration].
type ItemError[C any] struct {
	Cursor  C   // of the item, or of the chunk's last one
	Items   int // how many items the call was for
	Skipped int // how many were skipped before, also by earlier attempts
	Err     error
}

// Error names the cursor and gives the error.
func (e *ItemError[C]) Error() string { return "batch: " + (*iterate.ItemError[C])(e).Error() }

// Unwrap returns the error that Do or DoChunk returned.
func (e *ItemError[C]) Unwrap() error { return e.Err }

// A CheckpointError reports a checkpoint of an [Iteration] that cannot be read: it
// is damaged, or of another sequence or version. It is left as it is.
type CheckpointError struct{ Err error }

// Error says what is wrong.
func (e *CheckpointError) Error() string { return "batch: " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *CheckpointError) Unwrap() error { return e.Err }

func (it Iteration[T, C]) hooks(a Attempt) iterate.Hooks[C] {
	return iterate.Hooks[C]{
		Final: func(err error) bool {
			permanent, _ := errors.AsType[*backoff.PermanentError](err)
			return permanent != nil
		},
		Recovered: func(value any, stack []byte) error {
			return &PanicError{Value: cmp.Or(value, any(ErrGoexit)), Stack: stack}
		},
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

func (c iterationCheckpoint) Load() ([]byte, error) { return c.checkpoint(c.name), nil }

func (c iterationCheckpoint) Save(ctx context.Context, data []byte) error {
	return c.saveCheckpoint(ctx, c.name, data)
}

// iterationError gives an error of package iterate its public form.
func iterationError[C any](ctx context.Context, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *iterate.ItemError[C]:
		return (*ItemError[C])(e)
	case *iterate.CheckpointError:
		return &CheckpointError{e}
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

// A Command is an [Executor] that runs a program. It ends as the program does:
// its exit code is that of the attempt. When the attempt is to stop, the
// program's process group gets SIGTERM and, after the grace period, SIGKILL.
// On systems without process groups the program is killed at once. If this process
// is killed, its programs are not: one may still run when, with a [Store], the next
// process repeats it.
//
// Its standard input is empty. A program that is not found has exit code 127,
// one that cannot be started 126, and one ended by signal n 128+n; errors.As
// finds the [*exec.ExitError] of one that ran. A running program costs a thread.
type Command struct {
	// Args are the program and its arguments. Args[0] is looked up in PATH if
	// it has no slash: that of this process, not of Env. Required.
	Args []string
	// Env is added to the environment of this process, "NAME=value". A pod's
	// own variables come on top unless Env has them: JOB_COMPLETION_INDEX for
	// an Indexed job (R120) and HOSTNAME, the name that a pod would have.
	Env []string
	// Dir is the working directory; empty means that of this process.
	Dir string
	// Stdout and Stderr receive the program's output in addition to the
	// attempt's log; nil means only the log. They must allow concurrent use.
	Stdout, Stderr io.Writer
}

// Execute runs the program.
func (c Command) Execute(ctx context.Context, a Attempt) error {
	return proc.Run(ctx, proc.Program{
		Args:   c.Args,
		Env:    c.environment(a),
		Dir:    c.Dir,
		Stdout: tee(a.Stdout(), c.Stdout),
		Stderr: tee(a.Stderr(), c.Stderr),
		Grace:  a.grace(),
	})
}

// environment puts the pod's variables between those of this process and Env:
// of two values, the last one counts.
func (c Command) environment(a Attempt) []string {
	env := append(os.Environ(), "HOSTNAME="+a.hostname())
	if a.Index >= 0 {
		env = append(env, "JOB_COMPLETION_INDEX="+strconv.Itoa(a.Index))
	}
	return append(env, c.Env...)
}

// hostname is R118 for an Indexed job and the attempt's name for others.
func (a Attempt) hostname() string {
	if a.Index >= 0 {
		return a.Job + "-" + strconv.Itoa(a.Index)
	}
	return a.Name()
}

// killTime is what it takes, at most, to kill a program and to read the rest of
// its output.
const killTime = 2 * time.Second

// grace is how long a program may take to stop. It is killed then, so that the
// attempt is not to be given up just yet.
func (a Attempt) grace() (grace time.Duration) {
	a.with(func(r *run) {
		grace = *r.job.spec.TerminationGracePeriod
		r.attempt.Slack = killTime
	})
	return grace
}

func tee(log, other io.Writer) io.Writer {
	if other == nil {
		return log
	}
	return io.MultiWriter(log, other)
}
