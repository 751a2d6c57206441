package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// log reads the log of a pod.
func (w *world) log(pod, query string) string {
	w.Helper()
	rec := w.do(call{method: "GET", path: podsPath + "/" + pod + "/log?" + query, accept: "application/json, */*"})
	require.Equal(w, http.StatusOK, rec.Code, rec.Body.String())
	require.Equal(w, "text/plain", rec.Header().Get("Content-Type"))
	return rec.Body.String()
}

func TestLogs(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		fmt.Fprint(a.Stdout(), "one\ntwo\n")
		fmt.Fprint(a.Stderr(), "three\n")
		return nil
	})})
	w.finish("a")
	pod := w.pods("a")[0].Name
	future := url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
	for query, want := range map[string]string{
		"":                                 "one\ntwo\nthree\n",
		"container=main":                   "one\ntwo\nthree\n",
		"follow=true":                      "one\ntwo\nthree\n",
		"follow=True&tailLines=1":          "three\n",
		"tailLines=2":                      "two\nthree\n",
		"tailLines=0":                      "",
		"tailLines=9223372036854775807":    "one\ntwo\nthree\n",
		"limitBytes=5":                     "one\nt",
		"limitBytes=4":                     "one\n",
		"sinceSeconds=3600":                "one\ntwo\nthree\n",
		"sinceSeconds=9223372036854775807": "one\ntwo\nthree\n",
		"sinceTime=" + future:              "",
		"stream=Stderr":                    "three\n",
		"stream=Stdout":                    "one\ntwo\n",
		"insecureSkipTLSVerifyBackend=true&pretty=1": "one\ntwo\nthree\n",
	} {
		require.Equal(t, want, w.log(pod, query), query)
	}
	lines := strings.Split(strings.TrimSpace(w.log(pod, "timestamps=1")), "\n")
	require.Len(t, lines, 3)
	for _, line := range lines {
		require.Regexp(t, regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|two|three)$`), line)
	}
	for query, message := range map[string]string{
		"container=x":   "container x is not valid for pod " + pod,
		"previous=true": `previous terminated container "main" in pod "` + pod + `" not found`,
		"tailLines=-1":  "tailLines", "tailLines=x": "tailLines", "limitBytes=0": "limitBytes",
		"sinceSeconds=0": "sinceSeconds",
		"sinceTime=x":    "sinceTime", "stream=x": "stream",
		"sinceSeconds=1&sinceTime=" + future: "at most one of",
	} {
		rec := w.do(call{method: "GET", path: podsPath + "/" + pod + "/log?" + query})
		require.Contains(t, w.fails(rec, http.StatusBadRequest, metav1.StatusReasonBadRequest).Message, message)
	}
	w.fails(w.do(call{method: "GET", path: podsPath + "/x/log"}), http.StatusNotFound, metav1.StatusReasonNotFound)
	w.fails(
		w.do(call{method: "POST", path: podsPath + "/" + pod + "/log"}), http.StatusMethodNotAllowed,
		metav1.StatusReasonMethodNotAllowed,
	)
}

func TestFollowLog(t *testing.T) {
	w := newWorld(t, Config{})
	write, end := make(chan string), make(chan struct{})
	w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		for {
			select {
			case text := <-write:
				fmt.Fprintln(a.Stdout(), text)
			case <-end:
				return nil
			}
		}
	})})
	write <- "first"
	follow := w.open(podsPath+"/"+w.pods("a")[0].Name+"/log?follow=true", "")
	buffer := make([]byte, 100)
	for _, text := range []string{"first", "second", "third"} {
		if text != "first" {
			write <- text
		}
		n, err := follow.response.Body.Read(buffer)
		require.NoError(t, err)
		require.Equal(t, text+"\n", string(buffer[:n]), "a line is sent at once")
	}
	close(end)
	require.Empty(t, follow.rest(), "the answer ends with the pod")
}

// TestLogsOfContainers wants each container's log to be its own, from its first
// line to its last.
func TestLogsOfContainers(t *testing.T) {
	begun, more := make(chan string, 3), make(chan struct{})
	w := newWorld(t, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{
		"print": func(ctx context.Context, a batch.Attempt, c convert.Container) error {
			fmt.Fprintf(a.Stdout(), "%s 1\n", c.Name)
			fmt.Fprintf(a.Stderr(), "%s 2\n", c.Name)
			begun <- c.Name
			<-more
			fmt.Fprintf(a.Stdout(), "%s 3\n", c.Name)
			return nil
		}}}})
	w.post(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{
	"template":{"spec":{"restartPolicy":"Never",
		"initContainers":[{"name":"one","image":"func/print"},{"name":"two","image":"func/print"}],
		"containers":[{"name":"main","image":"func/print"}]}}}}`)
	require.Equal(t, "one", <-begun)
	name := w.pods("a")[0].Name
	rec := w.do(call{method: "GET", path: podsPath + "/" + name + "/log?container=two"})
	require.Contains(
		t, w.fails(rec, http.StatusBadRequest, metav1.StatusReasonBadRequest).Message, "is waiting to start: PodInitializing",
	)
	require.Equal(t, "one 1\none 2\n", w.log(name, "container=one"))
	more <- struct{}{}
	require.Equal(t, "two", <-begun)
	follow := w.open(podsPath+"/"+name+"/log?follow=true&container=two&tailLines=1", "")
	require.Equal(t, "one 1\none 2\none 3\n", w.log(name, "container=one&follow=true"), "it has ended")
	more <- struct{}{}
	require.Equal(t, "two 2\ntwo 3", follow.rest(), "the answer ends with the container")
	require.Equal(t, "main", <-begun)
	more <- struct{}{}
	w.finish("a")
	for _, container := range []string{"one", "two", "main"} {
		want := fmt.Sprintf("%[1]s 1\n%[1]s 2\n%[1]s 3\n", container)
		require.Equal(t, want, w.log(name, "container="+container))
		require.Equal(t, want, w.log(name, "follow=1&container="+container))
		require.Equal(t, container+" 3\n", w.log(name, "tailLines=1&container="+container))
	}
	for _, s := range w.pods("a")[0].Status.InitContainerStatuses {
		ended := s.State.Terminated
		require.False(t, ended.StartedAt.IsZero())
		require.False(t, ended.FinishedAt.Before(&ended.StartedAt), "when it ended is known")
	}
}

