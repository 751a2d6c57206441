//go:build unix

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/pgstore"
)

// childVariable has the config of a child, and makes a process one.
const childVariable = "BATCH_PGSTORE_CHILD"

// What the exit code of a child says.
const (
	exitDone   = 0 // all jobs have ended
	exitHalted = 3 // it was asked to stop, and has done so
	exitBroken = 4 // it could not do its work
)

// A config tells a child what to do.
type config struct {
	URL     string
	Name    string // of the store
	Ledger  string
	Seed    uint64
	Process int  // of the round, from 1
	Endless bool // its jobs do not end
	Lease   time.Duration
	Break   string // see breakages
}

// A child is one of the processes that have the store.
type child struct {
	config
	plan   plan
	ledger *ledger
	c      *batch.Controller
}

// runIfChild does what a parent has asked for; it does not return then.
func runIfChild() {
	text, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	code, err := runChild([]byte(text))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = exitBroken
	}
	os.Exit(code)
}

func runChild(text []byte) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var c child
	if err := json.Unmarshal(text, &c.config); err != nil {
		return 0, err
	}
	c.plan = newPlan(c.Seed)
	if c.Endless {
		c.plan = endlessPlan()
	}
	if c.ledger, err = openLedger(c.Ledger, c.Process); err != nil {
		return 0, err
	}
	pool, err := pgxpool.New(ctx, c.URL)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if !c.open(ctx, pool) {
		return exitHalted, nil
	}
	return c.run(ctx)
}

// open returns false if it is to stop before the server can be reached.
func (c *child) open(ctx context.Context, pool *pgxpool.Pool) bool {
	return again(ctx, func() error {
		store, err := pgstore.Open(ctx, pool, pgstore.Options{Name: c.Name, Lease: c.Lease})
		if err != nil {
			return err
		}
		c.c, err = batch.New(ctx, batch.Options{Store: breakages[c.Break](store), Standby: true, MaxActive: 8})
		return err
	})
}

// again calls f until it succeeds, and returns false if ctx ends before. What f calls
// fails while the server is away.
func again(ctx context.Context, f func() error) bool {
	for f() != nil {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (c *child) run(ctx context.Context) (code int, err error) {
	c.write(line{Kind: up})
	var users, jobs sync.WaitGroup
	using, stop := context.WithCancel(ctx)
	users.Go(func() { c.watch(using) })
	users.Go(func() { c.schedule(using) })
	for _, job := range c.plan.jobs {
		job.Executor = batch.ExecutorFunc(c.execute)
		jobs.Go(func() { c.seeThrough(ctx, job) })
	}
	jobs.Wait()
	halted := ctx.Err() != nil
	stop()
	users.Wait()
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := c.c.Shutdown(last); err == nil { // otherwise the server is away: nothing more is told
		c.write(line{Kind: left})
	}
	if halted {
		return exitHalted, nil
	}
	return exitDone, nil
}

// seeThrough applies a job and waits for its end, whoever works.
func (c *child) seeThrough(ctx context.Context, job batch.Job) {
	again(ctx, func() error {
		_, err := c.c.Apply(ctx, job)
		return err
	})
	again(ctx, func() error {
		status, err := c.c.Wait(ctx, job.Name)
		if err == nil {
			c.tell(status)
		} else if failed, ok := errors.AsType[*batch.JobError](err); ok && failed.Reason != "" {
			c.note(fmt.Errorf("job %s has failed: %w", job.Name, err))
			return nil
		}
		return err
	})
}

// watch looks on until ctx ends. A walk ends when another process works.
func (c *child) watch(ctx context.Context) {
	again(ctx, func() error {
		for change, err := range c.c.Watch(ctx, 0) {
			if err != nil {
				return err
			}
			if c.plan.has(change.Status.Name) {
				c.tell(change.Status)
			}
		}
		return nil
	})
}

func (c *child) tell(s batch.Status) {
	c.write(line{Kind: told, Job: s.Name, Done: s.CompletedIndexes.String(), Count: s.Succeeded, Over: s.Finished()})
}

func (c *child) note(err error) { c.write(line{Kind: wrong, Text: err.Error()}) }

func (c *child) write(l line) {
	if err := c.ledger.write(l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitBroken)
	}
}

// execute takes a short time, and fails now and then.
func (c *child) execute(ctx context.Context, a batch.Attempt) error {
	if err := c.ledger.write(line{Kind: began, Fence: a.Fence(), Job: a.Job, Index: a.Index}); err != nil {
		return err
	}
	return work(ctx)
}

func work(ctx context.Context) error {
	select {
	case <-time.After(time.Duration(rand.IntN(40)) * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if rand.IntN(20) == 0 {
		return errors.New("now and then")
	}
	return nil
}
