package boltstore_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/boltstore"
)

// BenchmarkController_FinishedJobs measures what a service pays for the jobs that it
// has run: the memory of one that has finished, what a commit that fails leads to, and
// the times in which a controller shuts down and the next one opens them. Only the last
// may grow with their number.
func BenchmarkController_FinishedJobs(b *testing.B) {
	for name, open := range map[string]func(path string) (batch.Claimer, error){
		"file": func(path string) (batch.Claimer, error) { return boltstore.Open(path, boltstore.Options{}) },
		"memory": func() func(string) (batch.Claimer, error) {
			store := new(batchtest.MemoryStore)
			return func(string) (batch.Claimer, error) { return store, nil }
		}(),
	} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "jobs.db")
			measureFinished(b, func() (batch.Claimer, error) { return open(path) })
		})
	}
}

var finishedJobs = flag.Int("finished", 100_000, "how many jobs have finished")

func measureFinished(b *testing.B, open func() (batch.Claimer, error)) {
	c, store := openCounted(b, open)
	before := heapInUse()
	finishAll(b, c, *finishedJobs)
	memory := heapInUse() - before
	failure, recovery := failACommit(b, c, store)
	shutdown, written := shut(b, c, store)
	var opened time.Duration
	for b.Loop() {
		start := time.Now()
		c, store = openCounted(b, open)
		opened += time.Since(start)
		shut(b, c, store)
	}
	b.ReportMetric(float64(memory)/float64(*finishedJobs), "B/job")
	b.ReportMetric(float64(failure), "B/failure")
	b.ReportMetric(recovery.Seconds(), "s/recovery")
	b.ReportMetric(shutdown.Seconds(), "s/shutdown")
	b.ReportMetric(float64(written), "B/shutdown")
	b.ReportMetric(opened.Seconds()/float64(b.N), "s/open")
}

// A counted store counts what it is given, also what it refuses.
type counted struct {
	batch.Claimer
	mu      sync.Mutex // guards the fields below
	bytes   int64
	refuses bool
}

var errRefused = errors.New("refused")

func (s *counted) Commit(ctx context.Context, records []batch.Record) error {
	s.mu.Lock()
	for _, r := range records {
		s.bytes += int64(len(r.Job) + len(r.Key) + len(r.Value))
	}
	refuses := s.refuses
	s.mu.Unlock()
	if refuses {
		return errRefused
	}
	return s.Claimer.Commit(ctx, records)
}

func (s *counted) refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = on
}

// take returns how many bytes were counted since it was last called.
func (s *counted) take() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, s.bytes = s.bytes, 0
	return bytes
}

func openCounted(b *testing.B, open func() (batch.Claimer, error)) (*batch.Controller, *counted) {
	b.Helper()
	store, err := open()
	if err != nil {
		b.Fatal(err)
	}
	s := &counted{Claimer: store}
	c, err := batch.New(b.Context(), batch.Options{Store: s, FinishedJobs: -1})
	if err != nil {
		b.Fatal(err)
	}
	return c, s
}

// shut returns how long the shutdown of the controller has taken, and what it has written.
func shut(b *testing.B, c *batch.Controller, store *counted) (took time.Duration, bytes int64) {
	b.Helper()
	store.take()
	start := time.Now()
	if err := c.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	took = time.Since(start)
	if closer, ok := store.Claimer.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return took, store.take()
}

// failACommit has a store refuse what one job has to store. It returns how many bytes
// were given to the store until it had taken them, and how long that was since it took
// any again.
func failACommit(b *testing.B, c *batch.Controller, store *counted) (bytes int64, took time.Duration) {
	b.Helper()
	running := make(chan struct{})
	job := batch.Job{Name: "last", Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
		<-running
		return nil
	})}
	if err := c.Create(b.Context(), job); err != nil {
		b.Fatal(err)
	}
	store.take()
	store.refuse(true)
	close(running)
	for change, err := range c.Watch(b.Context(), 0) {
		if err != nil {
			b.Fatal(err)
		}
		if change.Status.Name == "last" && change.Status.Is(batch.ConditionStalled) {
			break
		}
	}
	store.refuse(false)
	start := time.Now()
	if _, err := c.Wait(b.Context(), "last"); err != nil {
		b.Fatal(err)
	}
	return store.take(), time.Since(start)
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
