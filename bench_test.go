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
