package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

func TestAJobFromRequestToLog(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"checksum","name":"sums","path":"docs","shards":1}`)
	_, err := s.jobs.Wait(t.Context(), "sums")
	require.NoError(t, err)

	var job struct {
		Name, State, Explain string
		Succeeded            int
	}
	decode(t, s.want(t, http.StatusOK, "GET", "/jobs/sums", ""), &job)
	require.Equal(t, "sums", job.Name)
	require.Equal(t, "Complete", job.State)
	require.Equal(t, 1, job.Succeeded)
	require.NotEmpty(t, job.Explain)

	var list []struct{ Name string }
	decode(t, s.want(t, http.StatusOK, "GET", "/jobs", ""), &list)
	require.Len(t, list, 1)

	var attempts []batch.AttemptStatus
	decode(t, s.want(t, http.StatusOK, "GET", "/jobs/sums/attempts", ""), &attempts)
	require.Len(t, attempts, 1)
	require.Equal(t, "2 files, 10 bytes", attempts[0].Output)

	require.JSONEq(t, `{"0":{"files":2,"bytes":10}}`, s.want(t, http.StatusOK, "GET", "/jobs/sums/results", ""))
	require.JSONEq(t, `{}`, s.want(t, http.StatusOK, "GET", "/jobs/sums/failures", ""))
	var events []batch.Event
	decode(t, s.want(t, http.StatusOK, "GET", "/jobs/sums/events", ""), &events)
	require.Equal(t, "Completed", events[len(events)-1].Reason)

	lines := hashOf("hello") + "  docs/a\n" + hashOf("world") + "  docs/b\n"
	require.Equal(t, lines, s.want(t, http.StatusOK, "GET", "/jobs/sums/logs", ""))
	require.Equal(t, lines, s.want(t, http.StatusOK, "GET", "/jobs/sums/logs?follow=1&attempt="+attempts[0].Name, ""))
	require.Equal(t, lines[len(lines)/2:], s.want(t, http.StatusOK, "GET", "/jobs/sums/logs?tail=1", ""))

	s.want(t, http.StatusNoContent, "DELETE", "/jobs/sums", "")
	s.want(t, http.StatusNotFound, "GET", "/jobs/sums", "")
}

func TestAJobThatIsNotKept(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"brief","keepSeconds":0}`)
	_, err := s.jobs.Wait(t.Context(), "brief")
	require.True(t, err == nil || errors.Is(err, batch.ErrNotFound), err)
	s.want(t, http.StatusNotFound, "GET", "/jobs/brief", "")
}

func TestSuspendAndResume(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"checksum","name":"sums","path":".","suspend":true}`)
	require.Contains(t, s.want(t, http.StatusOK, "GET", "/jobs/sums", ""), `"state": "Suspended"`)
	s.want(t, http.StatusNotFound, "GET", "/jobs/sums/logs", "")
	s.want(t, http.StatusOK, "POST", "/jobs/sums/resume", "")
	_, err := s.jobs.Wait(t.Context(), "sums")
	require.NoError(t, err)

	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"tick","seconds":3600}`)
	require.Contains(t, s.want(t, http.StatusOK, "POST", "/jobs/tick/suspend", ""), `"state": "Suspended"`)
}

func TestCancelAndAgain(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"tick","seconds":3600}`)
	s.want(t, http.StatusConflict, "POST", "/jobs/tick/again", "")
	require.Contains(t, s.want(t, http.StatusOK, "POST", "/jobs/tick/cancel?reason=enough", ""), "was cancelled: enough")
	_, err := s.jobs.Wait(t.Context(), "tick")
	require.ErrorContains(t, err, "enough")
	s.want(t, http.StatusConflict, "POST", "/jobs/tick/cancel", "")
	require.Contains(t, s.want(t, http.StatusOK, "POST", "/jobs/tick/again", ""), `"run": 2`)
	s.want(t, http.StatusOK, "POST", "/jobs/tick/cancel", "")
}

// TestOnlyWhatFailedRunsAgain wants the results of other shards to stay.
func TestOnlyWhatFailedRunsAgain(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs",
		`{"kind":"checksum","name":"sums","path":"docs","shards":2,"suspend":true}`)
	s.want(t, http.StatusOK, "POST", "/jobs/sums/cancel?index=1", "")
	s.want(t, http.StatusOK, "POST", "/jobs/sums/resume", "")
	_, err := s.jobs.Wait(t.Context(), "sums")
	require.ErrorIs(t, err, errOnRequest)

	s.want(t, http.StatusOK, "POST", "/jobs/sums/again?failed=1", "")
	status, err := s.jobs.Wait(t.Context(), "sums")
	require.NoError(t, err)
	require.Equal(t, 2, status.Succeeded)
	attempts, err := s.jobs.Attempts(t.Context(), "sums")
	require.NoError(t, err)
	require.Len(t, attempts, 2, "index 0 must not run twice")
}

func TestLogIsFollowed(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"tick","seconds":1}`)
	require.Equal(t, "1\ndone\n", s.want(t, http.StatusOK, "GET", "/jobs/tick/logs?follow=1", ""))
}

