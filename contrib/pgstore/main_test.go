package pgstore_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch/contrib/pgstore"
	"github.com/runtocompletion/batch/internal/pgtest"
)

var server *pgtest.Server

func TestMain(m *testing.M) {
	code, err := pgtest.Main(func(s *pgtest.Server) int {
		server = s
		return m.Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// connect returns a pool of the server, as the user of that name.
func connect(t *testing.T, user string) *pgxpool.Pool {
	t.Helper()
	return connectTo(t, strings.Replace(server.URL(), "postgres@", user+"@", 1))
}

func connectTo(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	return connectBy(t, config)
}

func connectBy(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// open opens a store in a schema of the test's own.
func open(t *testing.T, pool *pgxpool.Pool, o pgstore.Options) *pgstore.Store {
	t.Helper()
	if o.Schema == "" {
		o.Schema = schemaOf(t)
	}
	s, err := pgstore.Open(t.Context(), pool, o)
	require.NoError(t, err)
	return s
}

var schemas sync.Map // by test

// schemaOf is a schema of the test's own, each time that it runs.
func schemaOf(t *testing.T) string {
	name, _ := schemas.LoadOrStore(t, fmt.Sprintf("%s_%d", strings.ToLower(t.Name()), time.Now().UnixNano()))
	return name.(string)
}
