package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openDatabase opens the SQLite database in the file path. A transaction takes
// the write lock when it begins, and does not wait for it: waiting is the
// job's back-off's task.
func openDatabase(path string) (*sql.DB, error) {
	file := url.URL{Path: path}
	return sql.Open("sqlite", "file:"+file.EscapedPath()+
		"?_txlock=immediate&_pragma=busy_timeout(0)&_pragma=foreign_keys(1)")
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion is the number of the last migration applied: 0 for an empty
// database, which has no schema_version table yet.
func schemaVersion(ctx context.Context, q querier) (int, error) {
	var exists bool
	err := q.QueryRowContext(ctx,
		"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'").Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	var version int
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version)
	return version, err
}

// isBusy reports whether err says that another connection holds a lock, which
// goes by: the low byte is the error's kind, the rest is detail.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	kind := e.Code() & 0xff
	return kind == sqlite3.SQLITE_BUSY || kind == sqlite3.SQLITE_LOCKED
}

// lockFor holds the database's write lock for d, as a long transaction of
// another program would. The function it returns gives it up before that.
func lockFor(ctx context.Context, path string, d time.Duration) (release func(), err error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	timer := time.AfterFunc(d, func() { tx.Rollback() })
	return func() {
		timer.Stop()
		tx.Rollback()
		db.Close()
	}, nil
}
