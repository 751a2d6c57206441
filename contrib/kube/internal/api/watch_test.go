package api

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

func TestWatchBegins(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	w.create(batch.Job{Name: "b", Executor: wait, Suspend: true})
	var list metav1.PartialObjectMetadataList
	w.get(jobsPath, &list)
	const initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
	tests := map[string]struct {
		query string
		want  []string
	}{
		"without a version":   {want: []string{"ADDED a", "ADDED b", "ADDED c"}},
		"from any version":    {query: "resourceVersion=0", want: []string{"ADDED a", "ADDED b", "ADDED c"}},
		"from a version":      {query: "resourceVersion=" + list.ResourceVersion, want: []string{"ADDED c"}},
		"with initial events": {query: initial, want: []string{"ADDED a", "ADDED b", "BOOKMARK ", "ADDED c"}},
		"with initial events, at least at": {
			query: initial + "&resourceVersion=" + list.ResourceVersion,
			want:  []string{"ADDED a", "ADDED b", "BOOKMARK ", "ADDED c"},
		},
		"without initial events": {
			query: "sendInitialEvents=false&resourceVersionMatch=NotOlderThan", want: []string{"ADDED c"},
		},
		"of one job": {query: "fieldSelector=metadata.name%3Db", want: []string{"ADDED b", "MODIFIED b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			watch := w.open(jobsPath+"?watch=true&"+test.query, "") // its header is sent once it has begun
			require.Equal(t, "application/json", watch.response.Header.Get("Content-Type"))
			seenAll := make(chan []string)
			go func() {
				var got []string
				for range test.want {
					frame := watch.next()
					got = append(got, frame.Type+" "+frame.Object.Name)
					require.NotEmpty(t, frame.Object.ResourceVersion)
					if frame.Type == "BOOKMARK" {
						require.Equal(t, "true", frame.Object.Annotations[metav1.InitialEventsAnnotationKey])
						require.Equal(t, "Job", frame.Object.Kind)
					}
				}
				seenAll <- got
			}()
			w.create(batch.Job{Name: "c", Executor: wait, Suspend: true})
			require.NoError(
				t,
				w.c.Update(t.Context(), "b", func(j *batch.Job) {
					j.Labels = map[string]string{
						"x": fmt.Sprint(time.Now().UnixNano()),
					}
				}),
			)
			require.Equal(t, test.want, <-seenAll)
			require.NoError(t, w.c.Delete(t.Context(), "c", batch.DeleteBackground))
		})
		w.get(jobsPath, &list)
	}
}

func TestWatchThroughSelector(t *testing.T) {
	w := newWorld(t, Config{})
	label := func(value string) {
		require.NoError(t, w.c.Update(t.Context(), "a", func(j *batch.Job) { j.Labels = map[string]string{"x": value} }))
		w.job("a") // somebody sees each of them
	}
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	watch := w.open(jobsPath+"?watch=true&labelSelector=x%3D1", "")
	for _, value := range []string{"0", "1", "2", "1"} {
		label(value)
	}
	added := watch.next()
	require.Equal(t, "ADDED", added.Type)
	gone := watch.next()
	require.Equal(t, "DELETED", gone.Type, "it does not match any more")
	require.Equal(t, "1", gone.Object.Labels["x"], "as it was when it did")
	require.Greater(t, gone.Object.ResourceVersion, added.Object.ResourceVersion)
	require.Equal(t, "ADDED", watch.next().Type)
	require.NoError(t, w.c.Delete(t.Context(), "a", batch.DeleteBackground))
	require.Equal(t, "DELETED", watch.next().Type)
}

func TestWatchTable(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	for query, kind := range map[string]string{"": "ADDED", "&fieldSelector=metadata.name%3Da": "ADDED",
		"&resourceVersion=" + w.job("a").ResourceVersion: "MODIFIED"} {
		relabel := func() {
			require.NoError(t, w.c.Update(t.Context(), "a", func(j *batch.Job) {
				j.Labels = map[string]string{"x": fmt.Sprint(time.Now().UnixNano())}
			}))
		}
		relabel()
		watch := w.open(jobsPath+"?watch=true"+query, tableAccept)
		first := watch.next()
		require.Equal(t, kind, first.Type)
		require.Equal(t, "Table", first.Object.Kind)
		require.Len(t, first.Object.ColumnDefinitions, 8)
		require.Len(t, first.Object.Rows, 1)
		relabel()
		require.Empty(t, watch.next().Object.ColumnDefinitions, "only the first frame has them")
		watch.cancel()
	}
}

