package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
	"golang.org/x/sync/errgroup"
)

// A crowd is a number of tasks that all block.
type crowd struct {
	size    int64
	arrived atomic.Int64
	full    chan struct{} // closed when all have begun
	release chan struct{}
}

func newCrowd(size int) *crowd {
	return &crowd{size: int64(size), full: make(chan struct{}), release: make(chan struct{})}
}

// arrive counts a task that begins. It reports whether it is the last one.
func (c *crowd) arrive() bool {
	if c.arrived.Add(1) != c.size {
		return false
	}
	close(c.full)
	return true
}

// block waits to be released.
func (c *crowd) block() error {
	c.arrive()
	<-c.release
	return nil
}

// blockOn waits for a context.
func (c *crowd) blockOn(ctx context.Context) error {
	c.arrive()
	<-ctx.Done()
	return nil
}

// settle waits until all tasks are blocked, not only about to be.
func (c *crowd) settle() {
	<-c.full
	time.Sleep(50 * time.Millisecond)
}

// blockedErrgroup measures goroutines of an errgroup that wait for a channel, or
// for the context that they share.
func blockedErrgroup(onContext bool) childFunc {
	return func(n int) (figures, error) {
		result, before := figures{}, takeFootprint()
		all := newCrowd(n)
		parent, cancel := context.WithCancel(context.Background())
		defer cancel()
		g, ctx := errgroup.WithContext(parent)
		g.SetLimit(n)
		for range n {
			if onContext {
				g.Go(func() error { return all.blockOn(ctx) })
			} else {
				g.Go(all.block)
			}
		}
		all.settle()
		takeFootprint().since(before, n, result)
		cancel()
		close(all.release)
		return result, g.Wait()
	}
}

// blockedBatch measures attempts of one job that wait for a channel, or each
// for its own context.
func blockedBatch(l library, onContext bool) childFunc {
	return func(n int) (figures, error) {
		result, before := figures{}, takeFootprint()
		all := newCrowd(n)
		job := l.job(&work{n: n, p: n, do: all.block})
		if onContext {
			job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return all.blockOn(ctx) })
		}
		c, err := batch.New(context.Background(), batch.Options{})
		if err != nil {
			return nil, err
		}
		ctx := context.Background()
		if err := c.Create(ctx, job); err != nil {
			return nil, err
		}
		all.settle()
		takeFootprint().since(before, n, result)
		close(all.release)
		if onContext {
			err = c.Delete(ctx, job.Name, batch.DeleteForeground)
		} else {
			_, err = c.Wait(ctx, job.Name)
		}
		return result, errors.Join(err, c.Shutdown(ctx))
	}
}

// cancelBatch measures how long it takes to fail a job of which all attempts
// are blocked on their contexts, until it is known to have Failed.
func cancelBatch(n int) (figures, error) {
	all := newCrowd(n)
	job := library{}.job(&work{n: n, p: n})
	job.BackoffLimit = new(0)
	job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		if all.arrive() {
			<-all.release
			return errTransient
		}
		<-ctx.Done()
		return nil
	})
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	start := time.Now()
	if err := c.Create(ctx, job); err != nil {
		return nil, err
	}
	all.settle()
	result := figures{"start": float64(time.Since(start))}
	start = time.Now()
	close(all.release)
	status, err := c.Wait(ctx, job.Name)
	result["cancel"] = float64(time.Since(start))
	if _, ok := errors.AsType[*batch.JobError](err); !ok || status.Active+status.Terminating > 0 {
		return nil, fmt.Errorf("%w: %v: %w", errUnfinished, status, err)
	}
	return result, c.Shutdown(ctx)
}

// cancelErrgroup measures the same of an errgroup with a context.
func cancelErrgroup(n int) (figures, error) {
	all := newCrowd(n)
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(n)
	start := time.Now()
	for range n {
		g.Go(func() error {
			if all.arrive() {
				<-all.release
				return errTransient
			}
			<-ctx.Done()
			return nil
		})
	}
	all.settle()
	result := figures{"start": float64(time.Since(start))}
	start = time.Now()
	close(all.release)
	if err := g.Wait(); !errors.Is(err, errTransient) {
		return nil, fmt.Errorf("%w: %w", errUnfinished, err)
	}
	result["cancel"] = float64(time.Since(start))
	return result, nil
}

// blocked prints what attempts in flight take in memory, and how long it takes
// to be rid of them.
func (s *suite) blocked() error {
	n := s.pick(1_000_000, 50_000)
	t := newTable("BLOCKED, "+count(n)+" at once: bytes each, each row in a process of its own",
		"", "heap", "stacks", "both", "× errgroup", "from the system", "× errgroup", "resident", "× errgroup")
	for _, group := range []struct {
		what string
		rows []string
	}{
		{"on a channel", []string{"blocked/errgroup", "blocked/batch", "blocked/batch-indexed"}},
		{"on its context", []string{"blocked/errgroup-context", "blocked/batch-context"}},
	} {
		var floor figures
		for _, name := range group.rows {
			f, err := askChild(name, n)
			if err != nil {
				return err
			}
			if floor == nil {
				floor = f
			}
			cells := []string{name, bytesText(f["heap"]), bytesText(f["stacks"])}
			for _, key := range []string{"inuse", "sys", "rss"} {
				cells = append(cells, bytesText(f[key]), times(f[key]/floor[key]))
			}
			t.add(cells...)
			if name != group.rows[0] {
				s.atMost(fmt.Sprintf("%s blocked %s: %s / errgroup, heap and stacks", count(n), group.what, name),
					f["inuse"]/floor["inuse"], 1.5, times)
			}
		}
	}
	t.print(s.out)
	return s.cancelling(n)
}

func (s *suite) cancelling(n int) error {
	t := newTable("CANCELLING "+count(n)+" blocked attempts", "", "to start all", "from the failure to the end")
	for _, name := range []string{"cancel/errgroup", "cancel/batch"} {
		f, err := askChild(name, n)
		if err != nil {
			return err
		}
		t.add(name, nanos(f["start"]), nanos(f["cancel"]))
		if name == "cancel/batch" {
			s.atMost("cancelling "+count(n)+" blocked attempts and finishing", f["cancel"], float64(5*time.Second), nanos)
		}
	}
	t.print(s.out)
	return nil
}
