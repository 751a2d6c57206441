package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/cenkalti/backoff/v4"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/panjf2000/ants/v2"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"
)

// A contender is one way to do some work.
type contender struct {
	name string
	run  func(*work) error
}

// The names that ratios refer to.
const (
	nameRaw      = "goroutines + atomic counter"
	nameBatch    = "batch"
	nameChannel  = "channel-fed pool"
	nameErrgroup = "errgroup.SetLimit"
	nameBackoff  = "errgroup + cenkalti/backoff"
)

// pools are the contenders for work that does not fail. The library comes next
// to the floor, which it is compared with most closely.
var pools = []contender{
	{nameRaw, runRaw},
	{nameBatch, library{}.run},
	{nameChannel, runChannel(100)},
	{"channel-fed pool, unbuffered", runChannel(0)},
	{nameErrgroup, runErrgroup},
	{"sourcegraph/conc", runConc},
	{"alitto/pond", runPond},
	{"panjf2000/ants", runAnts},
}

// retriers are the contenders for work that fails at first.
var retriers = []contender{
	{"goroutines + loop", runRawRetry},
	{nameBatch, library{indexed: true, perIndex: true}.run},
	{nameBackoff, runBackoff},
	{"errgroup + failsafe-go", runFailsafe},
}

// firstError keeps the first of the errors that it is given.
type firstError struct{ err atomic.Pointer[error] }

func (f *firstError) add(err error) {
	if err != nil {
		kept := err // so that only a failure allocates
		f.err.CompareAndSwap(nil, &kept)
	}
}

func (f *firstError) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// runRaw is the floor: nothing is handed over, each goroutine takes a number.
func runRaw(w *work) error {
	var (
		first firstError
		next  atomic.Int64
		wg    sync.WaitGroup
	)
	for range w.p {
		wg.Go(func() {
			for next.Add(1) <= int64(w.n) {
				first.add(w.do())
			}
		})
	}
	wg.Wait()
	return first.get()
}

// runRawClock is the floor for a pool that records when each task began.
func runRawClock(w *work) error {
	var (
		first firstError
		next  atomic.Int64
		wg    sync.WaitGroup
	)
	start := time.Now()
	for range w.p {
		wg.Go(func() {
			began := time.Duration(0)
			for next.Add(1) <= int64(w.n) {
				began = max(began, time.Since(start))
				first.add(w.do())
			}
			runtime.KeepAlive(began)
		})
	}
	wg.Wait()
	return first.get()
}

// runRawRetry is the floor for work that fails at first.
func runRawRetry(w *work) error {
	var (
		first firstError
		next  atomic.Int64
		wg    sync.WaitGroup
	)
	for range w.p {
		wg.Go(func() {
			for next.Add(1) <= int64(w.n) {
				task := w.task()
				err := task()
				for range w.fails {
					if err != nil {
						err = task()
					}
				}
				first.add(err)
			}
		})
	}
	wg.Wait()
	return first.get()
}

// runChannel is the pool of the textbooks: goroutines that range over a channel
// of tasks. The budget is held against the one with a buffer, which is faster.
func runChannel(buffer int) func(*work) error {
	return func(w *work) error {
		var (
			first firstError
			wg    sync.WaitGroup
		)
		tasks := make(chan func() error, buffer)
		for range w.p {
			wg.Go(func() {
				for task := range tasks {
					first.add(task())
				}
			})
		}
		for range w.n {
			tasks <- w.do
		}
		close(tasks)
		wg.Wait()
		return first.get()
	}
}

func runErrgroup(w *work) error {
	var g errgroup.Group
	g.SetLimit(w.p)
	for range w.n {
		g.Go(w.do)
	}
	return g.Wait()
}

func runConc(w *work) error {
	p := pool.New().WithMaxGoroutines(w.p).WithErrors().WithFirstError()
	for range w.n {
		p.Go(w.do)
	}
	return p.Wait()
}

func runPond(w *work) error {
	p := pond.NewPool(w.p)
	defer p.StopAndWait()
	group := p.NewGroup()
	for range w.n {
		group.SubmitErr(w.do)
	}
	return group.Wait()
}

// runAnts waits for its tasks as the documentation of ants does.
func runAnts(w *work) error {
	p, err := ants.NewPool(w.p)
	if err != nil {
		return err
	}
	defer p.Release()
	var (
		first firstError
		wg    sync.WaitGroup
	)
	task := func() {
		defer wg.Done()
		first.add(w.do())
	}
	for range w.n {
		wg.Add(1)
		if err := p.Submit(task); err != nil {
			return err
		}
	}
	wg.Wait()
	return first.get()
}

func runBackoff(w *work) error {
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(w.p)
	for range w.n {
		g.Go(func() error {
			delays := backoff.WithContext(backoff.WithMaxRetries(&backoff.ZeroBackOff{}, uint64(w.fails)), ctx)
			return backoff.Retry(w.task(), delays)
		})
	}
	return g.Wait()
}

func runFailsafe(w *work) error {
	policy := retrypolicy.NewBuilder[any]().WithMaxRetries(w.fails).Build()
	retry := failsafe.With(policy)
	var g errgroup.Group
	g.SetLimit(w.p)
	for range w.n {
		g.Go(func() error { return retry.Run(w.task()) })
	}
	return g.Wait()
}
