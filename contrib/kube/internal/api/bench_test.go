package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/kinds"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// A counter is a client that counts what it is sent, and does not keep it.
type counter struct {
	header  http.Header
	bytes   atomic.Int64
	flushes atomic.Int64 // the first one when a watch has begun
}

func newCounter() *counter { return &counter{header: make(http.Header)} }

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) FlushError() error   { c.flushes.Add(1); return nil }
func (c *counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}

// serve sends a request, whose answer is counted.
func (w *world) serve(ctx context.Context, path, accept string) *counter {
	r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+path, nil)
	r.Header.Set("Accept", accept)
	c := newCounter()
	w.server.ServeHTTP(c, r)
	return c
}

// many makes jobs that have ended, each with some attempts.
func (w *world) many(jobs, attempts int) {
	done := batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	for i := range jobs {
		w.create(batch.Job{
			Name: fmt.Sprintf("job-%05d", i), Executor: done, Completions: new(attempts), Parallelism: new(attempts),
		})
	}
	for i := range jobs {
		w.finish(fmt.Sprintf("job-%05d", i))
	}
}

func liveBytes() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkTable500 is a kubectl get jobs of 500 rows: the budget is 50 ms.
func BenchmarkTable500(b *testing.B) {
	w := newWorld(b, Config{})
	w.many(500, 1)
	for b.Loop() {
		w.serve(b.Context(), jobsPath+"?limit=500", tableAccept)
	}
}

// BenchmarkLarge lists and watches 10,000 jobs with 100,000 attempts.
func BenchmarkLarge(b *testing.B) {
	w := newWorld(b, Config{})
	w.many(10_000, 10)
	before := liveBytes()
	cases := []struct{ name, path, accept string }{
		{name: "jobs", path: jobsPath}, {name: "jobs in a table", path: jobsPath, accept: tableAccept}, {
			name: "a page of jobs", path: jobsPath + "?limit=500", accept: tableAccept,
		},
		{name: "pods", path: podsPath}, {name: "a page of pods", path: podsPath + "?limit=500", accept: tableAccept},
		{name: "pods of a job", path: podsPath + "?labelSelector=job-name%3Djob-00042"},
		{name: "pods by another label", path: podsPath + "?labelSelector=x"},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			var size int64
			for b.Loop() {
				size = w.serve(b.Context(), c.path, c.accept).bytes.Load()
			}
			b.ReportMetric(float64(size)/1e6, "MB/list")
		})
	}
	for kind, path := range map[string]string{"jobs": jobsPath, "pods": podsPath} {
		b.Run("watch "+kind, func(b *testing.B) {
			for b.Loop() {
				ctx, cancel := context.WithCancel(b.Context())
				r := httptest.NewRequestWithContext(ctx, "GET",
					"http://localhost"+path+"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"+
						"&allowWatchBookmarks=true", nil)
				w.server.ServeHTTP(&untilBookmark{newCounter(), cancel}, r)
			}
		})
	}
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			w.server.host.Cache.List(watchcache.Pods, "")
		}
		b.ReportMetric((liveBytes()-before)/1e6, "MB-kept")
	})
}

// An untilBookmark ends its watch when all initial events were sent.
type untilBookmark struct {
	*counter
	cancel context.CancelFunc
}

