package pgstore_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/pgstore"
	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/pgtest"
)

// bouncer returns the URL of a PgBouncer.
func bouncer(t *testing.T, mode string) string {
	t.Helper()
	b, err := pgtest.StartBouncer(server, mode)
	if errors.Is(err, pgtest.ErrNoBouncer) {
		effort.Need(t, err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	return b.URL()
}

// In session mode everything works.
func TestBouncer_Session(t *testing.T) {
	pool := connectTo(t, bouncer(t, "session"))
	testStore(t, pool)
	t.Run("a standby is notified", func(t *testing.T) { takeTurns(t, pool, 2) })
}

// In the modes in which connections have no session of their own, nobody could be
// notified: that is said at once.
func TestBouncer_NoSession(t *testing.T) {
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			url := bouncer(t, mode)
			for name, exec := range map[string]pgx.QueryExecMode{
				"as usual":            pgx.QueryExecModeCacheStatement,
				"without preparation": pgx.QueryExecModeExec,
			} {
				t.Run(name, func(t *testing.T) {
					config, err := pgxpool.ParseConfig(url)
					require.NoError(t, err)
					config.ConnConfig.DefaultQueryExecMode = exec
					_, err = pgstore.Open(t.Context(), connectBy(t, config), pgstore.Options{Schema: schemaOf(t)})
					require.ErrorIs(t, err, pgstore.ErrNoSession)
					require.EqualError(t, err, `pgstore: open default of "`+schemaOf(t)+`": connections have no session of `+
						`their own, as behind PgBouncer in transaction or statement mode: its session mode is needed`)
				})
			}
		})
	}
}
