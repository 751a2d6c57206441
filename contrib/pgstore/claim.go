package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
)

var _ batch.Claimer = (*Store)(nil)

// A claim is that of a process that works. It ends with its lease unless that is
// renewed in time.
type claim struct {
	store *Store
	token int64
	ctx   context.Context // ends when the claim is lost or released
	end   context.CancelCauseFunc
	renew sync.WaitGroup

	turn    chan struct{} // has an element while a commit uses the field below
	commits int64

	mu     sync.Mutex  // guards the fields below
	expiry *time.Timer // ends ctx
	untold bool        // there were changes since told
	told   time.Time   // when those who look on were
	quiet  time.Time   // when the lease was renewed
}

type claimKey struct{ store *Store }

var (
	errLeaseEnded = fmt.Errorf("%w, or may be: the lease has ended", batch.ErrStoreInUse)
	errReleased   = fmt.Errorf("%w, or may be: the claim was released", batch.ErrStoreInUse)
)

// Claim makes the store that of this process: see [batch.Claimer]. Only the clock of the
// database decides when a lease ends. A claim that waits holds a connection, and asks
// when a lease is to end, or somebody says that there is something new.
func (s *Store) Claim(ctx context.Context, wait func(holder string)) (context.Context, func(), error) {
	if wait == nil {
		c, holder, _, err := s.tryClaim(ctx)
		switch {
		case err != nil:
			return nil, nil, err
		case c == nil:
			return nil, nil, fmt.Errorf("%w: %s", batch.ErrStoreInUse, holder)
		}
		return c.context(), c.release, nil
	}
	for {
		c, err := s.listenAndClaim(ctx, wait)
		if err == nil {
			return c.context(), c.release, nil
		}
		if !pause(ctx, s.lease/2) {
			return nil, nil, context.Cause(ctx)
		}
	}
}

// pause reports false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// tryClaim returns a claim, or who has the store and how much is left of the lease.
func (s *Store) tryClaim(ctx context.Context) (c *claim, holder string, left time.Duration, err error) {
	sent := time.Now()
	var token int64
	err = s.pool.QueryRow(ctx, "INSERT INTO "+s.schema+`.claims AS c (name, token, holder, expires)
		VALUES ($1, 1, $2, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET token = c.token + 1, number = 0, holder = excluded.holder,
			expires = clock_timestamp() + $3
		WHERE c.expires IS NULL OR c.expires <= clock_timestamp()
		RETURNING token`, s.name, s.holder, s.lease).Scan(&token)
	if err == nil {
		return s.newClaim(token, sent), "", 0, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, "", 0, s.error(ctx, "claim", err)
	}
	holder, left, err = s.who(ctx)
	return nil, holder, left, err
}

// who says who has the store, and how much is left of the lease; nothing if nobody has.
func (s *Store) who(ctx context.Context) (holder string, left time.Duration, err error) {
	err = s.pool.QueryRow(ctx, "SELECT holder, coalesce(expires - clock_timestamp(), '0') FROM "+
		s.schema+".claims WHERE name = $1", s.name).Scan(&holder, &left)
	if errors.Is(err, pgx.ErrNoRows) {
		return "nobody", 0, nil
	}
	return holder, left, s.error(ctx, "claim", err)
}

// inUse says that somebody else has the store.
func (s *Store) inUse(ctx context.Context) error {
	holder, _, err := s.who(ctx)
	if err != nil {
		return errors.Join(batch.ErrStoreInUse, err)
	}
	return fmt.Errorf("%w: %s", batch.ErrStoreInUse, holder)
}

// listenAndClaim waits until the store is free. The error is the database's, or ctx's.
func (s *Store) listenAndClaim(ctx context.Context, wait func(holder string)) (*claim, error) {
	conn, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	news, last := true, ""
	for {
		c, holder, left, err := s.tryClaim(ctx)
		if c != nil || err != nil {
			return c, err
		}
		if news || holder != last {
			last = holder
			wait(holder)
		}
		if news, err = await(ctx, conn, left); err != nil {
			return nil, err
		}
	}
}

