package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
)

// Options configure a [Store]. The zero value is good.
type Options struct {
	// Schema has the tables. Empty means "batch". It is made if it is missing.
	Schema string
	// Name tells the jobs of one controller from those of others in the same schema.
	// Empty means "default".
	Name string
	// Lease is for how long a process has the store since it has last said so. It says so
	// with each commit, and three times in a lease otherwise. When a process dies, another
	// one works a lease later. Zero means 5 s; less than 100 ms is an error.
	Lease time.Duration
	// Logger receives what is wrong with jobs of [Store.CreateTx] (Error). Nil means
	// silence.
	Logger *slog.Logger
}

// A Store is a [batch.Store] in PostgreSQL. Its methods may be called by several
// goroutines at once, and by several processes.
type Store struct {
	pool        *pgxpool.Pool
	schema      string // quoted, as in statements
	plainSchema string
	name        string
	lease       time.Duration
	logger      *slog.Logger
	holder      string // what this process is called
	channel     string // of notifications
}

const (
	defaultLease = 5 * time.Second
	leastLease   = 100 * time.Millisecond
)

// Open returns the store of that name. It makes the tables, or changes those that an
// earlier version of this package has made; several processes may do so at once. The
// pool stays the caller's, to be closed after [batch.Controller.Shutdown]. A controller,
// and [Store.Receive], take one connection each out of it for as long as they last. The
// error names a bad option, is [ErrNoSession], or the database's.
func Open(ctx context.Context, pool *pgxpool.Pool, o Options) (*Store, error) {
	lease := cmp.Or(o.Lease, defaultLease)
	if lease < leastLease {
		return nil, fmt.Errorf("pgstore: Options.Lease: %v: must be at least %v", o.Lease, leastLease)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	schema, name := cmp.Or(o.Schema, "batch"), cmp.Or(o.Name, "default")
	s := &Store{
		pool: pool, plainSchema: schema, schema: pgx.Identifier{schema}.Sanitize(), name: name, lease: lease,
		logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		holder: fmt.Sprintf("process %d on %s", os.Getpid(), host),
	}
	s.channel = fmt.Sprintf("batch_%016x", uint64(hash(s.schema, name)))
	if err := s.checkSessions(ctx); err != nil {
		return nil, s.error(ctx, "open", err)
	}
	if err := s.migrate(ctx); err != nil {
		return nil, s.error(ctx, "open", err)
	}
	return s, nil
}

// sql is a statement with the name of the schema.
func (s *Store) sql(text string) string { return strings.ReplaceAll(text, "{schema}", s.schema) }

// hash is a number for what has a number in PostgreSQL, or a short name.
func hash(texts ...string) int64 {
	h := fnv.New64a()
	for _, text := range texts {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	return int64(h.Sum64())
}

// error says what was to be done. If ctx has ended, it is its cause.
func (s *Store) error(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("pgstore: %s %s of %s: %w", what, s.name, s.schema, err)
}

// Load walks over every record, job by job, as they are at one moment. It uses a
// connection until it ends. The error is the database's, or the cause of ctx.
func (s *Store) Load(ctx context.Context) iter.Seq2[batch.Record, error] {
	return func(yield func(batch.Record, error) bool) {
		rows, err := s.pool.Query(ctx,
			"SELECT job, key, value FROM "+s.schema+".records WHERE name = $1 ORDER BY job, key", s.name)
		if err != nil {
			yield(batch.Record{}, s.error(ctx, "load", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var job, key []byte
			value := []byte{} // an empty one is not nil
			if err := rows.Scan(&job, &key, &value); err != nil || ctx.Err() != nil {
				yield(batch.Record{}, s.error(ctx, "load", cmp.Or(err, ctx.Err())))
				return
			}
			if !yield(batch.Record{Job: string(job), Key: string(key), Value: value}, nil) {
				return
			}
		}
		if err := errors.Join(rows.Err(), ctx.Err()); err != nil {
			yield(batch.Record{}, s.error(ctx, "load", err))
		}
	}
}
