package iterate

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A benchmark's item costs nothing, so that what is measured is the overhead.

func BenchmarkLoop(b *testing.B) {
	ctx := b.Context()
	var done atomic.Int64
	for item, err := range count(b.N)(ctx, 0) {
		if err != nil || ctx.Err() != nil {
			b.Fatal(err, ctx.Err())
		}
		done.Add(int64(item & 1))
	}
}

func BenchmarkErrgroup(b *testing.B) {
	for _, parallelism := range []int{1, 8} {
		b.Run(fmt.Sprintf("parallelism=%d", parallelism), func(b *testing.B) {
			b.ReportAllocs()
			var done atomic.Int64
			g, ctx := errgroup.WithContext(b.Context())
			g.SetLimit(parallelism)
			for item := range count(b.N)(ctx, 0) {
				g.Go(func() error { done.Add(int64(item & 1)); return ctx.Err() })
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkRun(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		for _, parallelism := range []int{1, 8} {
			name := fmt.Sprintf("chunk=%d/parallelism=%d", size, parallelism)
			w := Work[int, int]{Cursor: itself, ChunkSize: size, Parallelism: parallelism, SaveEvery: 10 * time.Millisecond}
			var done atomic.Int64
			w.Do = func(ctx context.Context, item int) error { done.Add(int64(item & 1)); return ctx.Err() }
			b.Run("Do/"+name, benchmark(w))
			w.DoChunk = func(ctx context.Context, items []int) error { done.Add(int64(len(items))); return ctx.Err() }
			b.Run("DoChunk/"+name, benchmark(w))
		}
	}
}

func benchmark(w Work[int, int]) func(b *testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		w.Items = count(b.N)
		result, err := Run(b.Context(), w, new(memo), testHooks[int]())
		if err != nil || result.Done != b.N {
			b.Fatal(result, err)
		}
	}
}
