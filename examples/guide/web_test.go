package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

func newTestWeb(t *testing.T) *web {
	t.Helper()
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	pages := page.Handler(c, page.Options{Write: true})
	t.Cleanup(func() {
		pages.Close()
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, c.Shutdown(ended))
	})
	return newWeb(c, pages)
}

func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8080"
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestBesideAPicture(t *testing.T) {
	w := newTestWeb(t)
	run := `{"picture": "lanes", "completions": 3, "parallelism": 2, "policy": "both", "limit": 4, "speed": 10}`
	require.JSONEq(t, `["lanes-1"]`, ask(w, "POST", "/run", run).Body.String())
	_, err := w.controller.Wait(t.Context(), "lanes-1")
	require.NoError(t, err)
	var b beside
	require.NoError(t, json.Unmarshal(ask(w, "GET", "/beside/lanes-1", "").Body.Bytes(), &b))
	require.Equal(t, `batch.Job{
	Name: "lanes-1",
	CompletionMode: batch.Indexed,
	Completions: new(3),
	Parallelism: new(2),
	BackoffLimit: new(4),
	Executor: batch.ExecutorFunc(work),
}
`, b.Go)
	require.Contains(t, b.Manifest, "kind: Job\n")
	require.Contains(t, b.Manifest, "completionMode: Indexed\n")
	require.NotContains(t, b.Manifest, "null")
	outputs := map[string]string{}
	for _, c := range b.Commands {
		outputs[strings.Join(strings.Fields(c.Line)[1:3], " ")] = c.Output
	}
	require.Regexp(
		t, `^NAME +STATUS +COMPLETIONS +DURATION +AGE *\nlanes-1 +Complete +3/3 +\w+ +\w+ *\n$`, outputs["get job"],
	)
	require.Regexp(
		t, `^NAME +READY +STATUS +RESTARTS +AGE *\n(lanes-1-\d-\w+ +0/1 +Completed +0 +\w+ *\n){3}$`, outputs["get pods"],
	)
	require.Regexp(
		t, regexp.MustCompile(`(?m)^Pods Statuses: +0 Active \(0 Ready\) / 3 Succeeded / 0 Failed$`), outputs["describe job"],
	)
	require.Contains(t, outputs["describe job"], "Job completed")
	require.Equal(t, 3, strings.Count(outputs["logs -l"], "hello from lanes-1-"))

	require.JSONEq(t, `["lanes-2"]`, ask(w, "POST", "/run", run).Body.String())
	require.Equal(t, http.StatusNotFound, ask(w, "GET", "/beside/lanes-1", "").Code, "a new run takes its place")
}

// TestPodsOfAFailedJob wants an attempt that was stopped as its job failed to stay a
// pod, whose logs say why.
func TestPodsOfAFailedJob(t *testing.T) {
	w := newTestWeb(t)
	run := `{"picture": "restarts", "completions": 1, "parallelism": 1, "failures": 9, "policy": "OnFailure", "limit": ` +
		`1, "speed": 10}`
	require.JSONEq(t, `["on-failure-1"]`, ask(w, "POST", "/run", run).Body.String())
	_, err := w.controller.Wait(t.Context(), "on-failure-1")
	require.Error(t, err)
	var b beside
	require.NoError(t, json.Unmarshal(ask(w, "GET", "/beside/on-failure-1", "").Body.Bytes(), &b))
	require.Equal(t, "kubectl get pods -l job-name=on-failure-1", b.Commands[1].Line)
	require.Regexp(t, `\non-failure-1-\w+ +0/1 +Error +1 `, b.Commands[1].Output)
}

func TestBadSettings(t *testing.T) {
	w := newTestWeb(t)
	answer := ask(
		w, "POST", "/run",
		`{"picture": "cat", "completions": 0, "parallelism": 21, "limit": -1, "speed": 0, "policy": "Always"}`,
	)
	require.Equal(t, http.StatusBadRequest, answer.Code)
	require.Equal(t, `completions 0: must be from 1 to 60
parallelism 21: must be from 1 to 20
limit -1: must be from 0 to 10
speed 0: must be from 0.1 to 10
policy "Always": must be Never, OnFailure or both
picture "cat": must be life, lanes or restarts
`, answer.Body.String())
	require.Equal(t, http.StatusBadRequest, ask(w, "POST", "/run", "{").Code)
	require.Equal(t, http.StatusForbidden, ask(w, "POST", "/run", "{}", "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, http.StatusForbidden, ask(w, "GET", "/", "", "Host", "evil.example").Code)
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-http", "127.0.0.1:0"}, in, io.Discard) }()
	line := make([]byte, 100)
	n, err := out.Read(line)
	require.NoError(t, err)
	answer, err := http.Get(strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "The guide is at ")))
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.True(t, bytes.Contains(body, []byte("Why a Job is not a Deployment")))
	cancel()
	require.NoError(t, <-done)
	require.ErrorContains(t, run(t.Context(), []string{"-http", "nowhere"}, io.Discard, io.Discard), `-http "nowhere"`)
}
