package runner

import (
	"context"
	"errors"
	"iter"

	"github.com/runtocompletion/batch/internal/feed"
)

// Watched is what a watcher sees changes of.
type watched interface {
	// lookAt returns the view of a change, or false if a later change brings it.
	lookAt(revision uint64) (View, bool)
}

// A tombstone is what is left of a job that is gone.
type tombstone struct{ last View }

func (t *tombstone) lookAt(revision uint64) (View, bool) {
	v := t.last
	v.Revision = revision
	return v, true
}

func (j *Job) lookAt(wanted uint64) (View, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	revision := j.lookLocked(wanted)
	if revision != wanted || j.body != nil && j.hasLeft {
		return View{}, false
	}
	return j.viewLocked(revision), true
}

// Revision is that of the latest change, for a caller that is going to list all jobs
// and to watch from there.
func (r *Runner) Revision() uint64 { return r.feed.Now() }

// A Change is one step of Watch.
type Change struct {
	View           View
	Added, Removed bool
}

// Watch returns the changes of all jobs after a revision, in order of revision.
func (r *Runner) Watch(ctx context.Context, since uint64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if r == nil {
			yield(Change{}, ErrZero)
			return
		}
		w, err := r.feed.Watch(since)
		if err != nil {
			yield(Change{}, ErrTooOld)
			return
		}
		defer w.Close()
		for {
			changes, err := w.Next(ctx, r.ended)
			if err != nil || changes == nil {
				yield(Change{}, r.watchError(err))
				return
			}
			for _, change := range changes {
				if change.Removed {
					r.feed.Observe(change.Entry)
				}
				view, ok := change.Entry.Item.lookAt(change.Revision)
				if !ok {
					w.Superseded(change)
				} else if !yield(Change{view, change.Added, change.Removed}, nil) {
					return
				}
			}
		}
	}
}

func (r *Runner) watchError(err error) error {
	switch loss := r.loss.Load(); {
	case err == nil && loss != nil:
		return *loss
	case err == nil:
		return ErrShutdown
	case errors.Is(err, feed.ErrTooOld):
		return ErrTooOld
	}
	return err
}
