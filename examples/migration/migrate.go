package main

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/runtocompletion/batch"
)

//go:embed migrations/*.sql
var files embed.FS

// A migration takes the database from the version before it to its own.
type migration struct {
	version int
	name    string // such as "0003_unique_emails"
	sql     string
}

// loadMigrations reads the migrations in order of version. Their files are
// numbered without gaps, so that the number of a file is its place.
func loadMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // in order of name
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		m := migration{version: i + 1, name: strings.TrimSuffix(path.Base(name), ".sql"), sql: string(text)}
		if !strings.HasPrefix(m.name, fmt.Sprintf("%04d_", m.version)) {
			return nil, fmt.Errorf("%s: want number %04d here", name, m.version)
		}
		all = append(all, m)
	}
	return all, nil
}

// A migrator is the executor of the job: each attempt goes on where the last
// one stopped. It may be run any number of times.
type migrator struct {
	db         *sql.DB
	migrations []migration
	out        io.Writer // what is done, as it is done
}

// Execute applies the migrations that the database lacks.
func (m *migrator) Execute(ctx context.Context, a batch.Attempt) error {
	version, err := schemaVersion(ctx, m.db)
	if err != nil {
		return err
	}
	total := len(m.migrations)
	if version > total {
		// No retry makes this program newer.
		return batch.Permanent(fmt.Errorf("the database has version %d, this program knows %d", version, total))
	}
	out := io.MultiWriter(m.out, a.Stdout())
	if version == total {
		fmt.Fprintf(out, "%s: nothing to do\n", a.Name())
	}
	for _, step := range m.migrations[version:] {
		a.Progress(int64(step.version-1), int64(total), step.name)
		if err := m.apply(ctx, step); err != nil {
			return fmt.Errorf("migration %s: %w", step.name, err)
		}
		fmt.Fprintf(out, "%s: applied %s\n", a.Name(), step.name)
	}
	a.Progress(int64(total), int64(total), "done")
	a.SetOutput(fmt.Sprintf("version %d", total))
	return nil
}

// apply runs one migration and notes its version, both or neither. If another
// program was faster, there is nothing left to do.
func (m *migrator) apply(ctx context.Context, step migration) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit

	version, err := schemaVersion(ctx, tx)
	if err != nil || version >= step.version {
		return err
	}
	if _, err := tx.ExecContext(ctx, step.sql); err != nil {
		return err
	}
	if err := note(ctx, tx, step); err != nil {
		return err
	}
	return tx.Commit()
}

// note writes into the database that it now has the migration's version.
func note(ctx context.Context, tx *sql.Tx, step migration) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (
		version    INTEGER PRIMARY KEY,
		name       TEXT NOT NULL,
		applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
	)`)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES (?, ?)", step.version, step.name)
	return err
}
