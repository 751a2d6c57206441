package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
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

// openBrowser starts a browser, and returns what its console shows.
func openBrowser(t *testing.T, path string) (context.Context, <-chan string) {
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.WindowSize(1200, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	console := make(chan string, 100)
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*log.EventEntryAdded); ok {
			console <- e.Entry.Text + " " + e.Entry.URL
		}
	}))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	return ctx, console
}

// TestBrowser looks at the pictures with a real browser. PAGE_TEST=all, as in CI,
// makes it an error that there is none.
func TestBrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("PAGE_TEST") == "all" {
			t.Fatal("TestBrowser needs chromium (apt-get install chromium)")
		}
		t.Skip("TestBrowser is skipped: it needs chromium (apt-get install chromium)")
	}
	server := httptest.NewServer(newTestWeb(t))
	t.Cleanup(server.Close)
	ctx, console := openBrowser(t, path)
	click := func(picture string) {
		require.NoError(t, chromedp.Do(ctx, chromedp.Click(`[data-picture=`+picture+`] button`)))
	}
	until := func(picture, pattern string) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		expression := `/` + pattern + `/s.test(document.querySelector("[data-picture=` + picture + `]").innerText)`
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0)))
		require.NoError(t, err, expression)
	}
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
	click("life")
	until("life", `3 of 3 succeeded.*3 attempts and their logs are kept.*kind: Job.*Completed`)
	require.NoError(t, chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](
		`document.querySelector("[data-picture=lanes] [name=failures]").value = 1`)))
	click("lanes")
	until("lanes", `Complete: 6.6 succeeded, 1 failed; .* one by one`)
	lanes, err := chromedp.Run(
		ctx, chromedp.Evaluate[int](`document.querySelectorAll("[data-picture=lanes] svg.box").length`),
	)
	require.NoError(t, err)
	require.Equal(t, 7, lanes, "index 2 was run twice")
	click("restarts")
	until("restarts", `retry 2.*Failed: BackoffLimitExceeded.*3 failed, more than the limit of 2`)
	until("restarts", `restart 2.*2 restarts reach the limit of 2`)
	require.NoError(t, chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](
		`document.querySelector("[data-picture=restarts] [name=limit]").removeAttribute("max")`,
	),
		chromedp.SendKeys("[data-picture=restarts] [name=limit]", "99")))
	click("restarts")
	until("restarts", `limit \d+: must be from 0 to 10`)
	if picture := os.Getenv("PAGE_PICTURES"); picture != "" {
		data, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(picture, data, 0o644))
	}
	for len(console) > 0 {
		require.Contains(t, <-console, "400 (Bad Request)")
	}
}
