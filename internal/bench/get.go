package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/runtocompletion/batch"
)

// getTime is how long Get takes while a job of n Indexed completions is half
// done, the mean of many calls: at first while two attempts are blocked, and
// then, once they are released, while the job runs on.
func getTime(n int) (blocked, running float64, err error) {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return 0, 0, err
	}
	half, release := newCrowd(2), make(chan struct{})
	var ended atomic.Int64
	w := &work{n: n, p: 2, do: func() error {
		if i := ended.Add(1); i == int64(n/2) || i == int64(n/2+1) {
			half.arrive()
			<-release
		}
		return nil
	}}
	ctx := context.Background()
	if err := c.Create(ctx, library{indexed: true}.job(w)); err != nil {
		return 0, 0, err
	}
	<-half.full
	blocked = getMean(c, 100_000, func(batch.Status) bool { return true })
	close(release)
	running = getMean(c, 100_000, func(s batch.Status) bool { return s.Active > 0 })
	_, err = c.Wait(ctx, "work")
	return blocked, running, errors.Join(err, c.Shutdown(ctx))
}

// getMean is how long Get takes on average, in nanoseconds, of n calls or of
// as many as there can be while the job is as it should be.
func getMean(c *batch.Controller, n int, as func(batch.Status) bool) float64 {
	start := time.Now()
	calls := 0
	for range n {
		status, err := c.Get("work")
		calls++
		if err != nil || !as(status) {
			break
		}
	}
	return float64(time.Since(start)) / float64(calls)
}

// get prints what a status costs, by the size of the job.
func (s *suite) get() error {
	t := newTable(
		"GET of an Indexed job that is half done, parallelism 2", "completions", "attempts blocked", "min – max",
		"while it runs", "min – max",
	)
	for _, n := range []int{1_000, 100_000, s.pick(10_000_000, 300_000)} {
		if err := s.getRow(t, n); err != nil {
			return err
		}
	}
	t.print(s.out)
	return nil
}

func (s *suite) getRow(t *table, n int) error {
	var blocked, running []float64
	for range s.pick(5, 3) {
		b, r, err := getTime(n)
		if err != nil {
			return err
		}
		blocked, running = append(blocked, b), append(running, r)
	}
	b, r := spreadOf(blocked), spreadOf(running)
	t.add(count(n), nanos(b.median), b.between(nanos), nanos(r.median), r.between(nanos))
	if n == s.pick(10_000_000, 300_000) {
		s.atMost(fmt.Sprintf("Get, job of %s, attempts blocked", count(n)), b.median, 1_000, nanos)
		s.atMost(fmt.Sprintf("Get, job of %s, while no-ops run as fast as they can", count(n)), r.median, 1_000, nanos)
	}
	return nil
}