// TestLongLines wants a line that was cut to come back as one.
func TestLongLines(t *testing.T) {
	w := newWorld(t, Config{})
	long := `{"d":"` + strings.Repeat("x", 40_000) + `"}`
	w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		fmt.Fprint(a.Stdout(), long[:20_000]) // has been cut once
		fmt.Fprintln(a.Stderr(), "between")
		fmt.Fprintln(a.Stdout(), long[20_000:])
		fmt.Fprint(a.Stdout(), "end")
		return nil
	})})
	w.finish("a")
	pod := w.pods("a")[0].Name
	for _, query := range []string{"", "follow=true", "tailLines=3"} {
		require.Equal(t, "between\n"+long+"\nend\n", w.log(pod, query), query)
	}
	require.Equal(t, long+"\nend\n", w.log(pod, "tailLines=2"))
	require.Equal(t, long+"\nend\n", w.log(pod, "stream=Stdout"))
	require.Equal(t, "end\n", w.log(pod, "stream=Stdout&tailLines=1"))
	require.Equal(t, "between\n", w.log(pod, "stream=Stderr&tailLines=1"), "the tail is that of the stream")
	require.Len(t, strings.Split(strings.TrimSpace(w.log(pod, "timestamps=true")), "\n"), 3)
}

// TestLogWithGaps wants to be told of the lines that a reader has missed.
func TestLogWithGaps(t *testing.T) {
	w := newWorld(t, Config{})
	begin := make(chan struct{})
	w.create(batch.Job{Name: "a", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		fmt.Fprintln(a.Stdout(), "first")
		<-begin
		for n := range 50_000 {
			fmt.Fprintln(a.Stdout(), "line", n)
		}
		return nil
	})})
	pod := w.pods("a")[0].Name
	slow := &slowWriter{make(http.Header), make(chan []byte)}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost"+podsPath+"/"+pod+"/log?follow=true", nil)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.ServeHTTP(slow, r)
	}()
	text := string(<-slow.written)
	close(begin)
	w.finish("a") // the reader is slow
	for reading := true; reading; {
		select {
		case data := <-slow.written:
			text += string(data)
		case <-done:
			reading = false
		}
	}
	lines, lost := 0, 0
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(line, "[%d lines are no longer kept]", &n); err == nil {
			lost += n
			continue
		}
		lines++
	}
	require.Positive(t, lost)
	require.Equal(t, 50_001, lines+lost)
	require.Regexp(t, `^\[\d+ lines are no longer kept\]\nline \d+\n`, w.log(pod, ""))
	require.Equal(t, "line 49998\nline 49999\n", w.log(pod, "tailLines=2"))
}

func TestLogOfPodThatWaits(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{MaxActive: 1})
	require.NoError(t, err)
	server := New(Config{Controller: c})
	w := &world{t, c, server, nil}
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, c.Shutdown(ctx))
	})
	w.create(batch.Job{Name: "a", Executor: wait})
	w.create(batch.Job{Name: "b", Executor: wait})
	rec := w.do(call{method: "GET", path: podsPath + "/" + w.pods("b")[0].Name + "/log"})
	require.Contains(
		t, w.fails(rec, http.StatusBadRequest, metav1.StatusReasonBadRequest).Message,
		"is waiting to start: ContainerCreating",
	)
}

func TestLogOfRestarts(t *testing.T) {
	w := newWorld(t, Config{})
	w.create(batch.Job{Name: "a", RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "run", a.Restarts)
			if a.Restarts == 0 {
				return errors.New("once more")
			}
			return nil
		})})
	w.finish("a")
	rec := w.do(call{method: "GET", path: podsPath + "/" + w.pods("a")[0].Name + "/log?previous=true"})
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, "run 0\nrun 1\n", rec.Body.String())
	require.Contains(t, rec.Header().Get("Warning"), "the log of a pod is one")
}

func TestLogOfPreviousRun(t *testing.T) {
	w := newWorld(t, Config{Write: true, Runner: &convert.Runner{Functions: map[string]convert.Function{
		"twice": func(ctx context.Context, a batch.Attempt, _ convert.Container) error {
			fmt.Fprintf(a.Stdout(), "begin %d\nrun %d\n", a.Restarts, a.Restarts)
			if a.Restarts > 0 {
				<-ctx.Done()
			}
			return errors.New("once more")
		}}}})
	w.post(strings.Replace(manifest("a", "twice", ""), "Never", "OnFailure", 1))
	w.eventually(func() bool {
		pods := w.pods("a")
		return len(pods) == 1 && pods[0].Status.ContainerStatuses[0].RestartCount == 1
	})
	pod := w.pods("a")[0].Name
	w.eventually(func() bool { return w.log(pod, "") == "begin 1\nrun 1\n" })
	require.Equal(t, "begin 0\nrun 0\n", w.log(pod, "previous=true"))
	require.Equal(t, "run 0\n", w.log(pod, "previous=true&tailLines=1"))
}
