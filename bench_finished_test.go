package batch_test

import (
	"fmt"
	"testing"

	"github.com/runtocompletion/batch"
)

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
