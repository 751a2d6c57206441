package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// newDatabase opens an empty database whose name needs escaping.
func newDatabase(t *testing.T) (*sql.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a shop? 100%.db")
	db, err := openDatabase(path)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db, path
}

func versionOf(t *testing.T, db *sql.DB) int {
	t.Helper()
	version, err := schemaVersion(t.Context(), db)
	require.NoError(t, err)
	return version
}

func loadAll(t *testing.T) []migration {
	t.Helper()
	all, err := loadMigrations(files)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestMigrationsApplyInOrderAndOnlyOnce(t *testing.T) {
	db, path := newDatabase(t)
	require.Zero(t, versionOf(t, db))
	m := &migrator{db: db, migrations: loadAll(t)}
	for range 2 { // the second time changes nothing
		for _, step := range m.migrations {
			require.NoError(t, m.apply(t.Context(), step), step.name)
		}
		require.Equal(t, len(m.migrations), versionOf(t, db))
	}
	require.FileExists(t, path)

	var orders, cents int
	row := db.QueryRow("SELECT sum(orders), sum(cents) FROM customer_totals")
	require.NoError(t, row.Scan(&orders, &cents))
	require.Equal(t, 6, orders)
	require.Equal(t, 47019, cents)
}

func TestABrokenMigrationLeavesNothingBehind(t *testing.T) {
	db, _ := newDatabase(t)
	broken := migration{version: 1, name: "0001_broken", sql: "CREATE TABLE half (id INTEGER); SELECT nonsense;"}
	err := (&migrator{db: db}).apply(t.Context(), broken)
	require.ErrorContains(t, err, "nonsense")
	require.False(t, isBusy(err))
	require.Zero(t, versionOf(t, db))
	var tables int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&tables))
	require.Zero(t, tables)
}

func TestALockedDatabaseIsBusyUntilTheLockIsReleased(t *testing.T) {
	db, path := newDatabase(t)
	m := &migrator{db: db, migrations: loadAll(t)}
	release, err := lockFor(t.Context(), path, time.Hour)
	require.NoError(t, err)
	defer release()

	require.True(t, isBusy(m.apply(t.Context(), m.migrations[0])))
	require.Zero(t, versionOf(t, db), "reading is possible all the while")
	release()
	require.NoError(t, m.apply(t.Context(), m.migrations[0]))
}

func TestALockEndsByItself(t *testing.T) {
	db, path := newDatabase(t)
	release, err := lockFor(t.Context(), path, time.Millisecond)
	require.NoError(t, err)
	defer release()
	m := &migrator{db: db, migrations: loadAll(t)}
	require.Eventually(t, func() bool {
		return m.apply(context.Background(), m.migrations[0]) == nil
	}, 10*time.Second, time.Millisecond)
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	_, err := loadMigrations(fstest.MapFS{
		"migrations/0001_a.sql": {},
		"migrations/0003_c.sql": {},
	})
	require.EqualError(t, err, "migrations/0003_c.sql: want number 0002 here")
}
