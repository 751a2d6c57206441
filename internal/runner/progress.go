package runner

import (
	"time"

	"github.com/runtocompletion/batch/internal/engine"
)

// A sign of life is whatever an attempt reports or prints. Nothing is done about it when
// it comes, but that its time is kept: it is looked for when the engine asks.

// giveSignLocked notes that the attempt has reported something.
func (x *run) giveSignLocked() { x.sign = x.job.r.now() }

// lastSignLocked is when the attempt has reported or printed something.
func (x *run) lastSignLocked() engine.Time {
	last := x.sign
	if x.kept == nil {
		return last
	}
	if wrote := x.kept.log.LastWrite(); !wrote.IsZero() {
		last = max(last, x.job.r.now().Add(-time.Since(wrote)))
	}
	return last
}

// answerSignLocked gives the engine what it has requested.
func (j *Job) answerSignLocked(e *effects, a *engine.Attempt) {
	last := runOf(a).lastSignLocked()
	j.carryOutLocked(e, j.engine.Step(engine.Event{Kind: engine.SignKnown, Attempt: a, Last: last, At: j.r.now()}))
}

// overdueOf is what an attempt has failed for, whatever its executor has returned; nil
// if it was in time.
func overdueOf(a *engine.Attempt) error {
	switch {
	case a.Reason == engine.NoProgress:
		return ErrNoProgress
	case a.Reason == engine.DeadlineExceeded, a.DeletedBy == engine.DeletedByTimeout:
		return ErrAttemptTimeout
	}
	return nil
}

// isOverdue reports whether attempts that are stopped for that have failed.
func isOverdue(why engine.Cause) bool {
	return why == engine.CauseTimeout || why == engine.CauseStalled
}

// reasonOf is the reason as which that is stored, and overdueNamed the reverse.
func reasonOf(overdue error) string {
	switch overdue {
	case ErrNoProgress:
		return engine.NoProgress
	case ErrAttemptTimeout:
		return engine.DeadlineExceeded
	}
	return ""
}

func overdueNamed(reason string) error {
	switch reason {
	case engine.NoProgress:
		return ErrNoProgress
	case engine.DeadlineExceeded:
		return ErrAttemptTimeout
	}
	return nil
}
