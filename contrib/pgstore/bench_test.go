package pgstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// BenchmarkShutdown_TakeOver measures how long nothing runs of a job with a long history
// when its controller shuts down and another one waits.
func BenchmarkShutdown_TakeOver(b *testing.B) {
	pool, err := pgxpool.New(b.Context(), server.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	begun := make(chan time.Time, 1)
	job := batch.Job{Name: "job", CompletionMode: batch.Indexed, Completions: new(2000), Parallelism: new(8),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index < 1000 {
				return nil
			}
			select {
			case begun <- time.Now():
			default:
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})}
	works, waits := benchReplica(b, pool, job), benchReplica(b, pool, job)
	<-begun
	var times []time.Duration
	for b.Loop() {
		for len(begun) > 0 {
			<-begun
		}
		shutNow(b, works)
		over := time.Now()
		times = append(times, (<-begun).Sub(over))
		works, waits = waits, benchReplica(b, pool, job)
		time.Sleep(200 * time.Millisecond) // for what a process does at first
	}
	shutNow(b, waits)
	shutNow(b, works)
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms/p99")
}

func benchReplica(b *testing.B, pool *pgxpool.Pool, job batch.Job) *batch.Controller {
	b.Helper()
	s, err := pgstore.Open(b.Context(), pool, pgstore.Options{Schema: "bench", Lease: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	c, err := batch.New(b.Context(), batch.Options{Store: s, Standby: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Apply(b.Context(), job); err != nil && !errors.Is(err, batch.ErrStoreInUse) {
		b.Fatal(err)
	}
	return c
}

// shutNow waits for nothing that runs.
func shutNow(b *testing.B, c *batch.Controller) {
	b.Helper()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Shutdown(now); err != nil {
		b.Fatal(err)
	}
}
