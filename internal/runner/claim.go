package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/runtocompletion/batch/internal/journal"
)

// A Store keeps records for the process that has claimed it.
type Store struct {
	// Load is for those who have no claim. It is not called with one.
	Load func(ctx context.Context) iter.Seq2[journal.Record, error]
	// Claim makes the store that of one controller. If another one has it, the error is
	// [ErrStoreInUse], at once if wait is nil. Otherwise wait is called with the name of
	// who has it, at first and when the records have changed, until the store is free.
	Claim func(ctx context.Context, wait func(holder string)) (Claim, error)
}

// A Claim is a store as its holder has it.
type Claim struct {
	Load   func(ctx context.Context) iter.Seq2[journal.Record, error]
	Commit func(ctx context.Context, records []journal.Record) error
	// Context is what those of commits are made of. It ends when another controller may
	// have the store.
	Context context.Context
	// First are records for the first commit, Last those for the last one.
	First, Last []journal.Record
	// Release is called when the runner does not use the store any more.
	Release func()
}

// A SavedJob is what [Definition.Encode] has written.
type SavedJob struct {
	Name       string
	Definition *Definition
	Generation int64
	Indexed    bool
}

// Lose ends the runner when its claim is lost: what runs is cancelled, and nothing is
// stored or reported any more.
func (r *Runner) Lose(cause error) {
	if !errors.Is(cause, ErrStoreInUse) {
		cause = fmt.Errorf("%w: %w", errLost, cause)
	}
	if !r.endWith(cause) {
		return
	}
	r.journal.Abort(cause)
	r.stop()
	r.subscribed.stop()
	r.interruptAll()
	r.forget()
}

// whenLost has f called, on a goroutine of its own, once the claim is lost.
func (r *Runner) whenLost(f func()) { context.AfterFunc(r.claimed, f) }

// errLost is the cause when a store says no more than that the claim is lost.
var errLost = fmt.Errorf("%w, or may be: the claim is lost", ErrStoreInUse)

// endWith returns an error to every caller that waits for a job or changes one. It
// reports false if there is another one already.
func (r *Runner) endWith(cause error) bool {
	if !r.loss.CompareAndSwap(nil, &cause) {
		return false
	}
	r.cutOffWith(cause)
	r.end()
	return true
}

// end ends watches.
func (r *Runner) end() { r.becomeEnded.Do(func() { close(r.ended) }) }

func (r *Runner) cutOffWith(cause error) {
	r.becomeCutOff.Do(func() {
		r.cutOffBy = cause
		close(r.cutOff)
	})
}

// lossError is why the runner may not change anything, or nil.
func (r *Runner) lossError() error {
	if r.reader != nil {
		return r.reader.refusal()
	}
	if loss := r.loss.Load(); loss != nil {
		return *loss
	}
	return nil
}
