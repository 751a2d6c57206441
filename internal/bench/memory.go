package main

import (
	"context"
	"fmt"
	"time"

	"github.com/runtocompletion/batch"
)

// completionsMemory measures the memory of an Indexed job; with a failEvery,
// every so many indexes fail once.
func completionsMemory(failEvery int) childFunc {
	return func(n int) (figures, error) {
		job := library{indexed: true, perIndex: failEvery > 0}.job(&work{n: n, p: 64, do: nothing})
		if failEvery > 0 {
			job.Backoff = batch.ConstantBackoff(0)
			job.Executor = batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number == 0 && a.Index%failEvery == failEvery-1 {
					return errTransient
				}
				return nil
			})
		}
		start := time.Now()
		status, err := batch.Run(context.Background(), job)
		if err == nil && status.Succeeded != n {
			err = fmt.Errorf("%w: %v", errUnfinished, status)
		}
		result := figures{"peak": procStatus("VmHWM"), "time": float64(time.Since(start))}
		after := takeFootprint()
		result["inuse"] = after.heap + after.stacks
		return result, err
	}
}

// memory prints what a large job takes.
func (s *suite) memory() error {
	n := s.pick(10_000_000, 200_000)
	t := newTable("MEMORY of "+count(n)+" Indexed completions, parallelism 64, whole process",
		"", "peak resident", "heap and stacks at the end", "per completion")
	for _, row := range []struct {
		name, what string
		limit      float64
	}{
		{"completions", "no failure", 64 << 20},
		{"completions-tenth-fails", "every tenth index fails once", 256 << 20},
	} {
		f, err := askChild(row.name, n)
		if err != nil {
			return err
		}
		t.add(row.what, bytesText(f["peak"]), bytesText(f["inuse"]), nanos(f["time"]/float64(n)))
		s.atMost(fmt.Sprintf("peak resident memory, %s completions, %s", count(n), row.what), f["peak"], row.limit, bytesText)
	}
	t.print(s.out)
	return nil
}