func (u *untilBookmark) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"BOOKMARK"`)) {
		u.cancel()
	}
	return u.counter.Write(p)
}

const loadJobs = 20

// load runs jobs whose attempts take some work each, at about 1,000 changes a
// second, and returns how long they took.
func (w *world) load(attempts int) time.Duration {
	started := time.Now()
	var group sync.WaitGroup
	for i := range loadJobs {
		name := fmt.Sprintf("load-%d-%d", started.UnixNano(), i)
		w.create(batch.Job{Name: name, Completions: new(attempts / loadJobs), Parallelism: new(1),
			Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
				spin(200 * time.Microsecond)
				time.Sleep(20 * time.Millisecond)
				return nil
			})})
		group.Go(func() { w.finish(name) })
	}
	group.Wait()
	return time.Since(started)
}

// spin works for about that long.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// BenchmarkWatchers tells by how much 1,000 watchers slow jobs down that make
// 1,000 changes a second: the budget is a tenth. Every watcher must be sent the
// same, from the first job to the last.
func BenchmarkWatchers(b *testing.B) {
	const attempts, watchers = 4_000, 1_000
	w := newWorld(b, Config{})
	var slower, rate []float64
	for b.Loop() {
		alone := w.load(attempts)
		ctx, cancel := context.WithCancel(b.Context())
		path := jobsPath + "?watch=1&resourceVersion=" + kinds.FormatVersion(
			w.server.host.Cache.List(watchcache.Jobs, "").Version,
		)
		counters := make([]*counter, watchers)
		seen := &recorder{counter: newCounter()}
		var group sync.WaitGroup
		watch := func(rw http.ResponseWriter) {
			r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+path, nil)
			group.Go(func() { w.server.ServeHTTP(rw, r) })
		}
		watch(seen)
		for i := range counters {
			counters[i] = newCounter()
			watch(counters[i])
		}
		for len(w.server.host.Streams) <= watchers {
			time.Sleep(time.Millisecond)
		}
		watched := w.load(attempts)
		time.Sleep(time.Second)
		cancel()
		group.Wait()
		for _, c := range counters {
			require.Equal(b, seen.bytes.Load(), c.bytes.Load(), "nobody has lost anything")
		}
		require.Equal(b, loadJobs, seen.count(`"type":"Finished"`))
		slower = append(slower, 100*(watched.Seconds()/alone.Seconds()-1))
		rate = append(rate, float64(seen.count("\n"))/watched.Seconds())
	}
	b.ReportMetric(median(rate), "events/s")
	b.ReportMetric(median(slower), "%slower")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// TestWatchersLoseNothing has every watcher see every job come, end and go.
func TestWatchersLoseNothing(t *testing.T) {
	w := newWorld(t, Config{})
	const watchers, jobs = 50, 200
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	histories := make([]*recorder, watchers)
	for i := range histories {
		histories[i] = &recorder{counter: newCounter()}
		r := httptest.NewRequestWithContext(ctx, "GET", "http://localhost"+jobsPath+"?watch=1", nil)
		group.Go(func() { w.server.ServeHTTP(histories[i], r) })
	}
	w.eventually(func() bool {
		return !slices.ContainsFunc(histories, func(h *recorder) bool { return h.flushes.Load() == 0 })
	})
	for i := range jobs {
		name := fmt.Sprint("job-", i)
		w.create(batch.Job{
			Name: name, Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil }),
		})
		w.finish(name)
	}
	w.eventually(func() bool {
		return !slices.ContainsFunc(histories, func(h *recorder) bool { return h.count(`"type":"Finished"`) < jobs })
	})
	for i := range jobs / 2 {
		require.NoError(t, w.c.Delete(t.Context(), fmt.Sprint("job-", i), batch.DeleteBackground))
	}
	w.eventually(func() bool {
		return !slices.ContainsFunc(histories, func(h *recorder) bool { return h.count(`"type":"DELETED"`) < jobs/2 })
	})
	cancel()
	group.Wait()
	for _, h := range histories {
		left := h.replay(t)
		require.Len(t, left, jobs/2)
		require.Equal(t, histories[0].buffer.String(), h.buffer.String(), "all see the same")
	}
}

// A recorder keeps what it is sent.
type recorder struct {
	*counter
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buffer.Write(p)
	return r.counter.Write(p)
}

// count is how often a text was sent.
func (r *recorder) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Count(r.buffer.Bytes(), []byte(text))
}

// replay returns the jobs that there are after all events, by name.
func (r *recorder) replay(t *testing.T) map[string]bool {
	jobs := make(map[string]bool)
	decoder := json.NewDecoder(bytes.NewReader(r.buffer.Bytes()))
	for decoder.More() {
		var frame seen
		require.NoError(t, decoder.Decode(&frame))
		name := frame.Object.Name
		switch frame.Type {
		case "ADDED":
			require.False(t, jobs[name])
			jobs[name] = true
		case "MODIFIED":
			require.True(t, jobs[name])
		case "DELETED":
			require.True(t, jobs[name])
			delete(jobs, name)
		}
	}
	return jobs
}
