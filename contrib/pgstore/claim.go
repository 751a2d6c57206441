package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

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

	turn    chan struct{} // has an element while a commit uses the fields below
	commits int64
	conn    *line

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
// database decides when a lease ends. A claim has a connection of its own, which it takes
// out of the pool. While it waits, it asks when a lease is to end, or somebody says that
// there is something new.
func (s *Store) Claim(ctx context.Context, wait func(holder string)) (context.Context, func(), error) {
	for {
		c, err := s.claim(ctx, wait)
		switch {
		case err == nil:
			return c.context(), c.release, nil
		case wait == nil:
			return nil, nil, err
		case !pause(ctx, s.lease/2):
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

// claim claims the store, or, with wait, waits until it is free. The error is the
// database's, or ctx's; without wait also that the store is in use.
func (s *Store) claim(ctx context.Context, wait func(holder string)) (*claim, error) {
	conn, err := s.newLine(ctx)
	if err != nil {
		return nil, err
	}
	var c *claim
	if wait == nil {
		c, err = s.claimNow(ctx, conn)
	} else {
		c, err = s.listenAndClaim(ctx, conn, wait)
	}
	if err != nil {
		conn.close()
	}
	return c, err
}

func (s *Store) claimNow(ctx context.Context, conn *line) (*claim, error) {
	c, holder, _, err := s.tryClaim(ctx, conn)
	if err == nil && c == nil {
		err = fmt.Errorf("%w: %s", batch.ErrStoreInUse, holder)
	}
	return c, err
}

const claimStatement = `INSERT INTO {schema}.claims AS c (name, token, holder, expires)
	VALUES ($1, 1, $2, clock_timestamp() + $3)
	ON CONFLICT (name) DO UPDATE SET token = c.token + 1, number = 0, holder = excluded.holder,
		expires = clock_timestamp() + $3
	WHERE c.expires IS NULL OR c.expires <= clock_timestamp()
	RETURNING token`

// tryClaim returns a claim that has the connection, or who has the store and how much is
// left of the lease.
func (s *Store) tryClaim(ctx context.Context, conn *line) (c *claim, holder string, left time.Duration, err error) {
	sent := time.Now()
	var token int64
	err = conn.QueryRow(ctx, s.sql(claimStatement), s.name, s.holder, s.lease).Scan(&token)
	if err == nil {
		return s.newClaim(conn, token, sent), "", 0, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, "", 0, s.error(ctx, "claim", err)
	}
	holder, left, err = s.who(ctx, conn)
	return nil, holder, left, err
}

// who says who has the store, and how much is left of the lease; nothing if nobody has.
func (s *Store) who(ctx context.Context, db querier) (holder string, left time.Duration, err error) {
	err = db.QueryRow(ctx, s.sql("SELECT holder, coalesce(expires - clock_timestamp(), '0') FROM {schema}.claims"+
		" WHERE name = $1"), s.name).Scan(&holder, &left)
	if errors.Is(err, pgx.ErrNoRows) {
		return "nobody", 0, nil
	}
	return holder, left, s.error(ctx, "claim", err)
}

// inUse says that somebody else has the store.
func (s *Store) inUse(ctx context.Context, db querier) error {
	holder, _, err := s.who(ctx, db)
	if err != nil {
		return errors.Join(batch.ErrStoreInUse, err)
	}
	return fmt.Errorf("%w: %s", batch.ErrStoreInUse, holder)
}

// listenAndClaim waits until the store is free.
func (s *Store) listenAndClaim(ctx context.Context, conn *line, wait func(holder string)) (*claim, error) {
	s.rehearse(ctx, conn)
	if err := s.listen(ctx, conn); err != nil {
		return nil, err
	}
	news, last := true, ""
	for {
		c, holder, left, err := s.tryClaim(ctx, conn)
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

func (s *Store) newClaim(conn *line, token int64, sent time.Time) *claim {
	c := &claim{store: s, token: token, turn: make(chan struct{}, 1), quiet: sent, conn: conn}
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
	if err := c.connect(ctx); err != nil {
		return err
	}
	c.commits++
	sent := time.Now()
	var channel *string
	if c.tells(len(ch.newJobs)+len(ch.oldJobs)+len(ch.gone) > 0, sent) {
		channel = &c.store.channel
	}
	err := c.store.commit(ctx, c.conn, &fence{c.token, c.commits}, channel, ch)
	switch {
	case err == nil:
		c.renewed(sent, channel != nil)
	case errors.Is(err, batch.ErrStoreInUse):
		c.end(err)
	}
	return err
}

// connect makes another connection if the claim's is broken. It needs the turn.
func (c *claim) connect(ctx context.Context) (err error) {
	if !c.conn.IsClosed() {
		return nil
	}
	conn, err := c.store.newLine(ctx)
	if err == nil {
		c.conn = conn
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
	for pause(c.ctx, min(c.store.lease/3, tellTime)) {
		c.stopListening()
		if c.needs() {
			_ = c.commit(c.ctx, changesOf(nil)) // another try follows, until the lease ends
		}
	}
}

// stopListening has no more notifications come over the connection that has waited, as
// nobody would take them. It is not done before there is time for it.
func (c *claim) stopListening() {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-c.ctx.Done():
		return
	}
	if err := c.conn.stopListening(c.ctx); err != nil {
		c.conn.close() // the next commit makes another one
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
	ctx, cancel := context.WithTimeout(context.Background(), min(c.store.lease, time.Second))
	defer cancel()
	if err := c.free(ctx); err != nil {
		c.store.logger.Warn("store not released, others have it when the lease ends", "error", err)
	}
}

// free ends the lease, and tells those who wait in the same transaction.
func (c *claim) free(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done(): // a commit does not return
		return context.Cause(ctx)
	}
	defer func() { c.conn.close() }()
	if err := c.connect(ctx); err != nil {
		return err
	}
	_, err := c.conn.Exec(ctx, c.store.sql(`WITH free AS (UPDATE {schema}.claims SET expires = NULL
		WHERE name = $1 AND token = $2 RETURNING 1) SELECT pg_notify($3, 'free') FROM free`),
		c.store.name, c.token, c.store.channel)
	return err
}
