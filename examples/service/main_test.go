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
		"what runs may finish":           {grace: "1m", seconds: "1", atLeast: time.Second},
		"what takes longer is cut short": {grace: "10ms", seconds: "3600", atLeast: 10 * time.Millisecond},
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
		"help":                 {args: []string{"-h"}, code: 0, want: "-addr address"},
		"an unknown flag":      {args: []string{"-x"}, code: 2, want: "not defined: -x"},
		"no such folder":       {args: []string{"-root", t.TempDir() + "/none"}, code: 1, want: "none"},
		"a negative limit":     {args: []string{"-max-active", "-1"}, code: 1, want: "service: "},
		"a bad schedule":       {args: append(backup, "-backup-at", "0 24 * * *"), code: 1, want: "spec.schedule"},
		"a backup of itself":   {args: append(backup, "-root", os.TempDir()), code: 1, want: "-backup"},
		"a bad webhook":        {args: []string{"-webhook", "ftp://x"}, code: 1, want: "-webhook"},
		"an unusable address":  {args: []string{"-addr", "localhost:-1"}, code: 1, want: "listen"},
		"no place for a store": {args: []string{"-store", t.TempDir() + "/none/jobs.db"}, code: 1, want: "none"},
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
