package pgstore_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// role makes a role with some rights, and connects as it. {schema} stands for the
// schema, {role} for the role and {database} for the database.
func role(t *testing.T, schema, name, rights string) *pgxpool.Pool {
	t.Helper()
	owner := connect(t, "postgres")
	var database string
	require.NoError(t, owner.QueryRow(t.Context(), "SELECT current_database()").Scan(&database))
	name = schema + "_" + name
	_, err := owner.Exec(t.Context(), strings.NewReplacer("{schema}", schema, "{role}", name, "{database}", database).
		Replace("CREATE ROLE {role} LOGIN;"+rights))
	require.NoError(t, err)
	return connect(t, name)
}

// Whoever may make a schema, or tables in one that is there, can make the tables.
func TestOpen_Rights(t *testing.T) {
	schema := schemaOf(t)
	for name, rights := range map[string]string{
		"makes_schema": "GRANT CREATE ON DATABASE {database} TO {role};",
		"has_schema":   "CREATE SCHEMA {role}; GRANT CREATE, USAGE ON SCHEMA {role} TO {role};",
	} {
		t.Run(name, func(t *testing.T) {
			pool := role(t, schema, name, rights)
			s := open(t, pool, pgstore.Options{Schema: schema + "_" + name})
			c, err := batch.New(t.Context(), batch.Options{Store: s})
			require.NoError(t, err)
			require.NoError(t, c.Shutdown(t.Context()))
		})
	}
}

// The rights that the package documentation lists are enough to work, and to create jobs
// in transactions.
func TestOpen_LeastRights(t *testing.T) {
	schema := schemaOf(t)
	open(t, connect(t, "postgres"), pgstore.Options{})
	worker := role(t, schema, "worker", `GRANT USAGE ON SCHEMA {schema} TO {role};
		GRANT SELECT ON {schema}.versions TO {role};
		GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.claims, {schema}.records, {schema}.created TO {role};
		REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
		GRANT EXECUTE ON FUNCTION {schema}.commit TO {role};`)
	s := open(t, worker, pgstore.Options{})
	first, err := batch.New(t.Context(), batch.Options{Store: s})
	require.NoError(t, err)
	c, err := batch.New(t.Context(), batch.Options{Store: open(t, worker, pgstore.Options{}), Standby: true})
	require.NoError(t, err)
	require.NoError(t, first.Shutdown(t.Context()))
	require.NoError(t, c.Claimed(t.Context()))

	creator := role(t, schema, "creator", `GRANT USAGE ON SCHEMA {schema} TO {role};
		GRANT INSERT ON {schema}.created TO {role};`)
	tx, err := creator.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.CreateTx(t.Context(), tx, batch.Job{Name: "job"}))
	require.NoError(t, tx.Commit(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	received := make(chan error, 1)
	go func() { received <- s.Receive(ctx, c, withExecutor) }()
	waitFor(t, c, "job")
	cancel()
	require.ErrorIs(t, <-received, context.Canceled)
	require.NoError(t, c.Shutdown(t.Context()))
}
