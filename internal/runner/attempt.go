package runner

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/runtocompletion/batch/internal/checkpoint"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/logtail"
)

// An Attempt is one execution of an attempt. The zero Attempt is one that has ended.
// It is small, so that it travels in registers: every word of it would be on the stack
// of each executor several times.
type Attempt struct {
	run *run
	key int64 // distinguishes the run's executions; see keyOf
}

// An Execution is an attempt with what its executor is to know of it.
type Execution struct {
	Attempt
	Index, Number, Restarts int
}

// Begun is what the executor is to know of an attempt that it is called for.
func (a Attempt) Begun() Execution {
	e := a.run.attempt
	if alone := a.alone(); alone != nil {
		return Execution{a, alone.Index, alone.Number, 0}
	}
	return Execution{a, e.Index, e.Number, e.Restarts}
}

// keyOf is made of an attempt's place in the order of creation and its restarts.
func keyOf(seq int64, restarts int) int64 {
	return seq<<restartBits | int64(restarts)&(1<<restartBits-1)
}

const restartBits = 20

func (a Attempt) seq() int64 { return a.key >> restartBits }

// isRestart reports whether the attempt was restarted in place before.
func (a Attempt) isRestart() bool { return a.key&(1<<restartBits-1) != 0 }

// IsZero reports whether a is the zero Attempt.
func (a Attempt) IsZero() bool { return a.run == nil }

// Job is the job's name.
func (a Attempt) Job() string { return a.run.job.id.Job }

// Name is the attempt's name, given its index.
func (a Attempt) Name(index int) string {
	if alone := a.alone(); alone != nil {
		return alone.Name
	}
	return a.run.job.id.Name(a.seq(), index)
}

// UID is the attempt's UID.
func (a Attempt) UID() string {
	if alone := a.alone(); alone != nil {
		return alone.UID
	}
	return a.run.job.id.AttemptUID(a.seq())
}

// Token distinguishes the attempt from every other one, in a form that says where it belongs.
func (a Attempt) Token(index, number int) string {
	if alone := a.alone(); alone != nil {
		return alone.Token
	}
	return a.run.job.id.String() + "/" + strconv.Itoa(index) + "/" + strconv.Itoa(number)
}

// Fence is that of the attempt's runner.
func (a Attempt) Fence() int64 { return a.run.job.r.fence }

// Handler is that of the runner's logger, or nil.
func (a Attempt) Handler() slog.Handler { return a.run.job.r.handler }

// Definition is that of the attempt's job.
func (a Attempt) Definition() *Definition { return a.run.job.Definition() }

// Log returns the attempt's log, or nil if it has ended.
func (a Attempt) Log() (log *logtail.Log) {
	a.with(func(x *run) { log = &x.keepLocked().log })
	return log
}

// Waited is how long the attempt waited for a slot before this execution.
func (a Attempt) Waited() (d time.Duration) {
	a.with(func(x *run) { d = x.waited })
	return d
}

// SetProgress keeps how far the attempt has come.
func (a Attempt) SetProgress(p Progress) {
	a.with(func(x *run) {
		x.keepLocked().progress = p
		x.giveSignLocked()
		x.job.changedLocked()
	})
	if alone := a.alone(); alone != nil && alone.Progress != nil {
		alone.Progress(p)
	}
}

// SetOutput keeps the attempt's termination message.
func (a Attempt) SetOutput(message string) {
	a.with(func(x *run) {
		x.keepLocked().output = message
		x.giveSignLocked()
		x.job.engine.Touch(x.attempt)
		x.job.changedLocked()
	})
}

// SetReady says whether the attempt can do its work.
func (a Attempt) SetReady(ready bool) { a.do(engine.Event{Kind: engine.ReadyChanged, Ready: ready}) }

// Started ends the Pending phase of a job whose spec has HoldsPending.
func (a Attempt) Started() { a.do(engine.Event{Kind: engine.Started}) }

// SetCondition sets a condition of the attempt, and reports false if it has ended.
func (a Attempt) SetCondition(c engine.Condition) bool {
	if a.run == nil {
		return false
	}
	c.At = a.run.job.r.now()
	return a.do(engine.Event{Kind: engine.ConditionSet, Cond: c})
}

// Grace returns the grace period of the job, and has the attempt given up only that
// much later than after it.
func (a Attempt) Grace(slack time.Duration) (grace time.Duration) {
	a.with(func(x *run) {
		grace = x.job.engine.Spec.Grace
		x.attempt.Slack = slack
	})
	return grace
}

