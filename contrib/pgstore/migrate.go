package pgstore

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// newest is the version of the tables that this package needs: that of the last file.
const newest = 1

// migrate makes the tables, or changes those of an earlier version. Several processes
// may do so at once. Tables that are right need no right to make some.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.version(ctx, s.pool)
	if err != nil || version == newest {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Another process may be at it: its locks on the tables are not enough before
		// there are any.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", hash("migrate", s.schema)); err != nil {
			return err
		}
		version, err := s.version(ctx, tx)
		if err != nil {
			return err
		}
		for next := version + 1; next <= newest; next++ {
			if err := s.step(ctx, tx, next); err != nil {
				return fmt.Errorf("version %d of the tables: %w", next, err)
			}
		}
		return nil
	})
}

// version returns that of the tables, 0 if there are none.
func (s *Store) version(ctx context.Context, db querier) (version int, err error) {
	var exists bool // not by to_regclass, which may not know what another process has just made
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'versions')`, s.plainSchema).Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	if err := db.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+s.schema+".versions").Scan(&version); err != nil {
		return 0, err
	}
	if version > newest {
		return 0, fmt.Errorf("schema %s has tables of version %d, this package knows %d", s.schema, version, newest)
	}
	return version, nil
}

// step brings the tables to the next version.
func (s *Store) step(ctx context.Context, tx pgx.Tx, version int) error {
	text, err := migrations.ReadFile(fmt.Sprintf("migrations/%d.sql", version))
	if err != nil {
		return err
	}
	if version == 1 {
		if err := s.makeSchema(ctx, tx); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, s.sql(string(text))); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO "+s.schema+".versions (version) VALUES ($1)", version)
	return err
}

// makeSchema makes the schema, unless there is one, for which it takes fewer rights.
func (s *Store) makeSchema(ctx context.Context, tx pgx.Tx) error {
	var exists bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", s.plainSchema).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+s.schema); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "CREATE TABLE "+s.schema+
		".versions (version int PRIMARY KEY, made timestamptz NOT NULL DEFAULT clock_timestamp())")
	return err
}