func TestRequestsThatFail(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"taken"}`)
	for name, test := range map[string]struct {
		method, path, body string
		code               int
		want               string
	}{
		"no JSON":          {method: "POST", path: "/jobs", body: `{`, code: http.StatusBadRequest, want: "bad request"},
		"an unknown field": {method: "POST", path: "/jobs", body: `{"knid":""}`, code: http.StatusBadRequest, want: "knid"},
		"an unknown kind": {
			method: "POST", path: "/jobs", body: `{"kind":"x","name":"x"}`, code: http.StatusUnprocessableEntity,
			want: `"field": "kind"`,
		},
		"a bad name": {
			method: "POST", path: "/jobs", body: `{"kind":"countdown","name":"X y"}`, code: http.StatusUnprocessableEntity,
			want: `"field": "metadata.name"`,
		},
		"a bad number": {
			method: "POST", path: "/jobs", body: `{"kind":"countdown","name":"x","parallelism":-1}`,
			code: http.StatusUnprocessableEntity, want: `"field": "spec.parallelism"`,
		},
		"a name in use": {
			method: "POST", path: "/jobs", body: `{"kind":"countdown","name":"taken"}`, code: http.StatusConflict,
			want: "job exists",
		},
		"no such job":       {method: "GET", path: "/jobs/none", code: http.StatusNotFound, want: "not found"},
		"nothing to delete": {method: "DELETE", path: "/jobs/none", code: http.StatusNotFound, want: "not found"},
		"how to delete": {
			method: "DELETE", path: "/jobs/taken?propagation=no", code: http.StatusBadRequest, want: "no propagation",
		},
		"no attempts": {method: "GET", path: "/jobs/none/attempts", code: http.StatusNotFound, want: "not found"},
		"no results":  {method: "GET", path: "/jobs/none/results", code: http.StatusNotFound, want: "not found"},
		"no failures": {method: "GET", path: "/jobs/none/failures", code: http.StatusNotFound, want: "not found"},
		"no events":   {method: "GET", path: "/jobs/none/events", code: http.StatusNotFound, want: "not found"},
		"no log": {
			method: "GET", path: "/jobs/taken/logs?attempt=x", code: http.StatusNotFound, want: "not found",
		},
		"how to follow": {
			method: "GET", path: "/jobs/taken/logs?follow=maybe", code: http.StatusBadRequest, want: "follow",
		},
		"how many lines":    {method: "GET", path: "/jobs/taken/logs?tail=-1", code: http.StatusBadRequest, want: "tail"},
		"nothing to cancel": {method: "POST", path: "/jobs/none/cancel", code: http.StatusNotFound, want: "not found"},
		"what to cancel":    {method: "POST", path: "/jobs/taken/cancel?index=x", code: http.StatusBadRequest, want: "index"},
		"nothing to repeat": {method: "POST", path: "/jobs/none/again", code: http.StatusNotFound, want: "not found"},
		"what to repeat": {
			method: "POST", path: "/jobs/taken/again?failed=x", code: http.StatusBadRequest, want: "failed",
		},
		"the wrong method": {method: "PUT", path: "/jobs/taken", code: http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, s.want(t, test.code, test.method, test.path, test.body), test.want)
		})
	}
}

func TestShutDownControllerStillAnswers(t *testing.T) {
	s := newTestService(t)
	s.want(t, http.StatusCreated, "POST", "/jobs", `{"kind":"countdown","name":"early"}`)
	require.NoError(t, s.jobs.Shutdown(t.Context()))
	s.want(t, http.StatusServiceUnavailable, "POST", "/jobs", `{"kind":"countdown","name":"late"}`)
	s.want(t, http.StatusOK, "GET", "/jobs/early", "")
}

func TestOtherOriginsAreRefused(t *testing.T) {
	s := newTestService(t)
	req := httptest.NewRequest("POST", "/jobs", strings.NewReader(`{}`))
	req.Header.Set("Origin", "https://other.example")
	w := httptest.NewRecorder()
	newHandler(s.jobs, always(s.cronJobs), smallTree()).ServeHTTP(w, req)
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestStatusOf(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusUnprocessableEntity: fmt.Errorf("create: %w", &batch.ValidationError{}),
		http.StatusConflict:            fmt.Errorf("create: %w", batch.ErrExists),
		http.StatusNotFound:            fmt.Errorf("get: %w", batch.ErrNotFound),
		http.StatusServiceUnavailable:  batch.ErrShutdown,
		http.StatusBadRequest:          errBadRequest,
		http.StatusInternalServerError: errors.New("anything else"),
	} {
		require.Equal(t, want, statusOf(err))
	}
}

// A testService is the API on a server of its own.
type testService struct {
	jobs     *batch.Controller
	cronJobs *cron.Controller
	url      string
}

func newTestService(t *testing.T) testService {
	t.Helper()
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	cronJobs, err := cron.New(c, cron.Options{})
	require.NoError(t, err)
	server := httptest.NewServer(newHandler(c, always(cronJobs), smallTree()))
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, cronJobs.Shutdown(context.Background()))
		now, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, c.Shutdown(now))
	})
	return testService{jobs: c, cronJobs: cronJobs, url: server.URL}
}

// want makes a request, checks the code, and returns the body.
func (s testService) want(t *testing.T, code int, method, path, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, code, res.StatusCode, string(text))
	return string(text)
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), into), text)
}

func always(c *cron.Controller) func() (*cron.Controller, error) {
	return func() (*cron.Controller, error) { return c, nil }
}
