//go:build unix

package crash

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
)

// fewCommits is how many commits a process makes before a store that is broken
// has surely shown it.
const fewCommits = 8

// breakages are stores that break their promise, by name, for the tests to see
// that they are found out.
var breakages = map[string]func(batch.Store) batch.Store{
	"": func(s batch.Store) batch.Store { return s },
	// After some commits all others are forgotten when the process ends. If it
	// were one of them now and then, what is left would not fit together.
	"forgetful": func(s batch.Store) batch.Store {
		n := 0
		return commitFunc{s, func(ctx context.Context, records []batch.Record) error {
			if n++; n >= fewCommits {
				return nil
			}
			return s.Commit(ctx, records)
		}}
	},
	// Commits are acknowledged at once, and done a little later.
	"hasty": func(s batch.Store) batch.Store {
		queue := make(chan func(), 1<<20)
		go func() {
			for commit := range queue {
				time.Sleep(5 * time.Millisecond)
				commit()
			}
		}()
		return commitFunc{s, func(ctx context.Context, records []batch.Record) error {
			records = clone(records)
			queue <- func() {
				if err := s.Commit(context.WithoutCancel(ctx), records); err != nil {
					panic(err)
				}
			}
			return nil
		}}
	},
	// The second half of each commit comes with the next one.
	"torn": func(s batch.Store) batch.Store {
		var rest []batch.Record
		return commitFunc{s, func(ctx context.Context, records []batch.Record) error {
			records = clone(records)
			all := append(rest, records[:len(records)/2]...)
			rest = records[len(records)/2:]
			return s.Commit(ctx, all)
		}}
	},
	// Checkpoints are not stored.
	"no checkpoints": func(s batch.Store) batch.Store {
		return commitFunc{s, func(ctx context.Context, records []batch.Record) error {
			return s.Commit(ctx, slices.DeleteFunc(clone(records), func(r batch.Record) bool {
				return strings.HasPrefix(r.Key, "checkpoint/")
			}))
		}}
	},
}

// A commitFunc is a store that commits otherwise.
type commitFunc struct {
	batch.Store
	commit func(context.Context, []batch.Record) error
}

// Claim claims the store below: a claim by a record would show that it is broken.
func (s commitFunc) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	return s.Store.(batch.Claimer).Claim(ctx, wait)
}

// Commit calls the function.
func (s commitFunc) Commit(ctx context.Context, records []batch.Record) error {
	return s.commit(ctx, records)
}

func clone(records []batch.Record) []batch.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Value = slices.Clone(records[i].Value)
	}
	return records
}
