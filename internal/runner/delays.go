package runner

import (
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/runtocompletion/batch/internal/engine"
)

// A question is an action that asks for a delay.
type question struct {
	engine.Action
	seq int64 // of the attempt, whose record may serve another one by the time
}

// askLocked puts a question to the job's back-off, or keeps it until there is one.
func (j *Job) askLocked(act *engine.Action) {
	q := question{Action: *act}
	if act.Attempt != nil {
		q.seq = act.Attempt.Seq
		j.ownLocked(act.Attempt) // one that was loaded may have none
	}
	if j.holds&undeclaredHold != 0 {
		j.unasked = append(j.unasked, q)
		return
	}
	j.findDelayLocked(q)
}

func (j *Job) askAgainLocked() {
	for _, q := range j.unasked {
		j.findDelayLocked(q)
	}
	j.unasked = nil
}

// findDelayLocked has a delay found. A back-off is user code, and may be slow: it
// holds no slot, and no other job waits for it.
func (j *Job) findDelayLocked(q question) {
	j.r.enter()
	j.r.launch(func() { j.findDelay(q) })
}

// findDelay answers a question. A back-off that fails is replaced by the engine's.
func (j *Job) findDelay(q question) {
	delay, err := time.Duration(0), error(errBackoffExited)
	defer j.r.leave()
	defer func() { j.answer(q, delay, err) }() // also after runtime.Goexit
	j.lock()
	def, retries := j.def.Load(), j.retries
	j.unlock()
	if q.Kind == engine.NeedDelay {
		delay, err = retries.After(q.Index, q.N, def.Backoff)
	} else {
		delay, err = j.restartDelay(q, def.RestartBackoff)
	}
}

// restartDelay asks for the delay before the restart of an attempt, if that is still
// wanted.
func (j *Job) restartDelay(q question, fresh func() backoff.BackOff) (time.Duration, error) {
	j.lock()
	x := runOf(q.Attempt)
	if x.seq != q.seq {
		j.unlock()
		return 0, nil
	}
	delays := &x.keepLocked().delays // there is one question at a time
	j.unlock()
	return delays.After(q.N, fresh)
}

func (j *Job) answer(q question, delay time.Duration, err error) {
	ev := engine.Event{Kind: engine.DelayKnown, Index: q.Index, N: q.N}
	usual := engine.RetryDelay(q.N)
	if q.Kind == engine.NeedRestartDelay {
		ev = engine.Event{Kind: engine.RestartDelayKnown, Attempt: q.Attempt}
		usual = engine.RetryDelay(q.N - 1) // the first restart is immediate
	}
	var e effects
	j.lock()
	if err != nil {
		j.logLocked(slog.LevelError, "back-off failed, using the default", slog.Any("error", err))
		delay = usual
	}
	if delay != backoff.Stop {
		delay = max(delay, 0)
	}
	ev.Delay = delay
	if q.Attempt == nil || q.Attempt.Seq == q.seq { // it has not ended meanwhile
		j.stepLocked(&e, ev)
	}
	j.unlock()
	j.r.perform(&e)
}

type constError string

func (e constError) Error() string { return string(e) }

const errBackoffExited = constError("Backoff called runtime.Goexit")
