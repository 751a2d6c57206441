package runner

import (
	"context"
	"iter"

	"github.com/runtocompletion/batch/internal/journal"
)

// StoreOf returns a store whose records have a type of their own. Claim is nil if it has
// no claims itself; otherwise the contexts of commits are made of held.
func StoreOf[R ~struct {
	Job, Key string
	Value    []byte
}](
	load func(ctx context.Context) iter.Seq2[R, error],
	commit func(ctx context.Context, records []R) error,
	claim func(ctx context.Context, wait func(holder string)) (held context.Context, release func(), err error),
) Store {
	loadAll := func(ctx context.Context) iter.Seq2[journal.Record, error] {
		return func(yield func(journal.Record, error) bool) {
			for r, err := range load(ctx) {
				if !yield(journal.Record(r), err) {
					return
				}
			}
		}
	}
	commitAll := func(ctx context.Context, records []journal.Record) error {
		converted := make([]R, len(records))
		for i, r := range records {
			converted[i] = R(r)
		}
		return commit(ctx, converted)
	}
	if claim == nil {
		return Store{Load: loadAll, Claim: claimByRecord(loadAll, commitAll)}
	}
	return Store{Load: loadAll, Claim: func(ctx context.Context, wait func(holder string)) (Claim, error) {
		held, release, err := claim(ctx, wait)
		if err != nil {
			return Claim{}, err
		}
		return Claim{Load: loadAll, Commit: commitAll, Context: held, Release: release}, nil
	}}
}
