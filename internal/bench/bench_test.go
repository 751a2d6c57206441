package main

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
)

// benchmark lets each contender do b.N tasks: the whole run is one piece of
// work, so that what it takes to begin and to end is spread over all tasks.
// That is why these benchmarks do not use b.Loop.
func benchmark(b *testing.B, w work, contenders []contender) {
	for _, c := range contenders {
		name := strings.NewReplacer(" ", "_", "/", "-").Replace(c.name)
		b.Run("by="+name, func(b *testing.B) {
			w := w
			w.n = b.N
			b.ReportAllocs()
			if err := c.run(&w); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkNoop(b *testing.B) {
	for _, p := range []int{1, 2, 64} {
		b.Run("p="+strconv.Itoa(p), func(b *testing.B) {
			benchmark(b, work{p: p, do: nothing}, append(pools[:len(pools):len(pools)], modes...))
		})
	}
}

func BenchmarkCPU10us(b *testing.B) {
	benchmark(b, work{p: 2, do: burn(10 * time.Microsecond)}, pools)
}

func BenchmarkWait1ms(b *testing.B) {
	benchmark(b, work{p: 1_000, do: sleep}, pools)
}

func BenchmarkFailsTwice(b *testing.B) {
	benchmark(b, work{p: 2, do: nothing, fails: 2}, retriers)
}

func BenchmarkLookingOn(b *testing.B) {
	benchmark(b, work{p: 2, do: nothing}, []contender{
		{name: nameBatch, run: library{}.run},
		{name: "watched", run: library{watched: true}.run},
		{name: "polled", run: library{polled: true}.run},
		{name: "watched and polled", run: library{watched: true, polled: true}.run},
	})
}

func BenchmarkGet(b *testing.B) {
	c, release := blockedJob(b)
	defer close(release)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get("work"); err != nil {
			b.Fatal(err)
		}
	}
}

// blockedJob returns a controller with a job whose attempts wait to be released.
func blockedJob(b *testing.B) (*batch.Controller, chan struct{}) {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		b.Fatal(err)
	}
	all := newCrowd(2)
	job := library{indexed: true}.job(&work{n: 2, p: 2, do: all.block})
	if err := c.Create(b.Context(), job); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Shutdown(context.Background()) })
	all.settle()
	return c, all.release
}

func BenchmarkJob(b *testing.B) {
	b.ReportAllocs()
	if err := manyJobs(b.N); err != nil {
		b.Fatal(err)
	}
}
