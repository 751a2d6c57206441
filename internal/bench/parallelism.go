package main

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// A barrier holds tasks until there are size of them, again and again.
type barrier struct {
	size int

	mu      sync.Mutex // guards the fields below
	waiting int
	open    chan struct{}
}

// pass waits until the barrier opens.
func (b *barrier) pass() error {
	b.mu.Lock()
	open := b.open
	if b.waiting++; b.waiting == b.size {
		b.waiting, b.open = 0, make(chan struct{})
		close(open)
	}
	b.mu.Unlock()
	<-open
	return nil
}

// crowds runs as many crowds of a size, one after the other, as make enough
// tasks; the figure is the time for one task.
func crowds(size int, run func(*work) error) (figures, error) {
	n := size * max(1, 100_000/size)
	all := &barrier{size: size, open: make(chan struct{})}
	start := time.Now()
	err := run(&work{n: n, p: size, do: all.pass})
	return figures{"time": float64(time.Since(start)) / float64(n)}, err
}

func parallelErrgroup(size int) (figures, error) { return crowds(size, runErrgroup) }

func parallelBatch(size int) (figures, error) { return crowds(size, library{}.run) }

// growParallelism shows the cost of an attempt by how many are in flight at
// once: each of them waits until all are there.
func (s *suite) growParallelism() error {
	sizes := powers(1, s.pick(1_000_000, 1_000))
	names := []string{"parallelism/errgroup", "parallelism/batch"}
	costs := make(map[string][]float64) // by name and size
	for range s.pick(5, 1) {
		for _, size := range sizes {
			for _, name := range names {
				f, err := askChild(name, size)
				if err != nil {
					return err
				}
				key := fmt.Sprint(name, size)
				costs[key] = append(costs[key], f["time"])
			}
		}
	}
	for _, name := range names {
		largest, first := 0.0, spreadOf(costs[fmt.Sprint(name, sizes[0])])
		for _, size := range sizes {
			largest = math.Max(largest, spreadOf(costs[fmt.Sprint(name, size)]).median)
		}
		t := newTable("GROWTH by parallelism, "+name+": attempts wait until all are there",
			"at once", "per attempt", "min – max", "× errgroup", "× the first", "")
		for _, size := range sizes {
			cost := spreadOf(costs[fmt.Sprint(name, size)])
			floor := spreadOf(costs[fmt.Sprint(names[0], size)])
			t.add(count(size), nanos(cost.median), cost.between(nanos), times(cost.median/floor.median),
				times(cost.median/first.median), bar(cost.median, largest))
		}
		t.print(s.out)
	}
	return nil
}
