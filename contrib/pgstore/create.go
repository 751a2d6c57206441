package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/runtocompletion/batch"
)

// CreateTx creates a job in a transaction of the caller's: there is a job exactly if
// that commits. It may be called by any process, whoever works. The job is made by
// [Store.Receive], which gives it its functions; those that it has here are not stored.
// The error is a [*batch.ValidationError], or the database's; whether the name is taken
// is not known yet.
func (s *Store) CreateTx(ctx context.Context, tx pgx.Tx, job batch.Job) error {
	if job.Executor == nil {
		job.Executor = later
	}
	if err := job.Validate(); err != nil {
		return err
	}
	spec, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("pgstore: job %q: %w", job.Name, err)
	}
	_, err = tx.Exec(ctx, "WITH row AS (INSERT INTO "+s.schema+`.created (name, spec) VALUES ($1, $2) RETURNING 1)
		SELECT pg_notify($3, 'created') FROM row`, s.name, string(spec), s.channel)
	return s.error(ctx, "create a job in", err)
}

// later stands for the executor that Receive will know.
var later = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return errors.New("pgstore: no executor") })

// Receive creates the jobs that [Store.CreateTx] has left, with a controller of the store,
// for as long as ctx lasts; while another process works, it waits. Prepare gives a job
// its executor, by its name or labels, and its other functions. A job that the controller
// does not take, because the name is taken or it has no executor, is logged and removed.
// Each job is created once, also if the process dies meanwhile. The error is the cause
// of ctx, or [batch.ErrShutdown].
func (s *Store) Receive(ctx context.Context, c *batch.Controller, prepare func(job *batch.Job)) error {
	for {
		if err := c.Claimed(ctx); ctx.Err() != nil || errors.Is(err, batch.ErrShutdown) {
			return errors.Join(context.Cause(ctx), err)
		}
		err := s.receive(ctx, c, prepare)
		if errors.Is(err, batch.ErrShutdown) {
			return err
		}
		if ctx.Err() == nil && !errors.Is(err, batch.ErrStoreInUse) {
			s.logger.Error("created jobs not received, another try follows", "error", err)
		}
		pause(ctx, s.lease/2)
	}
}

// receive creates jobs until something fails.
func (s *Store) receive(ctx context.Context, c *batch.Controller, prepare func(*batch.Job)) error {
	const atLeast = time.Minute // notifications can be lost only with the connection
	conn, err := s.newLine(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := s.listen(ctx, conn); err != nil {
		return err
	}
	for {
		if err := s.createAll(ctx, c, prepare); err != nil {
			return err
		}
		if _, err := await(ctx, conn, atLeast); err != nil {
			return err
		}
	}
}

// A created job is one that a transaction has left.
type created struct {
	id   int64
	spec string
}

func (s *Store) createAll(ctx context.Context, c *batch.Controller, prepare func(*batch.Job)) error {
	rows, err := s.pool.Query(ctx,
		"SELECT id, spec FROM "+s.schema+".created WHERE name = $1 AND job IS NULL ORDER BY id", s.name)
	if err != nil {
		return s.error(ctx, "receive jobs of", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j created, err error) {
		return j, row.Scan(&j.id, &j.spec)
	})
	if err != nil {
		return s.error(ctx, "receive jobs of", err)
	}
	for _, j := range list {
		if err := s.create(ctx, c, j, prepare); err != nil {
			return err
		}
	}
	return nil
}

// create creates one job. The commit that stores it notes that in its row, so that it is
// not created again.
func (s *Store) create(ctx context.Context, c *batch.Controller, j created, prepare func(*batch.Job)) error {
	var job batch.Job
	err := json.Unmarshal([]byte(j.spec), &job)
	if err == nil {
		prepare(&job)
		job.Annotations = maps.Clone(job.Annotations)
		if job.Annotations == nil {
			job.Annotations = make(map[string]string)
		}
		job.Annotations[createdAnnotation] = strconv.FormatInt(j.id, 10)
		err = c.Create(ctx, job)
	}
	if errors.Is(err, batch.ErrStore) || errors.Is(err, batch.ErrStoreInUse) || errors.Is(err, batch.ErrShutdown) ||
		ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		s.logger.LogAttrs(ctx, slog.LevelError, "created job refused", slog.String("job", job.Name), slog.Any("error", err))
	}
	_, err = s.pool.Exec(ctx, "DELETE FROM "+s.schema+".created WHERE id = $1", j.id)
	return s.error(ctx, "receive jobs of", err)
}