// listen returns a connection that receives notifications. Release gives it back.
func (s *Store) listen(ctx context.Context) (*listener, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, s.error(ctx, "listen to", err)
	}
	if _, err := conn.Exec(ctx, "LISTEN "+s.channel); err != nil {
		conn.Release()
		return nil, s.error(ctx, "listen to", err)
	}
	return &listener{conn}, nil
}

// A listener receives notifications. A wait that was cut short leaves its connection
// unusable, so it is closed.
type listener struct{ *pgxpool.Conn }

// Release closes the connection: it listens, and may have been cut short.
func (l *listener) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.Conn.Conn().Close(ctx) // there is nothing that could be lost
	l.Conn.Release()
}

// await waits for a notification, or until the time is over.
func await(ctx context.Context, conn *listener, left time.Duration) (news bool, err error) {
	const atLeast = 10 * time.Millisecond // a lease ends a little later here than there
	soon, cancel := context.WithTimeout(ctx, max(left, 0)+atLeast)
	defer cancel()
	_, err = conn.Conn.Conn().WaitForNotification(soon)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case soon.Err() != nil:
		return false, nil
	}
	return false, err
}

func (s *Store) newClaim(token int64, sent time.Time) *claim {
	c := &claim{store: s, token: token, turn: make(chan struct{}, 1), quiet: sent}
	c.ctx, c.end = context.WithCancelCause(context.Background())
	c.expiry = time.AfterFunc(s.lease-time.Since(sent), func() { c.end(errLeaseEnded) })
	c.renew.Go(c.renewAll)
	return c
}

// context is what those of commits are made of.
func (c *claim) context() context.Context { return context.WithValue(c.ctx, claimKey{c.store}, c) }

// commit makes changes, and renews the lease.
func (c *claim) commit(ctx context.Context, ch *changes) error {
	select { // not two at once, which could come in another order
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	c.commits++
	sent := time.Now()
	var channel *string
	if c.tells(len(ch.newJobs)+len(ch.oldJobs)+len(ch.gone) > 0, sent) {
		channel = &c.store.channel
	}
	err := c.store.commit(ctx, &fence{c.token, c.commits}, channel, ch)
	switch {
	case err == nil:
		c.renewed(sent, channel != nil)
	case errors.Is(err, batch.ErrStoreInUse):
		c.end(err)
	}
	return err
}

// tells reports whether those who look on are to be told now that there are changes.
func (c *claim) tells(changes bool, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.untold = c.untold || changes
	return c.untold && now.Sub(c.told) >= tellTime
}

// renewed notes that the lease was renewed by what was sent at that time.
func (c *claim) renewed(sent time.Time, told bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = sent
	if told {
		c.told, c.untold = sent, false
	}
	if c.expiry.Stop() { // otherwise it has ended
		c.expiry.Reset(c.store.lease - time.Since(sent))
	}
}

// renewAll renews the lease while there are no commits, and tells of the last changes.
func (c *claim) renewAll() {
	for {
		if !pause(c.ctx, min(c.store.lease/3, tellTime)) {
			return
		}
		if !c.needs() {
			continue
		}
		_ = c.commit(c.ctx, changesOf(nil)) // another try follows, until the lease ends
	}
}

// needs reports whether there is something to be renewed or told.
func (c *claim) needs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.quiet) >= c.store.lease/4 || c.untold && time.Since(c.told) >= tellTime
}

// release leaves the store to others at once, if that can be said.
func (c *claim) release() {
	c.end(errReleased)
	c.renew.Wait()
	c.expiry.Stop()
	s := c.store
	ctx, cancel := context.WithTimeout(context.Background(), min(s.lease, time.Second))
	defer cancel()
	_, err := s.pool.Exec(ctx, "WITH free AS (UPDATE "+s.schema+`.claims SET expires = NULL
		WHERE name = $1 AND token = $2 RETURNING 1) SELECT pg_notify($3, 'free') FROM free`, s.name, c.token, s.channel)
	if err != nil {
		s.logger.Warn("store not released, others have it when the lease ends", "error", err)
	}
}
