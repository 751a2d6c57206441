package main

import (
	"errors"
	"time"
)

// work is what every contender does in its own way: n tasks, p at a time.
type work struct {
	n, p int
	// do is one task. It is handed over as it is, without a closure around it
	// for each task: contenders that take a func() error need not allocate.
	do func() error
	// fails is how often each task fails before do is called; only contenders
	// that retry can do such work.
	fails int
}

var (
	errTransient  = errors.New("not yet")
	errImpossible = errors.New("the sum of the loop is zero")
)

// try is one attempt at a task that has been tried that many times before.
func (w *work) try(before int) error {
	if before < w.fails {
		return errTransient
	}
	return w.do()
}

// task returns a new task, which knows how often it was tried.
func (w *work) task() func() error {
	tried := -1
	return func() error {
		tried++
		return w.try(tried)
	}
}

func nothing() error { return nil }

func sleep() error {
	time.Sleep(time.Millisecond)
	return nil
}

// spin keeps a core busy for a number of steps.
func spin(steps int) error {
	x := uint64(88172645463325252)
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 { // never, but the compiler does not know
		return errImpossible
	}
	return nil
}

// burn returns a task that takes d of CPU on this machine: a number of steps
// and not a look at the clock, so that it takes as long however often it is
// interrupted.
func burn(d time.Duration) func() error {
	steps := 1 << 14
	task := func() error { return spin(steps) }
	took := time.Hour
	for range 20 {
		start := time.Now()
		if err := task(); err != nil {
			return func() error { return err }
		}
		took = min(took, time.Since(start))
	}
	steps = int(float64(steps) * float64(d) / float64(took))
	return task
}
