//go:build unix

package crash

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/runtocompletion/batch"
)

// A trap kills its own process at a certain commit: a kill from outside hardly
// ever hits the instant between a commit and the first who is told of it.
type trap struct {
	Commit int           // which one, from 1; zero sets no trap
	When   string        // before, during or after it
	Delay  time.Duration // from its beginning, for during
}

// around sets the trap in a store.
func (t trap) around(store batch.Store) batch.Store {
	if t.Commit == 0 {
		return store
	}
	return &trappedStore{Store: store, trap: t}
}

type trappedStore struct {
	batch.Store
	trap    trap
	commits int // there is one call at a time
}

// Claim claims the store below.
func (s *trappedStore) Claim(ctx context.Context, wait func(string)) (context.Context, func(), error) {
	return s.Store.(batch.Claimer).Claim(ctx, wait)
}

// Commit commits, unless the process ends.
func (s *trappedStore) Commit(ctx context.Context, records []batch.Record) error {
	s.commits++
	if s.commits != s.trap.Commit {
		return s.Store.Commit(ctx, records)
	}
	switch s.trap.When {
	case "before":
		killMyself()
	case "during":
		time.AfterFunc(s.trap.Delay, killMyself)
	}
	err := s.Store.Commit(ctx, records)
	if s.trap.When == "after" {
		killMyself()
	}
	return err
}

func killMyself() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // cannot fail
	select {}                                      // nothing happens after it
}
