package batch_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/runtocompletion/batch"
)

// BenchmarkNoop is what the accounting of one completion costs.
func BenchmarkNoop(b *testing.B) {
	noop := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
		for _, p := range []int{1, 2, 64} {
			b.Run(fmt.Sprintf("%s/parallelism=%d", mode, p), func(b *testing.B) {
				b.ReportAllocs()
				_, err := batch.Run(b.Context(), batch.Job{Name: "noop", CompletionMode: mode,
					Completions: new(b.N), Parallelism: new(p), Executor: noop})
				if err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkController_FinishedJobs measures what it takes to run a job of one attempt,
// and to look at those that have finished: at one, and at ten thousand.
func BenchmarkController_FinishedJobs(b *testing.B) {
	const jobs = 10_000
	c, err := batch.New(b.Context(), batch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Shutdown(b.Context())
	n := 0
	run := func() {
		n++
		if _, err := c.Run(b.Context(), batch.Job{Name: fmt.Sprint("job-", n), Executor: succeed}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Run", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run()
		}
	})
	for range 2 * jobs {
		run()
	}
	name := fmt.Sprint("job-", n)
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Attempts", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Attempts(b.Context(), name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(fmt.Sprint("All/jobs=", jobs), func(b *testing.B) {
		for b.Loop() {
			for range c.All() {
			}
		}
	})
}