// with calls f under the job's lock if the attempt has not ended, and reports
// whether it did.
func (a Attempt) with(f func(x *run)) bool {
	if a.run == nil {
		return false
	}
	j := a.run.job
	j.lock()
	defer j.unlock()
	if !a.run.runsLocked(a) {
		return false
	}
	f(a.run)
	return true
}

// do gives the engine an event of the attempt, if it has not ended.
func (a Attempt) do(ev engine.Event) bool {
	var e effects
	ok := a.with(func(x *run) {
		ev.Attempt = x.attempt
		x.job.stepLocked(&e, ev)
	})
	if ok {
		a.run.job.r.perform(&e)
	}
	return ok
}

// Checkpoint returns what was saved last under a name, or nil.
func (a Attempt) Checkpoint(name string) (data []byte) {
	if alone := a.alone(); alone != nil {
		return alone.Load(name)
	}
	a.with(func(x *run) {
		if c := x.checkpointLocked(); c != nil {
			data = c.Value(name)
		}
	})
	return data
}

// SaveCheckpoint saves data, which must not change any more, under a name, and
// returns when that is durable. While the store fails it waits, as long as the
// attempt may run. If ctx ends first, the error is its cause.
func (a Attempt) SaveCheckpoint(ctx context.Context, name string, data []byte) error {
	if alone := a.alone(); alone != nil {
		return alone.saveCheckpoint(ctx, a, name, data)
	}
	err := ErrAttemptEnded
	var attempt context.Context
	a.with(func(x *run) { attempt, err = x.ctx, x.saveCheckpointLocked(a, name, data) })
	if err != nil {
		return err
	}
	j := a.run.job
	err = j.r.Durable(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrShutdown) {
		return cmp.Or(err, j.Refused())
	}
	return j.r.storeError(attempt, j.r.journal.Outlast(attempt))
}

// checkpointLocked finds what the attempt goes on from.
func (x *run) checkpointLocked() *checkpoint.Checkpoint {
	c := x.ownCheckpointLocked()
	if c == nil && x.attempt.Index < 0 {
		if c = x.job.checkpoints.TakeOver(); c != nil {
			x.keepLocked().saved = c
		}
	}
	return c
}

// ownCheckpointLocked is the one that the attempt has, without taking over one.
func (x *run) ownCheckpointLocked() *checkpoint.Checkpoint {
	switch {
	case x.attempt.Index >= 0:
		return x.job.checkpoints.Of(int64(x.attempt.Index))
	case x.kept != nil:
		return x.kept.saved
	}
	return nil
}

func (x *run) saveCheckpointLocked(a Attempt, name string, data []byte) error {
	j := x.job
	if limit := j.def.Load().CheckpointLimit; len(data) > limit {
		return tooLarge("checkpoint", len(data), limit)
	}
	c := x.ownCheckpointLocked()
	if c != nil && c.By > a.seq() || j.engine.Completed.Contains(x.attempt.Index) {
		return ErrAttemptEnded
	}
	if c == nil {
		c = x.newCheckpointLocked()
	}
	j.checkpoints.Save(c, name, data, a.seq())
	x.giveSignLocked()
	if j.stored != nil {
		j.changedLocked()
	}
	return nil
}

func (x *run) newCheckpointLocked() *checkpoint.Checkpoint {
	if x.attempt.Index >= 0 {
		return x.job.checkpoints.Add(int64(x.attempt.Index))
	}
	x.keepLocked().saved = x.job.checkpoints.Add(x.attempt.Seq)
	return x.kept.saved
}

// Dir is a scratch directory of the attempt's own, made at the first call.
func (a Attempt) Dir() (dir string, err error) {
	var k *kept
	if !a.with(func(x *run) { k = x.keepLocked() }) {
		return "", ErrAttemptEnded
	}
	k.making.Lock()
	defer k.making.Unlock()
	if !a.with(func(*run) { dir = k.dir }) {
		return "", ErrAttemptEnded
	}
	if dir != "" {
		return dir, nil
	}
	if dir, err = a.makeDir(); err != nil {
		return "", err
	}
	if !a.with(func(x *run) {
		k.dir = dir
		x.job.engine.Touch(x.attempt)
		x.job.changedLocked()
	}) {
		return "", errors.Join(ErrAttemptEnded, os.RemoveAll(dir))
	}
	return dir, nil
}

// makeDir makes the directory. One that is there already is the attempt's if it was
// restarted in place; otherwise it is what an execution left whose process died
// before anything of it was stored.
func (a Attempt) makeDir() (string, error) {
	a.run.job.r.renaming.Wait()
	dir := a.run.job.dirOf(a.seq())
	if !a.isRestart() {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	err := os.Mkdir(dir, 0o700)
	if a.isRestart() && errors.Is(err, os.ErrExist) {
		return dir, nil
	}
	return dir, err
}
