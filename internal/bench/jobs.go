package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/runtocompletion/batch"
)

const (
	restTime  = time.Second     // for the runtime to clean up before
	idleTime  = 2 * time.Second // in which the CPU time of waiting jobs is measured
	smallRuns = 500             // how many small jobs are run beside them
)

// idleCPU is how much of a core this process takes while nothing happens.
func idleCPU() float64 {
	time.Sleep(restTime)
	cpu, start := cpuTime(), time.Now()
	time.Sleep(idleTime)
	return float64(cpuTime()-cpu) / float64(time.Since(start))
}

// noJobs measures a process without any: the floor.
func noJobs(int) (figures, error) {
	takeFootprint()
	return figures{"cpu": idleCPU()}, nil
}

// suspendedJobs measures jobs that are suspended from the beginning.
func suspendedJobs(n int) (figures, error) {
	return idleJobs(n, func(status batch.Status) bool { return status.Suspend }, batch.Job{
		Suspend:  true,
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
	})
}

// waitingJobs measures jobs whose first attempt has failed and whose second one
// is due in an hour.
func waitingJobs(n int) (figures, error) {
	return idleJobs(n, func(status batch.Status) bool { return !status.NextRetry.IsZero() }, batch.Job{
		Backoff:  batch.ConstantBackoff(time.Hour),
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return errTransient }),
	})
}

// idleJobs creates n jobs and measures them once all are idle.
func idleJobs(n int, idle func(batch.Status) bool, job batch.Job) (figures, error) {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	result, before := figures{}, takeFootprint()
	var created [10]time.Duration // by tenths
	for i := range n {
		job.Name = "job-" + strconv.Itoa(i)
		start := time.Now()
		if err := c.Create(ctx, job); err != nil {
			return nil, err
		}
		created[i*len(created)/n] += time.Since(start)
	}
	for i := range n {
		if err := waitUntil(c, "job-"+strconv.Itoa(i), idle); err != nil {
			return nil, err
		}
	}
	takeFootprint().since(before, n, result)
	result["create"] = float64(sum(created[:])) / float64(n)
	result["create/last-tenth"] = 10 * float64(created[9]) / float64(n)
	result["create/first-tenth"] = 10 * float64(created[0]) / float64(n)

	result["cpu"] = idleCPU()
	if err := walks(ctx, c, n, result); err != nil {
		return nil, err
	}
	start := time.Now()
	err = c.Shutdown(ctx)
	result["shutdown"] = float64(time.Since(start))
	return result, err
}

func sum(list []time.Duration) (total time.Duration) {
	for _, d := range list {
		total += d
	}
	return total
}

// waitUntil waits for a status.
func waitUntil(c *batch.Controller, name string, want func(batch.Status) bool) error {
	for range 10_000 {
		status, err := c.Get(name)
		if err != nil || want(status) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%w: job %s", errUnfinished, name)
}

// walks measures All and Watch over n jobs, and what a caller of Get sees while
// others walk all the time.
func walks(ctx context.Context, c *batch.Controller, n int, result figures) error {
	start := time.Now()
	seen := 0
	for range c.All() {
		seen++
	}
	result["all"] = float64(time.Since(start))
	start = time.Now()
	for range c.Watch(ctx, 0) {
		if seen++; seen == 2*n {
			break
		}
	}
	result["watch"] = float64(time.Since(start))
	if seen != 2*n {
		return fmt.Errorf("%w: saw %d jobs of %d", errUnfinished, seen, 2*n)
	}
	alone, err := smallJobs(ctx, c, "alone", smallRuns)
	if err != nil {
		return err
	}
	walking, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for walking.Err() == nil {
			for range c.All() {
			}
			for range c.Watch(walking, 0) {
				break // it has collected all jobs
			}
		}
	}()
	beside, err := smallJobs(ctx, c, "beside", smallRuns)
	stop()
	<-ended
	result["alone/p50"], result["alone/p99"] = percentile(alone, 50), percentile(alone, 99)
	result["beside/p50"], result["beside/p99"] = percentile(beside, 50), percentile(beside, 99)
	return err
}

// smallJobs runs jobs of a few completions one after the other, and returns how
// long each took.
func smallJobs(ctx context.Context, c *batch.Controller, prefix string, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	job := library{}.job(&work{n: 10, p: 1, do: nothing})
	for i := range took {
		job.Name = prefix + strconv.Itoa(i)
		start := time.Now()
		if err := c.Create(ctx, job); err != nil {
			return nil, err
		}
		if _, err := c.Wait(ctx, job.Name); err != nil {
			return nil, err
		}
		took[i] = time.Since(start)
		time.Sleep(100 * time.Microsecond)
	}
	return took, nil
}

// percentile returns the time, in nanoseconds, that p percent do not exceed.
func percentile(list []time.Duration, p int) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return float64(sorted[(len(sorted)-1)*p/100])
}

// jobs prints what many jobs take that have nothing to do.
func (s *suite) jobs() error {
	n := s.pick(100_000, 5_000)
	t := newTable("IDLE JOBS, "+count(n)+" of them, each row in a process of its own",
		"", "heap and stacks each", "resident each", "create", "last / first tenth", "CPU while idle", "All", "Watch all",
		"Shutdown")
	beside := newTable(
		"A SMALL JOB of 10 no-ops, beside "+count(n)+" idle jobs", "", "p50", "p99", "p50 while All and Watch walk", "p99",
	)
	floor, err := askChild("jobs/none", n)
	if err != nil {
		return err
	}
	t.add("no job at all", "", "", "", "", percent(floor["cpu"]), "", "", "")
	for _, name := range []string{"jobs/suspended", "jobs/waiting"} {
		f, err := askChild(name, n)
		if err != nil {
			return err
		}
		growth := f["create/last-tenth"] / f["create/first-tenth"]
		t.add(name, bytesText(f["inuse"]), bytesText(f["rss"]), nanos(f["create"]), times(growth),
			percent(f["cpu"]), nanos(f["all"]), nanos(f["watch"]), nanos(f["shutdown"]))
		beside.add(name, nanos(f["alone/p50"]), nanos(f["alone/p99"]), nanos(f["beside/p50"]), nanos(f["beside/p99"]))
		s.atMost(name+": memory each of "+count(n), f["inuse"], 4<<10, bytesText)
		s.atMost(name+": CPU while idle, of one core", f["cpu"], 0.001, percent)
		s.atMost(name+": creating the last tenth / the first", growth, 2, times)
	}
	t.print(s.out)
	beside.print(s.out)
	return nil
}

func percent(x float64) string { return fmt.Sprintf("%.3f %%", 100*x) }
