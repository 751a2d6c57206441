package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/runtocompletion/batch"
)

// reactionDelay is how long tasks wait, and retries are delayed, while
// reactions are measured.
const reactionDelay = 50 * time.Millisecond

// latencies collects times from many goroutines.
type latencies struct {
	mu   sync.Mutex // guards list
	list []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, d)
}

// reactTo runs jobs of n attempts each, all at once. The executor of each is
// made by the function that is given.
func reactTo(jobs, n int, executor func(*latencies) batch.ExecutorFunc, change func(*batch.Job)) (*latencies, error) {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	all := new(latencies)
	job := batch.Job{Completions: &n, History: new(0)}
	change(&job)
	for i := range jobs {
		job.Name, job.Executor = "job-"+strconv.Itoa(i), executor(all)
		if err := c.Create(ctx, job); err != nil {
			return nil, err
		}
		time.Sleep(reactionDelay / time.Duration(jobs)) // so that they do not act in step
	}
	for i := range jobs {
		if _, err := c.Wait(ctx, "job-"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return all, c.Shutdown(ctx)
}

// nextStarts measures from the end of an attempt to the start of the next one.
func nextStarts(all *latencies) batch.ExecutorFunc {
	var finished time.Time // of the attempt before: there is one at a time
	return func(context.Context, batch.Attempt) error {
		if !finished.IsZero() {
			all.add(time.Since(finished))
		}
		time.Sleep(reactionDelay)
		finished = time.Now()
		return nil
	}
}

// retryStarts measures from the end of a retry delay to the start of the retry.
func retryStarts(all *latencies) batch.ExecutorFunc {
	var due time.Time
	left := -1
	return func(_ context.Context, a batch.Attempt) error {
		if !due.IsZero() {
			all.add(time.Since(due))
		}
		if left++; a.Number < reactionAttempts-1 {
			due = time.Now().Add(reactionDelay)
			return errTransient
		}
		return nil
	}
}

// reactionAttempts is how many attempts each job has.
const reactionAttempts = 21

// sleepers measures how late time.Sleep is with as many goroutines: the floor.
func sleepers(n int) *latencies {
	all := new(latencies)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range reactionAttempts - 1 {
				due := time.Now().Add(reactionDelay)
				time.Sleep(reactionDelay)
				all.add(time.Since(due))
			}
		})
		time.Sleep(reactionDelay / time.Duration(n))
	}
	wg.Wait()
	return all
}

// reaction prints how soon things happen that can happen.
func (s *suite) reaction() error {
	jobs := s.pick(1_000, 100)
	starts, err := reactTo(jobs, reactionAttempts, nextStarts, func(*batch.Job) {})
	retries, err2 := reactTo(jobs, 1, retryStarts, func(j *batch.Job) {
		j.Backoff, j.BackoffLimit = batch.ConstantBackoff(reactionDelay), new(reactionAttempts)
	})
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	t := newTable("REACTION with "+count(jobs)+" active jobs",
		"", "p50", "p90", "p99", "max", "times", "p99 × time.Sleep")
	floor := sleepers(jobs)
	for _, row := range []struct {
		what string
		*latencies
		limit time.Duration
	}{
		{"an attempt finishes → the next one starts", starts, time.Millisecond},
		{"a retry delay ends → the retry starts", retries, time.Millisecond},
		{"time.Sleep in as many goroutines: too late by", floor, 0},
	} {
		t.add(row.what, nanos(percentile(row.list, 50)), nanos(percentile(row.list, 90)),
			nanos(percentile(row.list, 99)), nanos(percentile(row.list, 100)), count(len(row.list)),
			times(percentile(row.list, 99)/percentile(floor.list, 99)))
		if row.limit > 0 {
			s.atMost(fmt.Sprintf("%s, p99, %s jobs", row.what, count(jobs)), percentile(row.list, 99), float64(row.limit), nanos)
		}
	}
	t.print(s.out)
	return nil
}
