package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/journal"
)

// The errors of a runner, as its users see them.
var (
	ErrExists       = errors.New("batch: job exists")
	ErrNotFound     = errors.New("batch: not found")
	ErrShutdown     = errors.New("batch: controller is shut down")
	ErrTooOld       = errors.New("batch: revision too old")
	ErrTooLarge     = errors.New("batch: too large")
	ErrStore        = errors.New("batch: store")
	ErrStoreFormat  = errors.New("batch: format of the store")
	ErrAttemptEnded = errors.New("batch: attempt ended")
	ErrStoreInUse   = errors.New("batch: store is in use by another controller")
	ErrZero         = errors.New("batch: the controller was not made by New")
	ErrInside       = errors.New("batch: shutdown by an executor or receiver of the controller: it would wait for itself")
)

// The causes with which contexts of attempts are cancelled. [ErrShutdown] is one
// more.
var (
	ErrDeleted        = errors.New("batch: deleted")
	ErrJobFinished    = errors.New("batch: job finished")
	ErrSuspended      = errors.New("batch: job suspended")
	ErrScaledDown     = errors.New("batch: job scaled down")
	ErrDisrupted      = errors.New("batch: attempt disrupted")
	ErrNoProgress     = errors.New("batch: attempt made no progress")
	ErrAttemptTimeout = error(&deadlineCause{"batch: attempt timed out", nil})
	ErrJobDeadline    = error(&deadlineCause{"batch: deadline of the job exceeded", ErrJobFinished})
)

// A deadlineCause is a cause that is also [context.DeadlineExceeded].
type deadlineCause struct {
	text string
	also error // may be nil
}

func (e *deadlineCause) Error() string { return e.text }

func (e *deadlineCause) Is(target error) bool {
	return target == context.DeadlineExceeded || e.also != nil && target == e.also
}

var stopCauses = [...]error{
	engine.CauseDeleted:    ErrDeleted,
	engine.CauseFinished:   ErrJobFinished,
	engine.CauseSuspended:  ErrSuspended,
	engine.CauseScaledDown: ErrScaledDown,
	engine.CauseDisrupted:  ErrDisrupted,
	engine.CauseTimeout:    ErrAttemptTimeout,
	engine.CauseShutdown:   ErrShutdown,
	engine.CauseStalled:    ErrNoProgress,
}

// storeError gives an error of the journal its form for users.
func (r *Runner) storeError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrClosed):
		return ErrShutdown
	case ctx.Err() != nil && err == context.Cause(ctx):
		return err
	case errors.Is(err, ErrStoreInUse):
		return err
	}
	return failedStore(err)
}

func tooLarge(what string, size, limit int) error {
	return fmt.Errorf("%w: %s of %d bytes: at most %d are allowed", ErrTooLarge, what, size, limit)
}

func failedStore(err error) error { return fmt.Errorf("%w: %w", ErrStore, err) }

func notFound(what, name string) error { return fmt.Errorf("%w: %s %q", ErrNotFound, what, name) }

func attemptNotFound(job, attempt string) error {
	return fmt.Errorf("%w: attempt %q of job %q", ErrNotFound, attempt, job)
}

func finishedError(attempt string) error { return fmt.Errorf("%w: %q", ErrAttemptEnded, attempt) }
