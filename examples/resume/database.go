package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	_ "modernc.org/sqlite"

	"github.com/runtocompletion/batch"
)

// A database holds the files of one import.
type database struct {
	*sql.DB
	path string
}

const schema = `
CREATE TABLE IF NOT EXISTS import (
	job    TEXT NOT NULL, -- the UID
	source TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
	path    TEXT PRIMARY KEY,
	package TEXT NOT NULL,
	lines   INTEGER NOT NULL,
	bytes   INTEGER NOT NULL,
	text    TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS skipped (
	path  TEXT PRIMARY KEY,
	error TEXT NOT NULL
);`

// openDatabase opens the database in a file, or makes one. What is committed is
// on the disk: a checkpoint must not be ahead of the files it counts as done.
func openDatabase(ctx context.Context, path string) (*database, error) {
	file := url.URL{Path: path}
	db, err := sql.Open("sqlite", "file:"+file.EscapedPath()+
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	d := &database{db, path}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(d.failed(err), db.Close())
	}
	return d, nil
}

// failed names the database in an error.
func (d *database) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", d.path, err)
}

// An origin says where the files of a database come from.
type origin struct{ job, source string }

// claim makes the database, if it is new, that of an import. Otherwise it must be
// that already.
func (d *database) claim(ctx context.Context, o origin) error {
	_, err := d.ExecContext(ctx, `INSERT INTO import (job, source)
		SELECT ?, ? WHERE NOT EXISTS (SELECT * FROM import)`, o.job, o.source)
	if err != nil {
		return d.failed(err)
	}
	return d.check(ctx, o)
}

// check makes sure that the database is that of an import: the state says which
// files are done, but not where they are.
func (d *database) check(ctx context.Context, o origin) error {
	var found origin
	err := d.QueryRowContext(ctx, "SELECT job, source FROM import").Scan(&found.job, &found.source)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return d.failed(err)
	case found.job != o.job:
		return d.failed(errors.New("the database and the state are not of the same import; to begin anew, remove both"))
	case found.source != o.source:
		return d.failed(fmt.Errorf("the database and the state are of an import of %s", found.source))
	}
	return nil
}

// A row is a file in the database.
type row struct{ path, text string }

func (r row) lines() int {
	n := strings.Count(r.text, "\n")
	if r.text != "" && !strings.HasSuffix(r.text, "\n") {
		n++
	}
	return n
}

// put adds files, all or none. Those that are there are replaced.
func (d *database) put(ctx context.Context, rows []row) error {
	return d.change(ctx, func(tx *sql.Tx) error {
		for _, r := range rows {
			_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO files (path, package, lines, bytes, text) VALUES (?, ?, ?, "+
				"?, ?)",
				r.path, path.Dir(r.path), r.lines(), len(r.text), r.text)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// noteSkipped adds what was left out, and why.
func (d *database) noteSkipped(ctx context.Context, skipped []*batch.ItemError[string]) error {
	return d.change(ctx, func(tx *sql.Tx) error {
		for _, s := range skipped {
			_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO skipped (path, error) VALUES (?, ?)", s.Cursor, s.Err.Error())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// change does in one transaction what f does.
func (d *database) change(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return d.failed(err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return d.failed(err)
	}
	return d.failed(tx.Commit())
}
