package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type args struct{}

func (args) Kind() string { return "nothing" }

// A worker counts, and measures the time between two jobs.
type worker struct {
	river.WorkerDefaults[args]
	left atomic.Int64
	done chan struct{}
	gaps *gaps // nil: they are not measured
}

func (w *worker) Work(context.Context, *river.Job[args]) error {
	if w.gaps != nil {
		w.gaps.step()
	}
	if w.left.Add(-1) == 0 {
		close(w.done)
	}
	return nil
}

func measureRiver(ctx context.Context, pool *pgxpool.Pool, n int) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	before, err := writtenBy(ctx, pool)
	if err != nil {
		return err
	}
	took, err := runRiver(ctx, pool, n, workers, nil, nil)
	if err != nil {
		return err
	}
	if err := report(ctx, pool, "River", n, took, before); err != nil {
		return err
	}
	var g gaps
	if _, err := runRiver(ctx, pool, steps, 1, &g, nil); err != nil {
		return err
	}
	g.report("River")
	_, err = runRiver(ctx, pool, 1, workers, nil, func() error { return reportIdle("River") })
	return err
}

// runRiver inserts jobs, and then has them done: only that is timed. Then it calls after,
// if it is not nil, with a client that is idle.
func runRiver(ctx context.Context, pool *pgxpool.Pool, n, workers int, g *gaps, after func() error) (
	time.Duration, error) {
	w := &worker{done: make(chan struct{}), gaps: g}
	w.left.Store(int64(n))
	registry := river.NewWorkers()
	river.AddWorker(registry, w)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}, Workers: registry,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	for left := n; left > 0; left -= 10_000 {
		if _, err := client.InsertManyFast(ctx, paramsOf(min(left, 10_000))); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	<-w.done
	if err := waitForCompleted(ctx, pool); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if after != nil {
		err = after()
	}
	if stopErr := client.Stop(ctx); err == nil {
		err = stopErr
	}
	return took, err
}

func paramsOf(n int) []river.InsertManyParams {
	list := make([]river.InsertManyParams, n)
	for i := range list {
		list[i].Args = args{}
	}
	return list
}

// waitForCompleted waits until what was done is stored.
func waitForCompleted(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var left int
		err := pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&left)
		if err != nil || left == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
