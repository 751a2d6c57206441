package page_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// How long pages are open, and closed, by turns. Between two updates are up to three
// seconds, and the first comes at once.
const (
	openTime   = 6 * time.Second
	closedTime = 2 * time.Second
)

// BenchmarkOpenPages tells by how much jobs that do nothing, at full speed, are slower
// while pages are open: the median of rounds with and without them that follow each other.
// It tells that on the wall, and how much of the processors the pages take, which is the
// same if others use the machine.
//
//	go test -run '^$' -bench OpenPages -benchtime 9x .
func BenchmarkOpenPages(b *testing.B) {
	for _, n := range []struct{ jobs, pages int }{{jobs: 1000, pages: 1}, {jobs: 1000, pages: 100}, {jobs: 1, pages: 2}} {
		b.Run(fmt.Sprintf("jobs=%d/pages=%d", n.jobs, n.pages), func(b *testing.B) { benchmarkPages(b, n.jobs, n.pages) })
	}
}

func benchmarkPages(b *testing.B, jobs, pages int) {
	o := batch.Options{}
	if jobs > 1 {
		o.MaxActive = 2
	}
	c, err := batch.New(context.Background(), o)
	require.NoError(b, err)
	h := page.Handler(c, page.Options{})
	var completions atomic.Int64
	executor := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { completions.Add(1); return nil })
	for i := range jobs {
		job := batch.Job{Name: fmt.Sprint("job-", i), Completions: new(1 << 40), Parallelism: new(2), Executor: executor}
		require.NoError(b, c.Create(b.Context(), job))
	}
	round := func(d time.Duration) (done, wall, used float64) { // completions, and seconds
		before, usedBefore, begin := completions.Load(), processorTime(b), time.Now()
		time.Sleep(d)
		return float64(completions.Load() - before), time.Since(begin).Seconds(), (processorTime(b) - usedBefore).Seconds()
	}
	round(closedTime)
	var slower, taken []float64
	for b.Loop() {
		done, wall, used := round(closedTime)
		leave := openPages(b, h, min(10, jobs), pages)
		doneOpen, wallOpen, usedOpen := round(openTime)
		leave()
		slower = append(slower, 100*(done/wall*wallOpen/doneOpen-1))
		extra := usedOpen - used/done*doneOpen
		taken = append(taken, 100*extra/wallOpen/float64(runtime.GOMAXPROCS(0)))
	}
	slices.Sort(slower)
	slices.Sort(taken)
	b.ReportMetric(slower[len(slower)/2], "%slower")
	b.ReportMetric(taken[len(taken)/2], "%of-processors")
	h.Close()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	require.NoError(b, c.Shutdown(stopped))
}

// openPages opens pages, half of them lists and half of them some jobs, and returns what
// closes them.
func openPages(b *testing.B, h http.Handler, jobs, pages int) (leave func()) {
	ctx, cancel := context.WithCancel(b.Context())
	var opened, left sync.WaitGroup
	for i := range pages {
		view := [...]string{"", fmt.Sprint("job/job-", i/2%jobs)}[i%2]
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/stream?v="+view, nil)
		require.NoError(b, err)
		r.RequestURI = r.URL.RequestURI()
		opened.Add(1)
		left.Go(func() { h.ServeHTTP(discard{make(http.Header), sync.OnceFunc(opened.Done)}, r) })
	}
	opened.Wait()
	return func() { cancel(); left.Wait() }
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A discard is a connection whose other side reads everything at once.
type discard struct {
	header http.Header
	opened func() // called at the first write
}

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { d.opened(); return len(p), nil }
func (d discard) WriteHeader(int)             {}
func (d discard) Flush()                      {}
