// Command compare measures durable completions that do nothing, with package pgstore and
// with River, on the same server in the same run:
//
//	cd contrib/pgstore/internal/compare && GOWORK=off go run . -completions 1000000
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch/internal/pgtest"
)

var (
	completions = flag.Int("completions", 100_000, "how many, with pgstore; River makes a tenth")
	idle        = flag.Duration("idle", 20*time.Second, "how long an idle service is looked at")
)

// workers is how many completions are under way at once.
const workers = 64

// steps is how many completions follow each other one by one.
const steps = 1000

func main() {
	log.SetFlags(0)
	flag.Parse()
	code, err := pgtest.Main(func(s *pgtest.Server) int {
		if err := compare(context.Background(), s); err != nil {
			log.Print(err)
			return 1
		}
		return 0
	})
	if err != nil || code != 0 {
		log.Fatal("compare has failed: ", err)
	}
}

func compare(ctx context.Context, s *pgtest.Server) error {
	pool, err := pgxpool.New(ctx, s.URL())
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := measureBatch(ctx, pool, *completions); err != nil {
		return err
	}
	return measureRiver(ctx, pool, *completions/10)
}

// report prints what n completions have taken, given what the server had done before.
func report(ctx context.Context, pool *pgxpool.Pool, name string, n int, took time.Duration, before written) error {
	after, err := writtenBy(ctx, pool)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d completions in %v: %.0f a second, %.3f rows and %.0f bytes of WAL each; tables %.1f MB\n",
		name, n, took.Round(time.Millisecond), float64(n)/took.Seconds(), float64(after.rows-before.rows)/float64(n),
		float64(after.wal-before.wal)/float64(n), float64(after.size-before.size)/1e6)
	return nil
}

// written is what a server has written.
type written struct{ rows, wal, size int64 }

func writtenBy(ctx context.Context, pool *pgxpool.Pool) (w written, err error) {
	time.Sleep(1500 * time.Millisecond) // the server's statistics are late
	err = pool.QueryRow(ctx, `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint,
		pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
		coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables`).Scan(&w.rows, &w.wal, &w.size)
	return w, err
}

// gaps are the times between the end of one execution and the beginning of the next.
type gaps struct {
	mu    sync.Mutex // guards the fields below
	ended time.Time
	list  []time.Duration
}

func (g *gaps) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended.IsZero() {
		g.list = append(g.list, time.Since(g.ended))
	}
	g.ended = time.Now()
}

func (g *gaps) report(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.Sort(g.list)
	fmt.Printf("%s: from a finish to the next start %v (p50), %v (p99)\n",
		name, g.list[len(g.list)/2], g.list[len(g.list)*99/100])
}

// reportIdle prints what an idle process uses.
func reportIdle(name string) error {
	before, err := cpu()
	if err != nil {
		return err
	}
	time.Sleep(*idle)
	after, err := cpu()
	fmt.Printf("%s: idle for %v: %v of CPU\n", name, *idle, (after - before).Round(100*time.Microsecond))
	return err
}

func cpu() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