func TestWatchEnds(t *testing.T) {
	w := newWorld(t, Config{})
	for name, path := range map[string]string{"of jobs": jobsPath, "of namespaces": "/api/v1/namespaces",
		"elsewhere": "/api/v1/namespaces/other/pods"} {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.c, w.server, w.crons}
			started := time.Now()
			watch := w.open(path+"?watch=1&timeoutSeconds=1&resourceVersion="+fmt.Sprint(w.server.host.Cache.Version()), "")
			require.Empty(t, watch.rest())
			require.GreaterOrEqual(t, time.Since(started), time.Second)
		})
	}
	watch := w.open(jobsPath+"?watch=1", "")
	w.server.Close()
	require.Empty(t, watch.rest())
}

func TestWatchOfPods(t *testing.T) {
	w := newWorld(t, Config{Write: true})
	watch := w.open("/api/v1/pods?watch=1", "")
	w.post(manifest("a", "wait", ""))
	added := watch.next()
	require.Equal(t, "ADDED", added.Type)
	rec := w.do(call{method: "DELETE", path: podsPath + "/" + added.Object.Name})
	require.Equal(t, http.StatusOK, rec.Code)
	for {
		frame := watch.until("DELETED")
		if frame.Object.Name == added.Object.Name {
			require.NotNil(t, frame.Object.DeletionTimestamp)
			break
		}
	}
}

func TestWatchLimit(t *testing.T) {
	w := newWorld(t, Config{MaxWatches: 1})
	watch := w.open(jobsPath+"?watch=1", "")
	rec := w.do(call{method: "GET", path: podsPath + "?watch=1"})
	w.fails(rec, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
	require.Equal(t, "1", rec.Header().Get("Retry-After"))
	watch.cancel()
	w.eventually(func() bool { return len(w.server.host.Streams) == 0 })
}

// A slowWriter takes what is written when it is told to.
type slowWriter struct {
	header  http.Header
	written chan []byte
}

func (s *slowWriter) Header() http.Header { return s.header }
func (s *slowWriter) WriteHeader(int)     {}
func (s *slowWriter) Write(p []byte) (int, error) {
	s.written <- append([]byte{}, p...)
	return len(p), nil
}
func (s *slowWriter) FlushError() error { return nil }

func TestSlowWatcherIsTold(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: wait, Suspend: true})
	slow := &slowWriter{make(http.Header), make(chan []byte)}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost"+jobsPath+"?watch=1", nil)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.ServeHTTP(slow, r)
	}()
	require.Contains(t, string(<-slow.written), "ADDED")
	for i := range 20_000 { // the watcher is in Write, or about to be
		require.NoError(
			t, w.c.Update(t.Context(), "a", func(j *batch.Job) { j.Labels = map[string]string{"x": fmt.Sprint(i)} }),
		)
		w.server.host.Cache.Job("a")
	}
	var last string
	for {
		select {
		case data := <-slow.written:
			if len(data) > 0 {
				last = string(data)
			}
			continue
		case <-done:
		}
		break
	}
	require.Contains(t, last, `"type":"ERROR"`)
	require.Contains(t, last, `"reason":"Expired"`)
	require.Contains(t, last, `"code":410`)
}

// A deadlineWriter knows when writes would fail.
type deadlineWriter struct {
	*counter
	deadlines []time.Time
}

func (d *deadlineWriter) SetWriteDeadline(t time.Time) error {
	d.deadlines = append(d.deadlines, t)
	return nil
}

func TestQuietWatchHasNoDeadline(t *testing.T) {
	w := newWorld(t, Config{})
	d := &deadlineWriter{counter: newCounter()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost"+jobsPath+"?watch=1", nil)
	require.NoError(t, err)
	w.server.ServeHTTP(d, r)
	require.GreaterOrEqual(t, len(d.deadlines), 2)
	for i, deadline := range d.deadlines {
		require.Equal(t, i%2 == 1, deadline.IsZero(), "while nothing is written there is none")
	}
}
