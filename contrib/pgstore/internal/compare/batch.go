package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

var nothing = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })

func measureBatch(ctx context.Context, pool *pgxpool.Pool, n int) error {
	store, err := pgstore.Open(ctx, pool, pgstore.Options{})
	if err != nil {
		return err
	}
	c, err := batch.New(ctx, batch.Options{Store: store})
	if err != nil {
		return err
	}
	defer c.Shutdown(ctx)
	before, err := writtenBy(ctx, pool)
	if err != nil {
		return err
	}
	start := time.Now()
	_, err = c.Run(ctx, batch.Job{Name: "many", CompletionMode: batch.Indexed, Completions: new(n),
		Parallelism: new(workers), Executor: nothing})
	if err != nil {
		return err
	}
	if err := report(ctx, pool, "pgstore", n, time.Since(start), before); err != nil {
		return err
	}
	if err := measureJobs(ctx, pool, c, n/10); err != nil {
		return err
	}
	var g gaps
	_, err = c.Run(ctx, batch.Job{Name: "steps", Completions: new(steps),
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { g.step(); return nil })})
	if err != nil {
		return err
	}
	g.report("pgstore")
	return reportIdle("pgstore")
}

// measureJobs runs jobs of one completion each, and waits for each.
func measureJobs(ctx context.Context, pool *pgxpool.Pool, c *batch.Controller, n int) error {
	before, err := writtenBy(ctx, pool)
	if err != nil {
		return err
	}
	start := time.Now()
	var all errgroup.Group
	all.SetLimit(workers)
	for i := range n {
		all.Go(func() error {
			_, err := c.Run(ctx, batch.Job{Name: fmt.Sprint("job-", i), TTLAfterFinished: new(time.Minute), Executor: nothing})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return report(ctx, pool, "pgstore, a job each", n, time.Since(start), before)
}
