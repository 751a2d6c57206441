package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// migrateShop runs the program on a database, and returns what it printed
// without what differs from run to run.
func migrateShop(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"-db", path}, args...), &out, io.Discard)
	text := strings.ReplaceAll(out.String(), path, "shop.db")
	text = regexp.MustCompile(`migrate-[a-z0-9]{5}\b`).ReplaceAllString(text, "migrate-xxxxx")
	text = regexp.MustCompile(`(\+\d+\.\d\ds) +\S+s +`).ReplaceAllString(text, "$1  (time)  ")
	return regexp.MustCompile(`STARTED +TOOK +`).ReplaceAllString(text, "STARTED  TOOK  "), err
}

// requireReason requires that err is that of a job which failed for a reason.
func requireReason(t *testing.T, want string, err error) {
	t.Helper()
	failure, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, want, failure.Reason)
}

func TestRunMigratesAndThenFindsNothingToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	out, err := migrateShop(t, path)
	require.NoError(t, err)
	require.Equal(t, `database: shop.db
before: version 0 of 5
migrate-xxxxx: applied 0001_create_customers
migrate-xxxxx: applied 0002_create_orders
migrate-xxxxx: applied 0003_unique_emails
migrate-xxxxx: applied 0004_amounts_in_cents
migrate-xxxxx: applied 0005_customer_totals

ATTEMPT        STARTED  TOOK  PHASE      MESSAGE
migrate-xxxxx  +0.00s  (time)  Succeeded  version 5

job: migrate: Complete, 1/1 succeeded, 0 failed
after: version 5 of 5
rollout: begins
`, out)

	out, err = migrateShop(t, path)
	require.NoError(t, err)
	require.Contains(t, out, "before: version 5 of 5\nmigrate-xxxxx: nothing to do\n")
	require.Contains(t, out, "after: version 5 of 5\nrollout: begins\n")
}

func TestBadSQLEndsTheJobAtTheLastGoodVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	out, err := migrateShop(t, path, "-break", "4")
	requireReason(t, batch.ReasonPodFailurePolicy, err)
	require.ErrorContains(t, err, "migration 0004_amounts_in_cents: ")
	require.Contains(t, out, "job: migrate: Failed, 0/1 succeeded, 1 failed\nafter: version 3 of 5\nrollout: called off\n")
	require.Equal(t, 1, strings.Count(out, "Failed  "), "one attempt:\n%s", out)
	require.NotContains(t, out, "applied 0004")

	out, err = migrateShop(t, path) // mended
	require.NoError(t, err)
	require.Contains(t, out, "before: version 3 of 5\nmigrate-xxxxx: applied 0004_amounts_in_cents\n")
	require.Contains(t, out, "after: version 5 of 5\nrollout: begins\n")
}

func TestALockedDatabaseIsTriedAgain(t *testing.T) {
	out, err := migrateShop(t, filepath.Join(t.TempDir(), "shop.db"), "-locked", "500ms")
	require.NoError(t, err)
	require.Regexp(t, `Failed +migration 0001_create_customers: database is locked`, out)
	require.Contains(t, out, "Succeeded  version 5")
	require.Contains(t, out, "after: version 5 of 5\nrollout: begins\n")
}

func TestADatabaseLockedForTooLong(t *testing.T) {
	out, err := migrateShop(t, filepath.Join(t.TempDir(), "shop.db"), "-locked", "1h", "-retries", "1")
	requireReason(t, batch.ReasonBackoffLimitExceeded, err)
	require.Contains(t, out, "job: migrate: Failed, 0/1 succeeded, 2 failed\nafter: version 0 of 5\nrollout: called off\n")
}

func TestANewerDatabaseIsLeftAlone(t *testing.T) {
	db, path := newDatabase(t)
	tx, err := db.Begin()
	require.NoError(t, err)
	require.NoError(t, note(t.Context(), tx, migration{version: 9, name: "0009_from_the_future"}))
	require.NoError(t, tx.Commit())

	out, err := migrateShop(t, path)
	requireReason(t, batch.ReasonPodFailurePolicy, err)
	require.ErrorContains(t, err, "the database has version 9, this program knows 5")
	require.Contains(t, out, "rollout: called off\n")
}

func TestAnInterruptStopsTheRetries(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	err := run(ctx, []string{"-db", filepath.Join(t.TempDir(), "shop.db"), "-locked", "1h"}, &out, io.Discard)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, out.String(), "rollout")
}

func TestBreakIsChecked(t *testing.T) {
	_, err := migrateShop(t, filepath.Join(t.TempDir(), "shop.db"), "-break", "6")
	require.EqualError(t, err, "-break 6: there are migrations 1 to 5")
}
