package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// importTree imports the Go files of a tree, or what is left of them, and prints
// what the database then holds.
func importTree(ctx context.Context, cfg config, tree fs.FS, out io.Writer, logger *slog.Logger) (err error) {
	store, err := boltstore.Open(cfg.state, boltstore.Options{}) // one process at a time gets it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	db, err := openDatabase(ctx, cfg.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	im := &importer{config: cfg, tree: tree, db: db, progress: progress{out: out}}
	status, err := im.runJob(ctx, batch.Options{Store: store, Logger: logger})
	if err != nil {
		return err
	}
	if err := db.check(ctx, origin{status.UID, cfg.src}); err != nil {
		return err
	}
	return db.summarize(ctx, out)
}

// runJob runs the job, new or found in the store, until it is complete. What keeps
// it from that ends only the part that this process has in it.
func (im *importer) runJob(ctx context.Context, o batch.Options) (status batch.Status, err error) {
	c, err := batch.New(ctx, o)
	if err != nil {
		return status, err
	}
	ctx, im.stop = context.WithCancelCause(ctx)
	defer im.stop(nil)
	// If ctx has ended, Shutdown interrupts the attempt, and waits until that has
	// saved how far it has come.
	defer func() { err = errors.Join(err, c.Shutdown(ctx)) }()

	status, err = c.Apply(ctx, im.job())
	if err != nil {
		return status, err
	}
	if status.Finished() {
		fmt.Fprintln(im.progress.out, "already complete: since", status.CompletionTime.Format(time.RFC3339))
	}
	status, err = c.Wait(ctx, status.Name)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return status, err
}

// job describes the work: one completion, by one attempt after the other.
func (im *importer) job() batch.Job {
	return batch.Job{
		Name:     "import",
		Executor: im,
		// That an attempt has died with its process is no failure, however often it
		// happens, and the next one need not wait.
		FailurePolicy: []batch.FailureRule{{
			Action:       batch.ActionIgnore,
			OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}},
		}},
		Backoff: batch.ConstantBackoff(0),
	}
}
