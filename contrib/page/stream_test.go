package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// An event is one of a stream.
type event struct {
	id      string
	updates []update
	size    int // of its data
}

type update struct {
	View string
	All  bool
	Gone []string
	Ops  []struct{ ID, In, After, HTML string }
}

// ids are the parts that an event is about.
func (e event) ids() (list []string) {
	for _, u := range e.updates {
		for _, op := range u.Ops {
			list = append(list, op.ID)
		}
	}
	return list
}

// html is that of a part.
func (e event) html(id string) string {
	for _, u := range e.updates {
		for _, op := range u.Ops {
			if op.ID == id {
				return op.HTML
			}
		}
	}
	return ""
}

// A stream is an open one.
type stream struct {
	t      *testing.T
	answer *http.Response
	lines  *bufio.Scanner
	close  func()
}

func (w *world) stream(last string, views ...string) *stream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"stream?"+url.Values{"v": views}.Encode(), nil)
	require.NoError(w.t, err)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	s := &stream{t: w.t, answer: answer, lines: bufio.NewScanner(answer.Body)}
	s.lines.Buffer(nil, 64<<20)
	s.close = func() { cancel(); _ = answer.Body.Close() }
	w.t.Cleanup(s.close)
	return s
}

// next reads the next event; ok is false at the end of the stream.
func (s *stream) next() (e event, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "data":
			require.NoError(s.t, json.Unmarshal([]byte(value), &e.updates))
			e.size = len(value)
			return e, true
		}
	}
	return e, false
}

// until reads events until one has a part that contains the text.
func (s *stream) until(id, text string) event {
	s.t.Helper()
	for {
		e, ok := s.next()
		require.True(s.t, ok, "the stream has ended")
		if strings.Contains(e.html(id), text) {
			return e
		}
	}
}

func TestStreamBeginsWithAllAndGoesOnWithChanges(t *testing.T) {
	w := newWorld(t, page.Options{})
	for i := range 30 {
		w.create(batch.Job{Name: fmt.Sprint("job-", i), Suspend: true})
	}
	s := w.stream("", "")
	first, _ := s.next()
	require.True(t, first.updates[0].All)
	require.Len(t, first.ids(), 34, "notice, CronJobs, states, pager and the rows")
	require.Equal(t, "text/event-stream", s.answer.Header.Get("Content-Type"))

	status, err := w.controller.Get("job-7")
	require.NoError(t, err)
	require.NoError(t, w.controller.Resume(t.Context(), "job-7"))
	e := s.until("j-"+status.UID, "Complete")
	require.Subset(t, []string{"states", "j-" + status.UID}, e.ids(), "only what has changed is sent")

	w.create(batch.Job{Name: "newest", Suspend: true})
	newest, err := w.controller.Get("newest")
	require.NoError(t, err)
	s.until("j-"+newest.UID, "newest")
	require.NoError(t, w.controller.Delete(t.Context(), "newest", batch.DeleteBackground))
	e = s.until("pager", "of 30")
	require.Equal(t, []string{"j-" + newest.UID}, e.updates[0].Gone)
}

func TestAStreamGoesOnFromItsLastEvent(t *testing.T) {
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "a", Suspend: true}, batch.Job{Name: "b", Suspend: true})
	s := w.stream("", "", "job/a")
	first, _ := s.next()
	s.close()

	s = w.stream(first.id, "", "job/a")
	require.NoError(t, w.controller.Resume(t.Context(), "b"))
	e, _ := s.next()
	require.False(t, e.updates[0].All, "what the browser has is not sent again")
	for _, u := range e.updates {
		require.NotEqual(t, "job/a", u.View)
	}
	s.close()
	w.finish("b")
	s = w.stream(e.id+"x", "", "job/a")
	e, _ = s.next()
	require.True(t, e.updates[0].All, "it has something else")
}

func TestALogIsFollowed(t *testing.T) {
	w := newWorld(t, page.Options{})
	say := make(chan string)
	w.create(batch.Job{Name: "talks", Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		for text := range say {
			fmt.Fprintln(a.Stdout(), text)
		}
		return nil
	})})
	attempts, err := w.controller.Attempts(t.Context(), "talks")
	require.NoError(t, err)
	for _, view := range []string{"job/talks", "job/talks/attempt/" + attempts[0].Name} {
		s := w.stream("", view)
		s.next()
		say <- "line for " + view
		for found := false; !found; {
			e, ok := s.next()
			require.True(t, ok)
			for _, op := range e.updates[0].Ops {
				found = found || op.In == "lines-"+attempts[0].UID && strings.Contains(op.HTML, "line for "+view)
			}
		}
		s.close()
	}
	close(say)
	w.finish("talks")
}

func TestADeletedJobLeavesItsPage(t *testing.T) {
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "gone", Suspend: true})
	s := w.stream("", "job/gone")
	s.next()
	require.NoError(t, w.controller.Delete(t.Context(), "gone", batch.DeleteBackground))
	e := s.until("notice", "not found")
	require.Equal(t, []string{"notice"}, e.ids(), "the rest stays as it was last")
	require.Empty(t, e.updates[0].Gone)
}

func TestStreamsAreLimited(t *testing.T) {
	w := newWorld(t, page.Options{MaxStreams: 1})
	s := w.stream("", "")
	s.next()
	require.Equal(t, http.StatusTooManyRequests, w.stream("", "").answer.StatusCode)
	require.Equal(t, http.StatusOK, get(w.server.Config.Handler, prefix).Code, "pages can still be loaded")
}

func TestStreamsEnd(t *testing.T) {
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "a", Suspend: true})
	s := w.stream("", "")
	s.next()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, w.controller.Shutdown(ended))
	_, ok := s.next()
	for ok { // what happened before the end may still come
		_, ok = s.next()
	}

	h := page.Handler(w.controller, page.Options{})
	h.Close()
	require.Equal(t, http.StatusServiceUnavailable, get(h, "/stream?v=").Code)
	require.Equal(t, http.StatusOK, get(h, "/").Code)
}

// TestNothingRunsWithoutPages holds the handler to its word: with the last page,
// all of its goroutines end.
func TestNothingRunsWithoutPages(t *testing.T) {
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "a", Executor: blocks})
	require.NotContains(t, goroutines(), "contrib/page.(*hub)")
	s := w.stream("", "", "job/a")
	s.next()
	require.Contains(t, goroutines(), "contrib/page.(*hub)")
	s.close()
	for strings.Contains(goroutines(), "contrib/page.(*") {
		runtime.Gosched()
	}
}

func goroutines() string {
	text := make([]byte, 4<<20)
	return string(text[:runtime.Stack(text, true)])
}

// TestAFastJobIsSentSeldom: a job that changes all the time is sent as often as a
// person can see.
func TestAFastJobIsSentSeldom(t *testing.T) {
	w := newWorld(t, page.Options{})
	s := w.stream("", "job/fast")
	s.next()
	begin := time.Now() // before the first change
	w.create(batch.Job{Name: "fast", Completions: new(100_000_000), Parallelism: new(2)})
	events, size := 0, 0
	for ; events < 4; events++ {
		e, ok := s.next()
		require.True(t, ok)
		size += e.size
	}
	require.Greater(t, time.Since(begin), time.Duration(events-2)*200*time.Millisecond)
	require.Less(t, size/events, 1<<20)
	require.NoError(t, w.controller.Delete(t.Context(), "fast", batch.DeleteBackground))
}
