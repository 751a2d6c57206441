package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// newController returns the controller of jobs: in memory, over a file, or, with a
// database, as one of the processes that have it. Close is to be called after its
// Shutdown.
func newController(ctx context.Context, cfg config, logger *slog.Logger) (
	c *batch.Controller, closeStore func() error, err error) {
	options := batch.Options{Logger: logger, MaxActive: cfg.maxActive}
	options.Store, closeStore, err = openStore(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	options.Standby = cfg.postgres != ""
	if c, err = batch.New(ctx, options); err != nil {
		return nil, nil, errors.Join(err, closeStore())
	}
	return c, closeStore, nil
}

// openStore returns no store if there is to be none.
func openStore(ctx context.Context, cfg config) (batch.Store, func() error, error) {
	nothing := func() error { return nil }
	switch {
	case cfg.postgres != "" && cfg.store != "":
		return nil, nil, errors.New("-store and -postgres: one of them is enough")
	case cfg.store != "":
		store, err := boltstore.Open(cfg.store, boltstore.Options{})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	case cfg.postgres == "":
		return nil, nothing, nil
	}
	pool, err := pgxpool.New(ctx, cfg.postgres)
	if err != nil {
		return nil, nil, err
	}
	store, err := pgstore.Open(ctx, pool, pgstore.Options{Name: "service"})
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	return store, func() error { pool.Close(); return nil }, nil
}

// A worker does what only the process does that works: it has the CronJobs, and gives
// jobs that were found in the database their executors.
type worker struct {
	jobs   *batch.Controller
	root   *os.Root
	cfg    config
	logger *slog.Logger

	cronJobs atomic.Pointer[cron.Controller] // nil while another process works
	ended    chan struct{}                   // closed when run has returned
}

// works returns an error that says who works, if another process does.
func (w *worker) works() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return w.jobs.Claimed(now)
}

// current returns the controller of CronJobs.
func (w *worker) current() (*cron.Controller, error) {
	if c := w.cronJobs.Load(); c != nil {
		return c, nil
	}
	if err := w.works(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: it begins", cron.ErrShutdown)
}

func (w *worker) begin(ctx context.Context) error {
	cronJobs, err := schedule(ctx, w.jobs, w.root, w.cfg, w.logger)
	if err == nil {
		w.cronJobs.Store(cronJobs)
	}
	return err
}

// run works whenever it is this process's turn, until ctx ends.
func (w *worker) run(ctx context.Context) error {
	defer close(w.ended)
	for {
		err := w.jobs.Claimed(ctx)
		if err == nil && w.cronJobs.Load() == nil {
			err = w.begin(ctx)
		}
		if err == nil {
			err = w.declare(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, batch.ErrStoreInUse):
			return err
		}
		if c := w.cronJobs.Swap(nil); c != nil {
			if err := c.Shutdown(ctx); err != nil {
				return err
			}
		}
	}
}

// declare gives jobs their executors that have none, until ctx ends or another process
// works.
func (w *worker) declare(ctx context.Context) error {
	for {
		for change, err := range w.jobs.Watch(ctx, 0) {
			if errors.Is(err, batch.ErrTooOld) && !errors.Is(err, batch.ErrStoreInUse) {
				break // and from the beginning
			}
			if err == nil && change.Status.Is(batch.ConditionStalled) {
				err = giveExecutor(ctx, w.jobs, change.Status.Name, w.root.FS())
			}
			if err != nil {
				return err
			}
		}
	}
}

// giveExecutor gives a job that was found in the store its executor. Those of CronJobs
// have no input, and are declared by their controller.
func giveExecutor(ctx context.Context, jobs *batch.Controller, name string, root fs.FS) error {
	err := jobs.Update(ctx, name, func(job *batch.Job) {
		if job.Executor == nil && job.Input != nil {
			job.Executor = requested{root}
		}
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	return err
}

// stop ends the CronJobs, once run has returned.
func (w *worker) stop(ctx context.Context) error {
	<-w.ended
	if c := w.cronJobs.Load(); c != nil {
		return c.Shutdown(ctx)
	}
	return nil
}
