//go:build unix

package crash

import (
	"context"

	"github.com/runtocompletion/batch"
)

// breakages are stores that break their promise, by name, for the tests to see that they
// are found out.
var breakages = map[string]func(batch.Store) batch.Store{
	"": func(s batch.Store) batch.Store { return s },
	// Everybody works, and nobody's commits are refused.
	"no claims": func(s batch.Store) batch.Store { return &everybodys{s} },
	// After some commits all others are acknowledged, and not done. If it were one of
	// them now and then, what is left would not fit together.
	"forgetful": func(s batch.Store) batch.Store { return &forgetful{Claimer: s.(batch.Claimer)} },
}

type everybodys struct{ batch.Store }

// Claim gives the store to whoever asks.
func (s *everybodys) Claim(context.Context, func(string)) (context.Context, func(), error) {
	return context.Background(), func() {}, nil
}

type forgetful struct {
	batch.Claimer
	commits int // there is one call at a time
}

// Commit forgets most of what it acknowledges.
func (s *forgetful) Commit(ctx context.Context, records []batch.Record) error {
	const few = 12 // a process that begins has made fewer
	if s.commits++; s.commits > few {
		return nil
	}
	return s.Claimer.Commit(ctx, records)
}
