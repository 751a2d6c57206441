package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServiceStopsInGoodOrder(t *testing.T) {
	for name, test := range map[string]struct {
		grace, seconds string
		atLeast        time.Duration
	}{
		"what runs may finish":           {"1m", "1", time.Second},
		"what takes longer is cut short": {"10ms", "3600", 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			url, wait := startService(t, ctx, "-grace", test.grace)
			start := time.Now()
			body := `{"kind":"countdown","name":"tick","seconds":` + test.seconds + `}`
			res, err := http.Post(url+"/jobs", "application/json", strings.NewReader(body))
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusCreated, res.StatusCode)

			interrupt()
			code, log := wait()
			require.Zero(t, code, log)
			require.GreaterOrEqual(t, time.Since(start), test.atLeast)
			_, err = http.Get(url + "/jobs")
			require.Error(t, err, "the server is gone")
		})
	}
}

func TestFollowersDoNotHoldUpTheEnd(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	url, wait := startService(t, ctx, "-grace", "10ms")
	res, err := http.Post(
		url+"/jobs", "application/json", strings.NewReader(`{"kind":"countdown","name":"tick","seconds":3600}`),
	)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	res, err = http.Get(url + "/jobs/tick/logs?follow=1")
	require.NoError(t, err)
	defer res.Body.Close()
	first, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "3600\n", first)

	interrupt()
	code, log := wait()
	require.Zero(t, code, log)
}

func TestRefusals(t *testing.T) {
	backup := []string{"-addr", "127.0.0.1:0", "-root", t.TempDir(), "-backup", t.TempDir()}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":                 {[]string{"-h"}, 0, "-addr address"},
		"an unknown flag":      {[]string{"-x"}, 2, "not defined: -x"},
		"no such folder":       {[]string{"-root", t.TempDir() + "/none"}, 1, "none"},
		"a negative limit":     {[]string{"-max-active", "-1"}, 1, "service: "},
		"a bad schedule":       {append(backup, "-backup-at", "0 24 * * *"), 1, "spec.schedule"},
		"a backup of itself":   {append(backup, "-root", os.TempDir()), 1, "-backup"},
		"a bad webhook":        {[]string{"-webhook", "ftp://x"}, 1, "-webhook"},
		"an unusable address":  {[]string{"-addr", "localhost:-1"}, 1, "listen"},
		"no place for a store": {[]string{"-store", t.TempDir() + "/none/jobs.db"}, 1, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(t.Context(), test.args, &out, &out)
			require.Equal(t, test.code, code, out.String())
			require.Contains(t, out.String(), test.want)
		})
	}
}

// startService runs the program on a free port until ctx ends; wait returns
// its exit code and its log.
func startService(t *testing.T, ctx context.Context, args ...string) (url string, wait func() (code int, log string)) {
	t.Helper()
	stdout, print := io.Pipe()
	var stderr bytes.Buffer
	var code int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code = run(ctx, append(args, "-addr", "127.0.0.1:0", "-root", t.TempDir()), print, &stderr)
		print.Close()
	}()
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "the service says where it listens")
	go io.Copy(io.Discard, stdout)
	return strings.TrimPrefix(lines.Text(), "listening on "), func() (int, string) {
		<-ended
		return code, stderr.String()
	}
}

// TestJobsSurviveTheService wants a job that the next process has found in the file, and
// whose executor it knows.
func TestJobsSurviveTheService(t *testing.T) {
	file := t.TempDir() + "/jobs.db"
	for _, path := range []string{"/jobs", "/jobs/tick/resume"} {
		ctx, interrupt := context.WithCancel(t.Context())
		url, wait := startService(t, ctx, "-store", file, "-grace", "10ms")
		body := `{"kind":"countdown","name":"tick","seconds":3600,"suspend":true}`
		res, err := http.Post(url+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Less(t, res.StatusCode, 300, string(text))
		require.NotContains(t, string(text), "Stalled")
		interrupt()
		code, log := wait()
		require.Zero(t, code, log)
	}
}
