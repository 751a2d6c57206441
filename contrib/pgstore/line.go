package pgstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// A querier is a connection, a transaction, or a pool.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// A line is a connection that was taken out of the pool: it need not wait for those that
// others use, and nobody who closes the pool waits for it.
type line struct {
	*pgx.Conn
	listens bool
}

func (s *Store) newLine(ctx context.Context) (*line, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, s.error(ctx, "connect to", err)
	}
	return &line{Conn: conn.Hijack()}, nil
}

func (l *line) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.Close(ctx) // there is nothing that could be lost
}

// ErrNoSession is returned by [Open] if connections share sessions of the server, as
// behind PgBouncer in transaction or statement mode: nobody could be notified.
var ErrNoSession = errors.New("connections have no session of their own, as behind PgBouncer in transaction or " +
	"statement mode: its session mode is needed")

// checkSessions returns ErrNoSession if two connections are in one session. Behind a busy
// PgBouncer they may not be at that moment.
func (s *Store) checkSessions(ctx context.Context) error {
	first, err := s.newLine(ctx)
	if err != nil {
		return err
	}
	defer first.close()
	second, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer second.Release()
	for range 3 {
		of, err := sessionOf(ctx, first)
		if err != nil {
			return err
		}
		if other, err := sessionOf(ctx, second); err != nil || other == of {
			return cmp.Or(err, ErrNoSession)
		}
	}
	return nil
}

// sessionOf tells a session from others. It prepares nothing, which would need one.
func sessionOf(ctx context.Context, db querier) (session string, err error) {
	err = db.QueryRow(ctx, "SELECT pg_backend_pid() || ' since ' || pg_postmaster_start_time()",
		pgx.QueryExecModeSimpleProtocol).Scan(&session)
	return session, err
}

// listen has a connection receive notifications.
func (s *Store) listen(ctx context.Context, conn *line) error {
	_, err := conn.Exec(ctx, "LISTEN "+s.channel)
	conn.listens = err == nil
	return s.error(ctx, "listen to", err)
}

func (l *line) stopListening(ctx context.Context) error {
	if !l.listens {
		return nil
	}
	_, err := l.Exec(ctx, "UNLISTEN *")
	l.listens = err != nil
	return err
}

// await waits for a notification, or until the time is over.
func await(ctx context.Context, conn *line, left time.Duration) (news bool, err error) {
	const atLeast = 10 * time.Millisecond // a lease ends a little later here than there
	soon, cancel := context.WithTimeout(ctx, max(left, 0)+atLeast)
	defer cancel()
	_, err = conn.WaitForNotification(soon)
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

var errRehearsed = errors.New("pgstore: undo what was rehearsed")

// rehearse does what whoever begins to work does, under a name that nobody has, and
// undoes it: a session of the server takes much longer the first time. If it fails, so
// does what comes next.
func (s *Store) rehearse(ctx context.Context, conn *line) {
	_ = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		name := "rehearsal of " + s.holder
		var token int64
		if err := tx.QueryRow(ctx, s.sql(claimStatement), name, s.holder, s.lease).Scan(&token); err != nil {
			return err
		}
		some := [][]byte{[]byte("x")}
		_, err := s.call(ctx, tx, name, &fence{token, 1}, &s.channel, &changes{gone: some, oldJobs: some, oldKeys: some,
			newJobs: some, newKeys: some, newValues: some, storedIDs: []int64{0}, storedJobs: some})
		return cmp.Or(err, errRehearsed)
	})
}
