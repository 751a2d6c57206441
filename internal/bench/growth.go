package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/runtocompletion/batch"
)

// A curve is what something costs for one unit of work, by size.
type curve struct {
	sizes  []int
	costs  []series // one for each size
	counts []int    // the units of work in each sample
}

// grow measures a curve. The function that is given does the work for a size;
// small sizes are done several times, so that a sample has at least enough
// units of work.
func grow(rounds int, sizes []int, enough int, units func(size int) int, do func(size int) error) (*curve, error) {
	c := &curve{sizes: sizes}
	var runs []func() error
	for _, size := range sizes {
		repeat := max(1, enough/units(size))
		c.counts = append(c.counts, repeat*units(size))
		runs = append(runs, func() error {
			for range repeat {
				if err := do(size); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var err error
	c.costs, err = interleave(rounds, runs)
	return c, err
}

// cost is the time for one unit at a size.
func (c *curve) cost(i int) spread { return c.costs[i].perOp(c.counts[i]) }

// ratio compares the costs for one unit at two sizes.
func (c *curve) ratio(large, small int) spread {
	scale := float64(c.counts[small]) / float64(c.counts[large])
	r := c.costs[large].ratio(c.costs[small])
	return spread{r.median * scale, r.min * scale, r.max * scale}
}

// print shows the curve: bars of one length mean that the work as a whole grows
// as its size does.
func (c *curve) print(s *suite, title, what, unit string) {
	largest := 0.0
	for i := range c.sizes {
		largest = math.Max(largest, c.cost(i).median)
	}
	t := newTable(title, what, "per "+unit, "min – max", "× the size before", "× the first", "")
	for i, size := range c.sizes {
		t.add(count(size), nanos(c.cost(i).median), c.cost(i).between(nanos),
			times(c.ratio(i, max(0, i-1)).median), times(c.ratio(i, 0).median), bar(c.cost(i).median, largest))
	}
	t.print(s.out)
}

// powers returns the powers of ten from one to another, and the last size.
func powers(from, to int) (sizes []int) {
	for size := from; size <= to; size *= 10 {
		sizes = append(sizes, size)
	}
	return sizes
}

func itself(size int) int { return size }

// growCompletions shows the cost of a completion by their number.
func (s *suite) growCompletions() error {
	sizes := powers(1_000, s.pick(10_000_000, 100_000))
	for _, mode := range []struct {
		name string
		run  func(n int) error
		held bool // to the budget
	}{
		{"NonIndexed", func(n int) error { return library{}.run(&work{n: n, p: 2, do: nothing}) }, false},
		{"Indexed", func(n int) error { return library{indexed: true}.run(&work{n: n, p: 2, do: nothing}) }, true},
		{"Indexed, limit per index, scattered failures", scattered, true},
	} {
		c, err := grow(s.growthRounds(), sizes, 100_000, itself, mode.run)
		if err != nil {
			return err
		}
		c.print(s, "GROWTH by completions, "+mode.name+", no-op, parallelism 2", "completions", "completion")
		last := len(sizes) - 1
		if mode.held {
			s.atMostRatio(
				fmt.Sprintf("cost per completion at %s / at %s, %s", count(sizes[last]), count(sizes[1]), mode.name),
				c.ratio(last, 1), 1.2,
			)
		}
	}
	return nil
}

// growthRounds are fewer, as the large sizes take long.
func (s *suite) growthRounds() int { return min(s.rounds, s.pick(5, 3)) }

// runToEnd runs one job with a new controller, to its success or, where indexes
// fail for good, to its failure.
func runToEnd(job batch.Job, succeeded int) error {
	status, err := batch.Run(context.Background(), job)
	if _, failed := errors.AsType[*batch.JobError](err); err != nil && !failed || status.Succeeded != succeeded {
		return fmt.Errorf("%w: %v: %w", errUnfinished, status, err)
	}
	return nil
}

// scattered runs a job of which one index in sixteen, here and there, fails once.
func scattered(n int) error {
	job := library{indexed: true, perIndex: true}.job(&work{n: n, p: 2})
	job.Backoff = batch.ConstantBackoff(0)
	job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		if a.Number == 0 && uint32(a.Index)*2654435769>>28 == 0 {
			return errTransient
		}
		return nil
	})
	return runToEnd(job, n)
}

// growFragments shows the worst case for the sets of indexes: every other index
// fails for good, so that neither of the sets has two indexes in a row.
func (s *suite) growFragments() error {
	sizes := powers(1_000, s.pick(1_000_000, 100_000))
	c, err := grow(s.growthRounds(), sizes, 100_000, itself, alternating)
	if err != nil {
		return err
	}
	c.print(s, "GROWTH by fragments of the index set: every other index fails for good", "indexes", "index")
	return nil
}

// alternating runs a job of which every other index fails for good.
func alternating(n int) error {
	job := library{indexed: true}.job(&work{n: n, p: 2})
	job.BackoffLimitPerIndex = new(0)
	job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		if a.Index%2 == 1 {
			return errTransient
		}
		return nil
	})
	return runToEnd(job, (n+1)/2)
}

// growRetained shows the cost of a completion by how many ended attempts are
// kept.
func (s *suite) growRetained() error {
	n := s.pick(2_000_000, 200_000)
	sizes := append([]int{0}, powers(100, s.pick(1_000_000, 100_000))...)
	c, err := grow(s.growthRounds(), sizes, n, func(int) int { return n }, func(history int) error {
		return library{history: &history}.run(&work{n: n, p: 2, do: nothing})
	})
	if err != nil {
		return err
	}
	c.print(s, "GROWTH by retained attempts (Job.History), "+count(n)+" no-ops, parallelism 2", "retained", "completion")
	return nil
}

// growJobs shows the cost of a job by how many there are.
func (s *suite) growJobs() error {
	sizes := powers(1, s.pick(100_000, 10_000))
	c, err := grow(s.growthRounds(), sizes, 1_000, itself, manyJobs)
	if err != nil {
		return err
	}
	c.print(s, "GROWTH by jobs: create, run one no-op, finish, keep", "jobs", "job")
	return nil
}

// manyJobs runs jobs of one completion in one controller.
func manyJobs(n int) error {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	job := library{}.job(&work{n: 1, p: 1, do: nothing})
	for i := range n {
		job.Name = "job-" + strconv.Itoa(i)
		if err := c.Create(ctx, job); err != nil {
			return err
		}
	}
	for i := range n {
		if _, err := c.Wait(ctx, "job-"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return c.Shutdown(ctx)
}
