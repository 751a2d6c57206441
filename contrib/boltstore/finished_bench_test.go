package boltstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// BenchmarkController_FinishedJobs measures what a service pays for the jobs that it
// has run: the memory of one that has finished, the time in which a controller that
// has changed nothing shuts down, and the time in which the next one opens them.
func BenchmarkController_FinishedJobs(b *testing.B) {
	const jobs = 100_000
	path := filepath.Join(b.TempDir(), "jobs.db")
	options := batch.Options{FinishedJobs: -1}
	open := func() (*batch.Controller, *boltstore.Store) {
		store, err := boltstore.Open(path, boltstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		options.Store = store
		c, err := batch.New(b.Context(), options)
		if err != nil {
			b.Fatal(err)
		}
		return c, store
	}
	shut := func(c *batch.Controller, store *boltstore.Store) time.Duration {
		start := time.Now()
		if err := c.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		return took
	}
	c, store := open()
	before := heapInUse()
	finishAll(b, c, jobs)
	memory := float64(heapInUse()-before) / jobs
	last := shut(c, store)
	var opened time.Duration
	for b.Loop() {
		start := time.Now()
		c, store = open()
		opened += time.Since(start)
		shut(c, store)
	}
	b.ReportMetric(memory, "B/job")
	b.ReportMetric(last.Seconds(), "s/shutdown")
	b.ReportMetric(opened.Seconds()/float64(b.N), "s/open")
}

// finishAll has jobs finish, many at once so that they share commits.
func finishAll(b *testing.B, c *batch.Controller, jobs int) {
	const creators = 64
	done := make(chan error, creators)
	for k := range creators {
		go func() {
			for i := k; i < jobs; i += creators {
				_, err := c.Run(context.Background(), batch.Job{Name: fmt.Sprintf("job-%06d", i), History: new(0),
					Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range creators {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
