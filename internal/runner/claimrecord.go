package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/journal"
	"github.com/runtocompletion/batch/internal/proc"
)

// claimKey is the record by which a store is claimed that has no claims of its own.
// It is there from the first commit of a controller to its last one.
const claimKey = "claim"

// A claimRecord says who has a store.
type claimRecord struct {
	ID      string // of the claim
	Host    string
	PID     int
	Started string // when the process did, as far as the system reports it
}

func (c *claimRecord) holder() string { return fmt.Sprintf("process %d on %s", c.PID, c.Host) }

// held are the claims of this process that are not released, by ID: a record may
// outlive its controller, but not tell of it.
var held sync.Map

// checkTime is how long a claim is taken for granted: a store that others can write to
// does not report that another has claimed it, so it is read.
const checkTime = 5 * time.Second

// A plainStore has no claims of its own.
type plainStore struct {
	load   func(ctx context.Context) iter.Seq2[journal.Record, error]
	commit func(ctx context.Context, records []journal.Record) error
}

// claimByRecord returns how a store is claimed that can only load and commit. Another
// controller is found out before it works if its process is on this machine, and
// otherwise soon after the first commit of either.
func claimByRecord(
	load func(ctx context.Context) iter.Seq2[journal.Record, error],
	commit func(ctx context.Context, records []journal.Record) error,
) func(ctx context.Context, wait func(holder string)) (Claim, error) {
	s := &plainStore{load, commit}
	return s.claim
}

func (s *plainStore) claim(ctx context.Context, wait func(holder string)) (Claim, error) {
	for {
		claim, holder, err := s.tryClaim(ctx)
		if err == nil || !errors.Is(err, ErrStoreInUse) || wait == nil {
			return claim, err
		}
		wait(holder)
		select {
		case <-time.After(checkTime):
		case <-ctx.Done():
			return Claim{}, context.Cause(ctx)
		}
	}
}

func (s *plainStore) tryClaim(ctx context.Context) (_ Claim, holder string, err error) {
	found, err := s.find(ctx)
	if err != nil {
		return Claim{}, "", err
	}
	if found != nil && found.isAlive() {
		return Claim{}, found.holder(), inUse(found.holder())
	}
	h := &recordHolder{plainStore: s, id: newID()}
	h.ctx, h.lose = context.WithCancelCause(context.Background())
	held.Store(h.id, nil)
	return Claim{
		Load: s.load, Commit: h.commitChecked, Context: h.ctx, Release: func() { held.Delete(h.id) },
		First: []journal.Record{{Key: claimKey, Value: encode(ownRecord(h.id))}},
		Last:  []journal.Record{{Key: claimKey}},
	}, "", nil
}

func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func ownRecord(id string) claimRecord {
	c := claimRecord{ID: id, PID: os.Getpid(), Started: proc.Started(os.Getpid())}
	c.Host, _ = os.Hostname() // empty if it has none: then it is compared as such
	return c
}

// find returns the record of a claim, or nil. It stops when it has found it.
func (s *plainStore) find(ctx context.Context) (found *claimRecord, err error) {
	for r, err := range s.load(ctx) {
		switch {
		case err != nil:
			return nil, err
		case r.Job != "" || r.Key != claimKey:
			continue
		}
		if err := json.Unmarshal(r.Value, &found); err != nil {
			return nil, fmt.Errorf("record %q: %w", claimKey, err)
		}
		return found, nil
	}
	return nil, nil
}

// isAlive reports whether the holder may work, as far as is known from here. Of
// another machine nothing is known.
func (c *claimRecord) isAlive() bool {
	if _, isHeld := held.Load(c.ID); isHeld {
		return true
	}
	host, _ := os.Hostname()
	return c.Host == host && c.PID != os.Getpid() && proc.IsAlive(c.PID, c.Started)
}

// A recordHolder has claimed a store by a record.
type recordHolder struct {
	*plainStore
	id      string
	checked time.Time       // commits come one at a time
	isBlind bool            // the store does not show what is committed
	ctx     context.Context // ends when the claim is lost
	lose    context.CancelCauseFunc
}

// commitChecked is acknowledged only if the claim is known to be this one's.
func (h *recordHolder) commitChecked(ctx context.Context, records []journal.Record) error {
	err := h.commit(ctx, records)
	if err != nil || h.isBlind || time.Since(h.checked) < checkTime || removesClaim(records) {
		return err
	}
	return h.check(ctx)
}

func removesClaim(records []journal.Record) bool {
	return slices.ContainsFunc(records, func(r journal.Record) bool {
		return r.Job == "" && r.Key == claimKey && r.Value == nil
	})
}

// check returns an error if the claim is another one's.
func (h *recordHolder) check(ctx context.Context) error {
	found, err := h.find(ctx)
	switch {
	case err != nil:
		return err
	case found != nil && found.ID == h.id:
		h.checked = time.Now()
		return nil
	case found == nil && h.checked.IsZero(): // the store does not show what it was given, and never will
		h.isBlind = true
		return nil
	}
	err = errLost
	if found != nil {
		err = inUse(found.holder())
	}
	h.lose(err)
	return err
}
